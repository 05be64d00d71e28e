"""Makespan of unit-round instances: deadlines K are refuted one by one until one can be met.

`relaxations.time_indexed.deadline` refutes a deadline by prices: no schedule meets K.
Else the depth-first search of `branch` looks for a schedule, with the same prices as its bound: those started pay
what they pay, the others at least their least.  Of all schedules that meet K one with the least Σ s_i is neither
`wasteful` nor pruned by dominance (which compares Σ s_i), so none found is a refutation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from llmsched_mip.algorithms.proof import Proof
from llmsched_mip.algorithms.states import States
from llmsched_mip.algorithms.unit_round import branch
from llmsched_mip.algorithms.unit_round.exact import LONGEST_CHAIN, MEMO_BYTES
from llmsched_mip.budget import Budget
from llmsched_mip.models.windows import completion_windows
from llmsched_mip.relaxations.time_indexed.deadline import ROUNDING, deadline_prices, refuted
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import UnitRounds

SLICE = 20_000
PRICE_ROUNDING = 1e-6


def prove_makespan(problem: UnitRounds, starts: IntArray, least: int, budget: Budget) -> Iterator[Proof]:
    """Raise the bound from `least` rounds until a schedule meets it; yields at every new bound.

    The prices alone are tried by bisection first, then deadlines one by one.

    Parameters
    ----------
    problem : UnitRounds
        At most `exact.MOST_REQUESTS` requests.
    starts : int array, shape (n,)
        A feasible schedule.
    least : int
        A proven bound on the rounds.
    budget : Budget
    """
    p, d = problem.p, problem.d
    windows = completion_windows(p, d, problem.capacity)
    proof = Proof(starts.copy(), float((starts + d).max()), float(max(least, d.max())))
    low, high = int(proof.bound), int(proof.value)
    while low < high and not budget.spent():
        middle = (low + high) // 2
        if refuted(deadline_prices(problem, windows, middle)):
            low = middle + 1
        else:
            high = middle
    proof.bound = float(low)
    yield proof
    while proof.bound < proof.value and not budget.spent():
        deadline = int(proof.bound)
        paid = deadline_prices(problem, windows, deadline)
        if not refuted(paid):
            found, done = _meet(problem, paid, deadline, proof, budget)
            if found is not None:
                proof.best, proof.value = found, float(deadline)
                yield proof
                return
            if not done:
                return
        proof.bound = float(deadline + 1)
        yield proof


def _meet(
    problem: UnitRounds, paid: FloatArray, deadline: int, proof: Proof, budget: Budget
) -> tuple[IntArray | None, bool]:
    """A schedule that meets the deadline, or None and whether the search was complete."""
    order = np.lexsort((problem.p, -problem.d))
    least_paid = paid.min(axis=1, keepdims=True)
    requests = branch.Requests.of(
        problem, order, np.ones(problem.n), (paid - least_paid)[order], step=1.0, eps=PRICE_ROUNDING
    )
    bound = float(least_paid.sum()) - 1.0 - ROUNDING
    tree = branch.Tree.of(requests, bound, math.inf, np.zeros(problem.n, dtype=np.int64))
    states = States.of(int(problem.d.max()), problem.capacity, MEMO_BYTES, LONGEST_CHAIN)
    done = False
    while not done and not budget.spent() and not math.isfinite(tree.best[0]):
        done = branch.run(requests, tree, states, 0.0, SLICE)
    proof.nodes += int(tree.counters[branch.NODES])
    if not math.isfinite(tree.best[0]):
        return None, done
    found = np.empty(problem.n, dtype=np.int64)
    found[order] = tree.best_starts
    return found, True
