"""The price of idle slots, when waiting is worth it, and how the price is learnt."""

from __future__ import annotations

import numpy as np

from llmsched_mip.plan import Duals
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import FloatArray

LEARNING = 0.1
ROUNDING = 1e-12
LARGEST_CORRECTION = 4.0


def offline_dual(problem: Problem, w: int) -> float:
    """Offline dual of the slot constraint of worker `w`, seconds of makespan per slot-second; 0 without a limit.

    That of the plan (`planned_prices`).  Without any, 1 / J where the area bound binds; where the KV volume binds, idle
    slots are worth less in the proportion of the two bounds of the plan.
    """
    slots = problem.workers[w].slots
    if slots is None:
        return 0.0
    given = planned_prices(problem, w)
    if given is not None:
        return given.slot_s
    bounds = {} if problem.plan is None else problem.plan.claims.bounds
    area, volume = bounds.get("area"), bounds.get("kv_volume")
    share = 1.0 if not area or not volume or volume <= area else area / volume
    return share / slots


def planned_prices(problem: Problem, w: int) -> Duals | None:
    """Duals of the plan for worker `w` in seconds of that worker: its slots and its KV cache, idle for a second, are
    worth a second together.  None without any.

    Duals of several workers are shares of a second of makespan, those of total completion have weights: no decision on
    one worker needs either.
    """
    duals = None if problem.plan is None else problem.plan.duals.get(problem.workers[w].name)
    worker, n = problem.workers[w], len(problem.prefill_tokens)
    if duals is None:
        return None
    slots = duals.slot_s * worker.most_slots(n)
    kv = 0.0 if worker.kv_capacity is None else duals.kv_token_s * worker.kv_capacity
    whole = slots + kv
    return None if whole <= 0 else Duals(slots / whole / worker.most_slots(n), duals.kv_token_s / whole)


def idle_worth_waiting(
    fixed_s: float, price_s: float, count: int, completions: FloatArray, stall_s: float = 0.0
) -> float | None:
    """Whether some j more completions lower the cost per refilled slot.

    With W_j the priced idle time until j more slots have emptied, a prefill of n requests runs now unless
    ``(f + W_j - j g) / (n + j) < f / n`` for some j ≥ 1.

    Parameters
    ----------
    fixed_s : float
        f, fixed seconds of a prefill iteration.
    price_s : float
        Seconds of makespan for each idle slot and round.
    count : int
        n, requests that fit now.
    completions : float array, shape (m,)
        Rounds until the 1st, 2nd, ... completion.
    stall_s : float
        g, what a completion before the prefill saves, seconds (`WorkInProgress.stall_s`).

    Returns
    -------
    float or None
        Slot-rounds that will be idle until the best j; None where waiting does not pay.
    """
    if not len(completions):
        return None
    steps = completions.copy()
    steps[1:] -= completions[:-1]
    idle = (np.arange(len(steps)) + count) * steps
    more = np.arange(1, len(steps) + 1)
    per_slot = (fixed_s + price_s * np.cumsum(idle) - stall_s * more) / (count + more)
    best = int(np.argmin(per_slot))
    return None if per_slot[best] >= fixed_s / count else float(np.sum(idle[: best + 1]))


def kv_worth_waiting(fixed_s: float, price_s: float, ready: float, rounds: FloatArray, freed: FloatArray) -> bool:
    """`idle_worth_waiting` where KV is what is idle: whether a later prefill costs less for each KV token refilled.

    With K tokens that would be refilled now, k_1, k_2, ... that the next completions free, and W_j the priced idle KV
    until the j-th, a prefill runs now unless ``(f + W_j) / (K + k_1 + ... + k_j) < f / K`` for some j ≥ 1.

    Parameters
    ----------
    fixed_s : float
        f, fixed seconds of a prefill iteration.
    price_s : float
        Seconds of makespan for each idle KV token and round.
    ready : float
        K.
    rounds, freed : float arrays, shape (m,)
        Rounds until the 1st, 2nd, ... completion, and the KV tokens that each frees.
    """
    steps = np.diff(rounds, prepend=0.0)
    refilled = ready + np.cumsum(freed)
    cost = fixed_s + price_s * np.cumsum((refilled - freed) * steps)
    return bool(np.any(cost * ready < fixed_s * refilled * (1 - ROUNDING)))


class LearntPrice:
    """The multiplier of one worker's slot constraint, updated by the idle time that waiting cost over what was
    predicted.

    Parameters
    ----------
    multiplier : float
        Where it starts.
    drift : float, optional
        It stays between 1 / drift and drift; None: anywhere.
    """

    def __init__(self, multiplier: float, drift: float | None = None):
        self.multiplier, self.drift = multiplier, drift
        self._waiting = False
        self._predicted = self._actual = 0.0
        self._last_round = self._last_idle = 0

    def observe(self, rounds: int) -> None:
        """Add up the idle slot-rounds since the last decision; the worker has now run `rounds`."""
        if self._waiting:
            self._actual += (rounds - self._last_round) * self._last_idle
        self._last_round = rounds

    def waits(self, idle: int, predicted: float) -> None:
        """Note that the worker decodes on with `idle` slots that could be refilled, and the slot-rounds predicted."""
        if not self._waiting:
            self._waiting, self._predicted, self._actual = True, predicted, 0.0
        self._last_idle = idle

    def nothing_fits(self) -> None:
        """Note that the worker decodes on and no slot could be refilled."""
        self._last_idle = 0

    def learn(self) -> None:
        """Correct the multiplier at a prefill."""
        if self._waiting and self._predicted > 0:
            ratio = max(self._actual, 1.0) / self._predicted
            ratio = min(max(ratio, 1 / LARGEST_CORRECTION), LARGEST_CORRECTION)
            self.multiplier *= ratio**LEARNING
            if self.drift is not None:
                self.multiplier = min(max(self.multiplier, 1 / self.drift), self.drift)
        self._waiting, self._last_idle = False, 0
