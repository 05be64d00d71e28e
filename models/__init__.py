"""The mathematics: one formulation a file, each readable on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import mmbpp, round_indexed

MODELS: dict[str, Callable[..., Any]] = {
    "mmbpp": mmbpp.build,
    "round_indexed": round_indexed.build,
}
"""Name of a model to its `build(instance)`."""
