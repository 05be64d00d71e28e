"""The methods of `solve` by name: a newcomer adds a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.methods.search import Search

DEFAULT_TIME_LIMIT_S = 20.0

METHODS: Registry[Callable[[Search], None]] = Registry(
    "llmsched_mip.methods",
    {
        "auto": "auto:auto",
        "branch-and-bound": "portfolio:branch_and_bound_or_auto",
        "fleet": "fleet:fleet",
        "fleet-orders": "fleet_orders:fleet_orders",
        "chains": "portfolio:chains_or_auto",
        "full": "portfolio:full_or_auto",
        "large-neighbourhood": "portfolio:large_neighbourhood_or_auto",
        "lists": "lists:list_schedules",
        "mmbpp": "mmbpp:mmbpp",
        "order-search": "portfolio:order_search_or_auto",
        "pattern": "portfolio:pattern_or_auto",
        "prefill-rounds": "portfolio:prefill_rounds_or_auto",
        "serial": "portfolio:serial_or_auto",
        "unit-round": "portfolio:unit_round_or_auto",
    },
)
