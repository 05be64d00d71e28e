"""The mathematics: one formulation a file, each readable on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import mmbpp, round_indexed, stage_indexed

MODELS: dict[str, Callable[..., Any]] = {
    "mmbpp": mmbpp.build,
    "round_indexed": round_indexed.build,
    "stage_indexed": stage_indexed.build,
}
"""Name of a model to its `build(instance)`."""

SIZES: dict[str, Callable[..., dict[str, int]]] = {
    "round_indexed": round_indexed.size,
    "stage_indexed": stage_indexed.size,
}
"""Name of a model that takes an objective and a horizon to the estimate of its size."""
