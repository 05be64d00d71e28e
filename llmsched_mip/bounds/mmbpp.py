"""Bound "mmbpp": the Minimizing Makespan Bin Packing relaxation (docs/problem.md, section 5)."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.limits import Limits

DEFAULT_TIME_LIMIT_S = 30.0
SEVERAL_WORKERS_LIMIT_S = 2.0
"""For several workers: the rounds of the slowest client say little, so little time goes into them."""


def mmbpp(instance: Instance, budget: Budget) -> Bound | None:
    """At least R* decode rounds, the proven bound on P||Cmax over the clients; makespan only.

    The clients of a worker are the requests that it can have in service at once (`Limits.slots`).

    Proof, one worker.  A plan gives every request a client that it holds for its d_i rounds alone, so the
    rounds are at least the load of the fullest client: the assignment is feasible for P||Cmax, and the
    packing's proven bound R* holds for it.  No more clients than these are ever in use at once, and
    interval colouring needs no more.

    Proof, several workers.  All clients of all workers together are the bins, so some worker w runs at
    least R* rounds.  It also runs a prefill iteration, and each of its rounds has an active request, so it
    takes at least R* (a_w + b_w + c_w (p + 1)) + prefill_time_w(p) with the least p; the least of this over
    the workers.
    """
    began = clock.now()
    if instance.objective != "makespan":
        return None
    limits = [Limits.of(instance, w) for w in range(len(instance.workers))]
    clients = sum(worker.slots for worker in limits)
    limit_s = DEFAULT_TIME_LIMIT_S if len(limits) == 1 else SEVERAL_WORKERS_LIMIT_S
    budget = budget.or_default(limit_s) if len(limits) == 1 else budget.slice(limit_s)
    packing = pack(instance.requests.decode_tokens, clients, budget=budget)
    rounds = int(packing.bound)
    proof = {"clients": clients, "packing_status": packing.status}
    if len(limits) == 1:
        value, certificate = makespan_from_rounds(instance, rounds, **proof)
    else:
        start_s = float(instance.requests.arrival_s.min())
        value = start_s + min(_least_seconds(worker, rounds) for worker in limits if len(worker.p))
        certificate = {"rounds": rounds, **proof}
    return Bound("mmbpp", value, clock.now() - began, certificate)


def _least_seconds(limits: Limits, rounds: int) -> float:
    tokens, worker = int(limits.p.min()), limits.worker
    round_s = float(worker.decode_time.round_seconds(1, tokens + 1))
    return rounds * round_s + float(worker.prefill_time.seconds(tokens))
