"""Online decision rules, one a file: what an executor shows in, a decision out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.policies.protocol import Policy, Problem

POLICIES: Registry[Callable[..., Policy]] = Registry(
    __name__,
    {
        "fcfs": "fcfs:first_come_first_served",
        "vllm": "vllm:vllm",
        "longest-first": "longest_first:longest_first",
        "shortest-first": "shortest_first:shortest_first",
        "mc-sf": "shortest_first:memory_constrained_shortest_first",
        "sorted-f": "sorted_f:sorted_f",
        "sorted-lp": "sorted_lp:sorted_lp",
        "lp-swap": "sorted_lp:lp_swap",
        "svf": "smallest_volume_first:smallest_volume_first",
        "machine-time": "machine_time:machine_time",
        "plan": "plan:FollowPlan",
        "plan-order": "plan_order:plan_order",
        "lagrangian": "lagrangian:lagrangian",
        "lagrangian-stochastic": "lagrangian_stochastic:lagrangian_stochastic",
        "rolling": "rolling:rolling",
        "learned": "learned:learned",
        "a-max": "a_max:a_max",
        "a-min": "a_min:AMin",
        "h-sf": "shortest_first:hindsight_shortest_first",
        "geometric-slicing": "geometric_slicing:GeometricSlicing",
    },
)

WAITING = ("fcfs", "longest-first", "shortest-first", "svf", "machine-time")
"""Lists that may wait for room for several requests."""
OPTIONS: Registry[Callable[[str], object]] = Registry(
    __name__,
    {
        **dict.fromkeys(WAITING, "parts.list_scheduling:least_batch"),
        "sorted-f": "sorted_f:selection",
        "mc-sf": "shortest_first:share",
        "lagrangian": "lagrangian:variant",
        "lagrangian-stochastic": "lagrangian_stochastic:risk",
        "rolling": "rolling:settings",
        "learned": "learned:policy_file",
    },
)
"""Policies that take an option after a colon, and what reads it or raises `InvalidInputError`:
``machine-time:4``, and all of `WAITING` (no prefill before so many requests fit),
``sorted-f:exact|scaled|swap|quantile|auto`` (how a batch is selected), ``mc-sf:0.05`` (share of the KV cache that is
kept free), ``lagrangian:published`` (the rule without extensions), ``lagrangian-stochastic:0.1`` (accepted risk of a KV
overflow), ``rolling:period=5,delay=1,ageing=0`` (seconds between plans and until one takes effect, weight of age),
``learned:FILE`` (a policy file of one's own, see `llmsched train`)."""


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
    OPTIONS[base](option)


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
