"""Offline plan of the hybrid method: the MMBPP assignment, longest first within a client, turned into stages.

An idle client waits for the next prefill iteration.  The rule for when to prefill is the number of idle clients that
wait; it is chosen by executing the plan with several and keeping the best.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from llmsched_mip import clock
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.methods.executed import Executed, executed
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import planned_apart
from llmsched_mip.plan import Plan
from llmsched_mip.policies.clients import Clients
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import IntArray

THRESHOLDS = (1, 2, 3, 5, 8, 13, 21, 34)
PACKING_SECONDS = 10.0


def mmbpp(search: Search) -> None:
    """Offer the MMBPP plan; with one worker the packing bound is added too.

    Several workers: the requests are given to workers first (`split_requests`), each worker has an MMBPP for itself.
    """
    instance = search.instance
    plan_of = partial(client_plan, search)
    plan = plan_of(instance) if len(instance.workers) == 1 else planned_apart(instance, "mmbpp", plan_of)
    if plan is not None:
        search.offer(plan)


def client_plan(search: Search, instance: Instance) -> Plan:
    """Best plan of a one-worker instance over the thresholds."""
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


def best_threshold(search: Search, instance: Instance, lists: list[list[int]]) -> Plan:
    """Execute the client lists with every threshold; the plan with the least value."""
    problem = Problem.of(instance, "known")
    runs: list[Executed] = []
    for idle in THRESHOLDS:
        runs.append(executed(instance, "mmbpp", Clients(problem, lists, idle)))
        if search.budget.spent():
            break
    return min(runs, key=lambda run: run.value).plan
