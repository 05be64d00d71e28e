"""Engines: where the cases of a study run. Each gives back what `runner.run_case` found, in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.study.engines.engine import Engine

ENGINES: Registry[Callable[..., Engine]] = Registry(__name__, {"local": "local:LocalEngine", "dask": "dask:DaskEngine"})
