"""Offline plan of the hybrid method: the MMBPP assignment, longest first within a client, turned into stages.

An idle client waits for the next prefill iteration.  The rule for when to prefill is the number of idle clients that
wait; it is chosen by executing the plan with several and keeping the best.
"""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.execution import Executor
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import joined, part, split_requests
from llmsched_mip.plan import Plan
from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.clients import Clients
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import IntArray

THRESHOLDS = (1, 2, 3, 5, 8, 13, 21, 34)
PACKING_SECONDS = 10.0


def mmbpp(search: Search) -> None:
    """Offer the MMBPP plan; with one worker the packing bound is added too.

    Several workers: the requests are given to workers first (`split_requests`), each worker has its own MMBPP.
    """
    instance = search.instance
    parts: list[tuple[IntArray, Plan | None]] = []
    if len(instance.workers) == 1:
        plan = client_plan(search, instance)
        if plan is not None:
            search.offer(plan)
        return
    for w, requests in enumerate(split_requests(instance)):
        plan = client_plan(search, part(instance, w, requests)) if len(requests) else None
        if plan is None and len(requests):
            return
        parts.append((requests, plan))
    search.offer(joined(instance, "mmbpp", parts))


def client_plan(search: Search, instance: Instance) -> Plan | None:
    """Best plan of a one-worker instance over the thresholds; None when interrupted before the first."""
    began = clock.now()
    clients = Limits.of(instance, 0).slots
    lengths = instance.requests.decode_tokens
    packing = pack(lengths, clients, budget=search.budget.slice(PACKING_SECONDS))
    if instance is search.instance and search.instance.objective == "makespan":
        value, certificate = makespan_from_rounds(
            instance, packing.bound, clients=clients, packing_status=packing.status
        )
        search.raise_bounds([Bound("mmbpp", value, clock.now() - began, certificate)])
    lists = client_lists(instance, packing.assignment, clients)
    return best_threshold(search, instance, lists)


def client_lists(instance: Instance, assignment: IntArray, clients: int) -> list[list[int]]:
    """Requests of every client in the order of service: earliest arrival, then longest first."""
    requests = instance.requests
    order = np.lexsort((-requests.decode_tokens, requests.arrival_s))
    lists: list[list[int]] = [[] for _ in range(clients)]
    for i in order.tolist():
        lists[assignment[i]].append(i)
    return lists


def best_threshold(search: Search, instance: Instance, lists: list[list[int]]) -> Plan | None:
    """Execute the client lists with every threshold; the plan with the least value."""
    best: tuple[float, Plan] | None = None
    problem = Problem.of(instance, "known")
    for idle in THRESHOLDS:
        executor = Executor(instance, Clients(problem, lists, idle))
        executor.run()
        outcome = executor.outcome("mmbpp", 0.0)
        value = outcome.measures.objective(instance.objective)
        if best is None or value < best[0]:
            best = value, outcome.to_plan(instance, "mmbpp")
        if search.budget.spent():
            break
    return None if best is None else best[1]
