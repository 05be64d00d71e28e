"""Bound "mmbpp": the Minimizing Makespan Bin Packing relaxation (docs/problem.md, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched_mip import clock
from llmsched_mip.bounds.identity import makespan_from_rounds
from llmsched_mip.bounds.limits import Limits
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound

if TYPE_CHECKING:
    from llmsched_mip.algorithms.packing import Packing

DEFAULT_TIME_LIMIT_S = 30.0


def clients(instance: Instance) -> int:
    """Clients of all workers: requests that can be in service at once (`Limits.slots`)."""
    return sum(Limits.of(instance, w).slots for w in range(len(instance.workers)))


def mmbpp(instance: Instance, budget: Budget) -> Bound | None:
    """At least R* decode rounds, the proven bound on P||Cmax over the clients; makespan only.

    Proof.  See `makespan_from_packing`.
    """
    from llmsched_mip.algorithms.packing import pack

    began = clock.now()
    if instance.objective != "makespan":
        return None
    packing = pack(instance.requests.decode_tokens, clients(instance), budget=budget.or_default(DEFAULT_TIME_LIMIT_S))
    return makespan_from_packing(instance, packing, began)


def makespan_from_packing(instance: Instance, packing: Packing, began: float | None = None) -> Bound:
    """Bound on the makespan from a packing of all decode lengths into at least `clients` bins.

    Proof, one worker.  A plan gives every request a client that it holds for d_i rounds of its own, so the
    rounds are at least the load of the fullest client: the assignment is feasible for P||Cmax, and the
    packing's proven bound R* holds for it.  No more clients than `clients` are ever in use at once, and
    interval colouring needs no more; more bins only lower R*.

    Proof, several workers.  All clients of all workers together are the bins, so some worker w runs at
    least R* rounds.  It also runs a prefill iteration, and each of its rounds has an active request, so it
    takes at least R* (a_w + b_w + c_w (p + 1)) + prefill_time_w(p) with the least p; the least of this over
    the workers.
    """
    began = clock.now() if began is None else began
    rounds = int(packing.bound)
    proof = {"clients": clients(instance), "packing_status": packing.status}
    limits = [Limits.of(instance, w) for w in range(len(instance.workers))]
    if len(limits) == 1:
        return makespan_from_rounds("mmbpp", instance, rounds, began, **proof)
    start_s = float(instance.requests.arrival_s.min())
    value = start_s + min(_least_seconds(own, rounds) for own in limits if len(own.p))
    return Bound("mmbpp", value, clock.now() - began, {"rounds": rounds, **proof})


def _least_seconds(limits: Limits, rounds: int) -> float:
    tokens, worker = int(limits.p.min()), limits.worker
    round_s = float(worker.decode_time.round_seconds(1, tokens + 1))
    return rounds * round_s + float(worker.prefill_time.seconds(tokens))
