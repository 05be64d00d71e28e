"""Methods: construction, packing and search; `solve` drives them and keeps the best plan and the best bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import lazy_loader

from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.methods.exported import model_for_export
    from llmsched_mip.methods.portfolio import QUICK_BOUNDS, SLOW_BOUNDS, SOLVERS, solve
    from llmsched_mip.methods.search import Search

    __all__ = [
        "DEFAULT_TIME_LIMIT_S",
        "METHODS",
        "QUICK_BOUNDS",
        "SLOW_BOUNDS",
        "SOLVERS",
        "Search",
        "model_for_export",
        "solve",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "exported": ["model_for_export"],
            "portfolio": ["QUICK_BOUNDS", "SLOW_BOUNDS", "SOLVERS", "solve"],
            "search": ["Search"],
        },
    )

DEFAULT_TIME_LIMIT_S = 20.0

METHODS: Registry[Callable[[Search], None]] = Registry(
    __name__,
    {
        "auto": "portfolio:auto",
        "branch-and-bound": "portfolio:branch_and_bound_or_auto",
        "full": "portfolio:full_or_auto",
        "large-neighbourhood": "portfolio:large_neighbourhood_or_auto",
        "lists": "lists:list_schedules",
        "mmbpp": "mmbpp:mmbpp",
        "pattern": "portfolio:pattern_or_auto",
        "unit-round": "portfolio:unit_round_or_auto",
    },
)
