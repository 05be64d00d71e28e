"""`replay` under mixed semantics: a policy by its name orders what waits, the engine does the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from llmsched_mip import clock
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution.events import Event
from llmsched_mip.execution.mixed_executor import MixedExecutor, Route, least_loaded, placed, round_robin
from llmsched_mip.execution.mixed_queue import waiting_order
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.instance import Instance
from llmsched_mip.names import BALANCERS
from llmsched_mip.plan import Plan
from llmsched_mip.policies import split_option
from llmsched_mip.policies.protocol import Problem

VLLM = "vllm"


def is_mixed(instance: Instance, policy: str) -> bool:
    """Whether `replay` executes the policy with chunked prefill."""
    return instance.semantics == "mixed" or split_option(policy)[0] == VLLM


def replay_mixed(
    instance: Instance,
    policy: str,
    *,
    plan: Plan | None = None,
    lengths: str = "known",
    seed: int = 0,
    balancer: str | None = None,
    log: Callable[[Event], None] | None = None,
) -> Outcome:
    """Replay `policy` on the instance as a mixed one; see `execution.replay`."""
    if instance.semantics != "mixed":
        instance = replace(instance, semantics="mixed")
    whole = Problem.of(instance, lengths, plan, seed)
    orders = [waiting_order(policy, replace(whole, workers=(worker,))) for worker in instance.workers]
    executor = MixedExecutor(instance, orders, route_of(instance, balancer, plan), log)
    begin = clock.now()
    executor.run()
    return executor.outcome(policy, clock.now() - begin)


def route_of(instance: Instance, balancer: str | None, plan: Plan | None) -> Route:
    """Which worker a request goes to; by default as a plan places it, without one to the least loaded.

    Raises
    ------
    InvalidInputError
        No such balancer, or a plan that does not place every request on a worker that it fits.
    """
    chosen = ("plan" if plan is not None else "least-loaded") if balancer is None else balancer
    if chosen not in BALANCERS:
        raise InvalidInputError("balancer", f"expected one of {', '.join(BALANCERS)}, got {chosen!r}")
    if chosen == "round-robin":
        return round_robin(instance)
    if chosen == "least-loaded":
        return least_loaded(instance)
    if plan is None:
        raise InvalidInputError("balancer", "'plan' needs a plan")
    return placed(_places(instance, plan))


def _places(instance: Instance, plan: Plan) -> Sequence[int]:
    """The worker of every request, shape (n,)."""
    places = np.full(instance.n, -1, dtype=np.int64)
    index = {worker.name: w for w, worker in enumerate(instance.workers)}
    for part in plan.workers:
        if part.name in index:
            requests = part.requests
            places[requests[(requests >= 0) & (requests < instance.n)]] = index[part.name]
    lost = (places < 0) | ~instance.fits_worker[np.arange(instance.n), places]
    if lost.any():
        i = int(np.argmax(lost))
        raise InvalidInputError("plan", "does not place it on a worker that it fits", instance.requests.id[i])
    found: list[int] = places.tolist()
    return found
