"""Online decision rules, one a file: what an executor shows in, a decision out."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.a_max import AMax
from llmsched_mip.policies.a_min import AMin
from llmsched_mip.policies.base import Policy, Problem
from llmsched_mip.policies.fcfs import FirstComeFirstServed
from llmsched_mip.policies.geometric_slicing import GeometricSlicing
from llmsched_mip.policies.hindsight import HindsightShortestFirst
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.lagrangian_stochastic import StochasticLagrangian, risk
from llmsched_mip.policies.longest_first import LongestFirst
from llmsched_mip.policies.mc_sf import MemoryConstrainedShortestFirst, share
from llmsched_mip.policies.plan import FollowPlan
from llmsched_mip.policies.plan_order import PlanOrder
from llmsched_mip.policies.shortest_first import ShortestFirst
from llmsched_mip.policies.sorted_f import SortedF, selection
from llmsched_mip.policies.sorted_lp import LPSwap, SortedLP
from llmsched_mip.policies.svf import SmallestVolumeFirst

POLICIES: dict[str, Callable[..., Policy]] = {
    "fcfs": FirstComeFirstServed,
    "longest-first": LongestFirst,
    "shortest-first": ShortestFirst,
    "mc-sf": MemoryConstrainedShortestFirst,
    "sorted-f": SortedF,
    "sorted-lp": SortedLP,
    "lp-swap": LPSwap,
    "svf": SmallestVolumeFirst,
    "plan": FollowPlan,
    "plan-order": PlanOrder,
    "lagrangian": Lagrangian,
    "lagrangian-stochastic": StochasticLagrangian,
    "a-max": AMax,
    "a-min": AMin,
    "h-sf": HindsightShortestFirst,
    "geometric-slicing": GeometricSlicing,
}

OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "sorted-f": ("exact, scaled, swap, quantile or auto: how a batch is selected", selection),
    "mc-sf": ("share of the KV cache that is kept free, e.g. mc-sf:0.05", share),
    "lagrangian-stochastic": ("accepted risk of a KV overflow, e.g. lagrangian-stochastic:0.1", risk),
}
"""Policies that take an option after a colon: what it says, and what reads it or raises `InvalidInputError`."""


def split_option(name: str) -> tuple[str, str | None]:
    """``sorted-f:exact`` as ``sorted-f`` and ``exact``; None without an option."""
    base, colon, option = name.partition(":")
    return base, option if colon else None


def require_option(name: str) -> None:
    """Raise `InvalidInputError` for an option that the policy does not take, before there is a problem for it."""
    base, option = split_option(name)
    if option is None:
        return
    if base not in OPTIONS:
        raise InvalidInputError("policy", f"{base!r} takes no option, got {name!r}")
    OPTIONS[base][1](option)


def make_policy(name: str, problem: Problem) -> Policy:
    """Make the policy `name` for what `problem` shows.

    Parameters
    ----------
    name : str
        One of `POLICIES`; for those in `OPTIONS` an option may follow after a colon: ``sorted-f:exact``.
    problem : Problem

    Raises
    ------
    InvalidInputError
        Unknown name or option, or the policy cannot work with what the problem shows.
    """
    base, option = split_option(name)
    if base not in POLICIES:
        raise InvalidInputError("policy", f"expected one of {', '.join(POLICIES)}, got {name!r}")
    if option is None:
        return POLICIES[base](problem)
    require_option(name)
    return POLICIES[base](problem, option)
