"""The mathematics: one formulation a file, each readable on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmsched_mip.registry import Registry

MODELS: Registry[Callable[..., Any]] = Registry(
    __name__,
    {"mmbpp": "mmbpp:build", "round_indexed": "round_indexed:build", "stage_indexed": "stage_indexed:build"},
)
"""Name of a model to its `build(instance)`."""

SIZES: Registry[Callable[..., dict[str, int]]] = Registry(
    __name__, {"round_indexed": "round_indexed:size", "stage_indexed": "stage_indexed:size"}
)
"""Name of a model that takes an objective and a horizon to the estimate of its size."""
