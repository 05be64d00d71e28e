"""The Lagrangian rule as docs/problem.md, section 6, states it, and no more.

Before every iteration, with A active requests and a batch B that fits now: a prefill stalls A of J slots for the
seconds of its iteration: A / J of them are lost.  Waiting keeps |B| slots idle, at λ seconds of makespan per
slot-second.  The prefill runs as soon as the slot-seconds that stood idle since the last one are worth its stall:

    λ Σ_(rounds since the last prefill) |B| · round seconds  ≥  A / J · prefill seconds of B

λ starts from the offline dual of the slot constraint (`offline_dual`).  After each prefill a tenth of it gives way to
what a slot-second has been worth since the one before: the seconds of the rounds over their busy slot-seconds.  The
statement leaves these two details open, and what J is where slots have no limit: what the worker would hold, A + |B|.
"""

from __future__ import annotations

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.idle_price import offline_dual
from llmsched_mip.policies.parts.plan_times import start_order
from llmsched_mip.policies.protocol import Decision, Decode, Problem, WorkerView, decode_or_wait

LEARNING = 0.1
ROUNDING = 1e-9


class PublishedLagrangian(BacklogPolicy):
    """Requests in the order of the plan (without one: longest expected first), prefilled when the priced idle time
    since the last prefill is worth the stall.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem):
        estimator = Estimator(problem.lengths)
        key = keys.longest_first(estimator)
        if problem.plan is not None:
            place = start_order(problem.plan, len(problem.prefill_tokens))
            key = lambda request, _: place[request]  # noqa: E731
        self.backlog = Backlog(problem, key, estimator)
        self.cycle = [_Cycle(offline_dual(problem, w)) for w in range(len(problem.workers))]

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the idle time is worth it."""
        cycle = self.cycle[view.index]
        cycle.observe(view.time)
        batch = self.backlog.choose(view)
        if not batch:
            cycle.decodes(view.active, 0)
            return decode_or_wait(view, wake=view.free_slots > 0)
        if view.started:
            seconds = view.worker.prefill_time.seconds(sum(self.backlog.prompts[i] for i in batch))
            stall = view.active * seconds / (view.slots or view.active + len(batch))
            worth = stall / (cycle.multiplier or 1 / (view.active + len(batch)))
            if cycle.idle < worth * (1 - ROUNDING):
                self.backlog.admission[view.index].retract(batch)
                cycle.decodes(view.active, len(batch))
                missing = (worth - cycle.idle) / len(batch)
                return Decode(view.worker.decode_time.rounds_to_pass(missing, view.active, view.kv_held), wake=True)
        cycle.learn()
        return self.backlog.take(batch)


class _Cycle:
    """What one worker did since its last prefill, and the price of its slot-seconds."""

    def __init__(self, multiplier: float):
        self.multiplier = multiplier
        self.idle = self._busy = self._seconds = self._time = 0.0
        self._active = self._waiting = 0

    def observe(self, time: float) -> None:
        """Add up the slot-seconds since the last decision."""
        if self._active:
            passed = time - self._time
            self._seconds += passed
            self._busy += self._active * passed
            self.idle += self._waiting * passed
        self._time = time

    def decodes(self, active: int, waiting: int) -> None:
        """Note a run of rounds with `active` requests while `waiting` slots could be refilled."""
        self._active, self._waiting = active, waiting

    def learn(self) -> None:
        """At a prefill: correct the multiplier by what a slot-second was worth, and begin anew."""
        if self._busy > 0:
            worth = self._seconds / self._busy
            self.multiplier += (LEARNING if self.multiplier else 1.0) * (worth - self.multiplier)
        self.idle = self._busy = self._seconds = 0.0
        self._active = self._waiting = 0
