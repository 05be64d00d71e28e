"""Makespan without lengths: whatever a policy does, lengths come in a random order of starts.

Model.  The lengths of the instance are dealt to the requests by a random permutation, all equally likely, and a policy
sees a length when its request completes.  It never evicts.

Lemma.  Let the k-th request to start have length D_k.  For every policy (D_1, .. D_n) is a random permutation, all
equally likely: which request starts next is decided on what has completed and on coins, and given those the lengths
that have not been seen are still dealt at random.

Relaxation.  Give the policy the whole sequence D beforehand, and let it choose when each starts; the order of the
starts stays.  With at most J in service the k-th start has to wait for k - J completions among those before it, so by
induction no start is earlier, in rounds of the worker, than in the list schedule that starts each as soon as a slot is
free (`list_rounds`).  The prompts may be dealt to the lengths in the cheapest way: Σ p d is least where they are sorted
against each other (the rearrangement inequality).  The rest is the conserved work of docs/problem.md.

This is an information relaxation in which the order of starts is the information that is not given (Brown, Smith and
Sun, Operations Research 58 (2010), with the zero penalty).
"""

from __future__ import annotations

import heapq

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.limits import Limits, ceil_div, exact_sum
from llmsched_mip.relaxations.prefill_cover import least_prefill
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds, request_kv_volume


def list_rounds(lengths: IntArray, slots: int) -> int:
    """Rounds until all are complete, each started in the order given as soon as a slot is free.

    Parameters
    ----------
    lengths : int array, shape (n,)
        Rounds of each, in the order of their starts.
    slots : int
        At least 1.
    """
    ends = [int(length) for length in lengths[:slots]]
    heapq.heapify(ends)
    latest = max(ends, default=0)
    for length in lengths[slots:].tolist():
        end = ends[0] + length
        latest = max(latest, end)
        heapq.heapreplace(ends, end)
    return latest


def makespan_in_order(instance: Instance, lengths: IntArray) -> float:
    """Least makespan, seconds, of those who start requests of these lengths in this order.

    Parameters
    ----------
    instance : Instance
        One worker, or several: these together are one worker with all their slots and the shortest round, and nothing
        else of the work is counted.
    lengths : int array, shape (n,)
        A permutation of the instance's, in the order of the starts.
    """
    start_s = float(instance.requests.arrival_s.min())
    each = [Limits.of(instance, w) for w in range(len(instance.workers))]
    rounds = list_rounds(lengths, max(1, sum(limits.slots for limits in each)))
    if len(each) > 1:
        base_s = min(float(worker.decode_time.run_seconds(1, 0, 0)) for worker in instance.workers)
        return start_s + base_s * rounds
    limits, decode_time = each[0], instance.workers[0].decode_time
    volume = exact_sum(request_kv_volume(np.sort(limits.p), np.sort(limits.d)[::-1]))
    capacity = limits.worker.kv_capacity
    if capacity is not None:
        rounds = max(rounds, ceil_div(volume, capacity))
    work_s = float(decode_work_seconds(decode_time, exact_sum(limits.d), volume))
    return start_s + float(decode_time.run_seconds(rounds, 0, 0)) + work_s + least_prefill(limits)[0]


def makespans_over_orders(instance: Instance, draws: int, rng: np.random.Generator) -> FloatArray:
    """`makespan_in_order` for random orders: shape (draws,)."""
    lengths = instance.requests.decode_tokens
    return np.array([makespan_in_order(instance, rng.permutation(lengths)) for _ in range(draws)])
