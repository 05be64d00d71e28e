"""Engines: where the cases of a study run. Each gives back what `runner.run_case` found, in any order."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip.study.engines.dask import DaskEngine
from llmsched_mip.study.engines.engine import Engine, Finished, Progress, Started
from llmsched_mip.study.engines.local import LocalEngine

ENGINES: dict[str, Callable[..., Engine]] = {"local": LocalEngine, "dask": DaskEngine}

__all__ = ["ENGINES", "Engine", "Finished", "Progress", "Started"]
