"""The hybrid method's online rule: plan order, and decode preempted by a prefill when idle slots are worth it.

Waiting for more completions lets them share one prefill iteration, at the price of idle slots.  With f the fixed
seconds of a prefill iteration, n the requests that fit now, and W_j the priced idle time until j more slots have
emptied, the prefill runs now unless some j ≥ 1 gives a lower cost per refilled slot:

    (f + W_j) / (n + j) < f / n,        W_j = λ Σ_(rounds until the j-th completion) idle slots · round seconds

λ is the multiplier of the slot constraint, in seconds of makespan per idle slot-second.  It starts from the offline
dual (1 / J where the area bound binds; where the KV volume binds, idle slots are worth less in the proportion of the
two bounds) and is updated from what is observed: by the idle time that waiting really cost over what was predicted.

With a plan and known lengths (one worker) the prefills of the plan are due at its rounds: before that a prefill runs
only where idle time that the plan did not foresee, priced by λ until the next one is due, is worth a stall more.
With a plan and estimated lengths its order is taken, and the rule above decides.  Where longest first would overflow
the KV cache and there is no plan, requests are taken in order of arrival, and longest first near the end.  Where the
objective is the total completion and there is no plan, the smallest expected KV volume per weight goes first, and an
idle slot is one of those that the worker would fill now, since the KV cache may not hold as many as there are slots.

See docs/problem.md, sections 2 and 6; the cost per unit as a rule for when to order is that of lot sizing (Silver and
Meal, 1973; least unit cost).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from sortedcontainers import SortedList

from llmsched_mip.plan import Plan
from llmsched_mip.policies.base import Decision, Decode, Problem, WorkerView
from llmsched_mip.policies.estimator import Estimator
from llmsched_mip.policies.longest_first import LongestFirst
from llmsched_mip.policies.queueing import Admission
from llmsched_mip.timing import FloatArray, request_kv_peak, request_kv_volume

LOOKAHEAD = 48
ENDGAME = 0.8
LEARNING = 0.1
LARGEST_CORRECTION = 4.0
LARGEST_DRIFT = 2.0


@dataclass
class _WorkerState:
    """What the rule remembers of one worker."""

    fixed_s: float
    multiplier: float
    finishes: SortedList
    finish_sum: int = 0
    waited_from: int | None = None
    predicted_idle: float = 0.0
    actual_idle: float = 0.0
    last_round: int = 0
    last_idle: int = 0


class Lagrangian(LongestFirst):
    """Requests in the order of the plan (without one: longest expected first), prefilled when priced idle time is
    worth the stall."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.estimator, self.admission = self.make_estimates(problem)
        self.place: list[int] | None = None
        self.due: list[int] | None = None
        if problem.plan is not None:
            self.place, due = _plan_order(problem.plan, len(self.prompts))
            self.due = due if len(problem.workers) == 1 and self.estimator.exact else None
        if self.due is not None:
            self.planned_starts = sorted(self.due)
            self.planned_ends = sorted(r + self.estimator.length(i) for i, r in enumerate(self.due))
        self.by_volume = self.place is None and problem.objective == "total_completion"
        self.by_arrival = self.place is None and not self.by_volume
        self.settled = not self.by_arrival
        self.state = [
            _WorkerState(
                worker.prefill_time.fixed_seconds,
                1.0 if self.by_volume else _first_multiplier(problem, w),
                SortedList(),
            )
            for w, worker in enumerate(problem.workers)
        ]
        self.finish: dict[int, int] = {}
        self.expected: dict[int, int] = {}
        self.waiting_tokens = self.longest_estimate = 0
        self.all_slots = sum(worker.slots or 0 for worker in problem.workers)

    def make_estimates(self, problem: Problem) -> tuple[Estimator, list[Admission]]:
        """Estimates of lengths, and what may be prefilled by them on each worker."""
        return self.estimator, self.admission

    def key(self, request: int, sequence: int) -> Any:
        """Place in the plan, or by expected volume, or longest expected first, or in order of arrival."""
        if self.place is not None:
            return self.place[request]
        if self.by_volume:
            volume = request_kv_volume(self.prompts[request], self.estimator.length(request))
            return volume / float(self.problem.weight[request]), sequence
        return sequence if self.by_arrival else super().key(request, sequence)

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        super().arrived(request, time)
        length = self.expected[request] = self.estimator.length(request)
        self.waiting_tokens += length
        self.longest_estimate = max(self.longest_estimate, length)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        super().completed(request, length, view)
        self._forget(request, view)

    def evict(self, view: WorkerView) -> list[int]:
        """Evict as by default."""
        victims = super().evict(view)
        for i in victims:
            self._forget(i, view)
        return victims

    def _forget(self, request: int, view: WorkerView) -> None:
        finish = self.finish.pop(request, None)
        if finish is not None:
            state = self.state[view.index]
            state.finishes.remove((finish, request))
            state.finish_sum -= finish

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        state = self.state[view.index]
        self._observe(state, view)
        if not self.settled or (self.by_arrival and self._near_the_end(view)):
            self._settle_order()
        if self.due is not None and self.queue:
            return self._by_plan(state, view, self.due)
        batch = self.choose(view)
        if not batch:
            state.last_idle = 0
            return self.otherwise(view, wake=view.free_slots > 0)
        if view.started and not self._urgent(view, batch[0]) and self._worth_waiting(state, view, len(batch)):
            self.admission[view.index].retract(batch)
            state.last_idle = len(batch)
            return Decode(None, wake=True)
        return self._prefill(state, view, batch)

    def _by_plan(self, state: _WorkerState, view: WorkerView, due: list[int]) -> Decision:
        """Prefill what the plan has due; before that only where idle time that the plan did not foresee, until the
        next prefill is due, is worth a stall more."""
        rounds = view.rounds
        # Where nothing is active the next prefill of the plan runs at once, whenever it is due.
        now = rounds if view.started else max(rounds, due[self.queue[0][1]])
        ahead = due[self.queue[0][1]] - now
        idle = min(view.free_slots - self._planned_idle(view), len(self.queue))
        round_s = float(view.worker.decode_time.round_seconds(view.active, view.kv_held))
        early = state.multiplier * max(0, idle) * ahead * round_s > state.fixed_s
        if view.free_slots and (ahead <= 0 or early):
            waiting = self.candidates(view)
            ready = waiting if early else takewhile(lambda i: due[i] <= now, waiting)
            batch = self.admission[view.index].batch(view, ready, self.skip)
            if batch:
                return self._prefill(state, view, batch)
        if not view.started:
            return self.otherwise(view, wake=True)
        return Decode(ahead if ahead > 0 else None, wake=True)

    def _planned_idle(self, view: WorkerView) -> int:
        """Slots that the plan leaves idle at this round."""
        if view.slots is None:
            return 0
        begun = bisect_right(self.planned_starts, view.rounds)
        return view.slots - begun + bisect_right(self.planned_ends, view.rounds)

    def _prefill(self, state: _WorkerState, view: WorkerView, batch: list[int]) -> Decision:
        self._learn(state)
        for i in batch:
            length = self.expected[i]
            self.waiting_tokens -= length
            if self.estimator.exact:
                self.finish[i] = view.rounds + length
                state.finishes.add((self.finish[i], i))
                state.finish_sum += self.finish[i]
        return self.take(batch)

    def _near_the_end(self, view: WorkerView) -> bool:
        """Whether the rounds that are left are few against the longest estimate."""
        return self._rounds_left(view) <= ENDGAME * self.longest_estimate

    def _settle_order(self) -> None:
        """Go over from the order of arrival to longest first, at the start unless that would overflow the KV cache of
        some worker, and near the end in any case."""
        at_start, self.settled = not self.settled, True
        if at_start and self._longest_first_overflows():
            return
        self.by_arrival = False
        self.keys = {i: super(Lagrangian, self).key(i, sequence) for i, sequence in self.keys.items()}
        self.queue = SortedList((self.keys[i], i) for _, i in self.queue)

    def _longest_first_overflows(self) -> bool:
        """Whether some worker's slots, filled with the longest waiting requests, would hold more than its KV cache at
        their end: longest first then leaves slots idle for long, and a mixed order serves better."""
        peaks = sorted((request_kv_peak(self.prompts[i], self.expected[i]) for _, i in self.queue), reverse=True)
        return any(
            worker.kv_capacity is not None and sum(peaks[: worker.slots]) > worker.kv_capacity
            for worker in self.problem.workers
        )

    def _urgent(self, view: WorkerView, request: int) -> bool:
        """Whether the request, started now, is expected to outlast all other work: waiting delays the end."""
        return not self.by_volume and self.estimator.length(request) >= self._rounds_left(view)

    def _rounds_left(self, view: WorkerView) -> float:
        """Expected rounds of the worker until all is done, with its share of the waiting requests by slots."""
        if not view.slots:
            return 0.0
        waiting = self.waiting_tokens * view.slots / self.all_slots
        return (waiting + self._active_tokens(view)) / view.slots

    def _active_tokens(self, view: WorkerView) -> float:
        """Expected tokens that the active requests have still to make."""
        if self.estimator.exact:
            state = self.state[view.index]
            return state.finish_sum - len(state.finishes) * view.rounds
        return float(self.estimator.remaining(view)[0].sum())

    def _worth_waiting(self, state: _WorkerState, view: WorkerView, count: int) -> bool:
        """Whether some j more completions lower the cost per refilled slot."""
        more = min(len(self.queue) - count, LOOKAHEAD)
        if more <= 0 or state.fixed_s <= 0:
            return False
        after = self._rounds_to_completions(state, view, more)
        if not len(after):
            return False
        steps = after.copy()
        steps[1:] -= after[:-1]
        idle = (np.arange(len(steps)) + count) * steps
        round_s = float(view.worker.decode_time.round_seconds(view.active, view.kv_held))
        cost = state.fixed_s + self._price(state, view, count) * round_s * np.cumsum(idle)
        per_slot = cost / (count + 1 + np.arange(len(steps)))
        best = int(np.argmin(per_slot))
        if per_slot[best] >= state.fixed_s / count:
            return False
        if state.waited_from is None:
            state.waited_from, state.predicted_idle = view.rounds, float(np.sum(idle[: best + 1]))
            state.actual_idle = 0.0
        return True

    def _price(self, state: _WorkerState, view: WorkerView, count: int) -> float:
        """Seconds per idle slot-second; by volume the share of what the worker holds when it is full."""
        return state.multiplier / (view.active + count) if self.by_volume else state.multiplier

    def _rounds_to_completions(self, state: _WorkerState, view: WorkerView, most: int) -> FloatArray:
        """Expected rounds until the 1st, 2nd, ... completion; exact when lengths are known."""
        if self.estimator.exact:
            return np.array([f - view.rounds for f, _ in state.finishes.islice(0, most)], dtype=np.float64)
        rate = float(self.estimator.remaining(view)[1].sum())
        return np.arange(1, min(most, view.active) + 1) / rate if rate > 0 else np.empty(0)

    def _observe(self, state: _WorkerState, view: WorkerView) -> None:
        """Add up the idle slot-rounds since the last decision."""
        if state.waited_from is not None:
            state.actual_idle += (view.rounds - state.last_round) * state.last_idle
        state.last_round = view.rounds

    def _learn(self, state: _WorkerState) -> None:
        """Correct the multiplier by what waiting cost over what was predicted."""
        if state.waited_from is not None and state.predicted_idle > 0:
            ratio = max(state.actual_idle, 1.0) / state.predicted_idle
            ratio = min(max(ratio, 1 / LARGEST_CORRECTION), LARGEST_CORRECTION)
            state.multiplier *= ratio**LEARNING
            if self.by_volume:
                state.multiplier = min(max(state.multiplier, 1 / LARGEST_DRIFT), LARGEST_DRIFT)
        state.waited_from, state.last_idle = None, 0


def _first_multiplier(problem: Problem, w: int) -> float:
    """Offline dual of the slot constraint, seconds of makespan per slot-second."""
    slots = problem.workers[w].slots
    if slots is None:
        return 0.0
    bounds = {} if problem.plan is None else problem.plan.claims.bounds
    area, volume = bounds.get("area"), bounds.get("kv_volume")
    share = 1.0 if not area or not volume or volume <= area else area / volume
    return share / slots


def _plan_order(plan: Plan, n: int) -> tuple[list[int], list[int]]:
    """Place of every request, by the decode round at which its stage starts and then as written, and that round."""
    place, due = [n] * n, [0] * n
    entries = []
    for w, own in enumerate(plan.workers):
        begin = np.concatenate(([0], np.cumsum(own.rounds)))[:-1] if len(own) else np.empty(0, dtype=np.int64)
        stage = np.repeat(np.arange(len(own)), np.diff(own.offsets))
        entries += [(int(begin[k]), w, j, int(i)) for j, (k, i) in enumerate(zip(stage, own.requests, strict=True))]
    for position, (begins, _, _, i) in enumerate(sorted(entries)):
        if i >= 0:
            place[i], due[i] = position, begins
    return place, due
