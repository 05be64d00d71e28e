"""Planning anew while requests run: an order of what waits, by expected machine time and age, and a price of waiting.

A plan is made when enough has happened since the last one (a period, arrivals, completions that surprise) from what is
seen at that moment, and takes effect a delay later; until then the old one stands.  In between the hybrid method's rule
decides when to prefill (`lagrangian`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.lagrangian_stochastic import at_risk
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.idle_price import LearntPrice
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.outlook_policy import OutlookPolicy
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.parts.rolling_admission import RollingAdmission
from llmsched_mip.policies.parts.rolling_lives import Lives
from llmsched_mip.policies.parts.rolling_order import RollingOrder
from llmsched_mip.policies.parts.rolling_placement import PATIENCE_S, RollingPlacement
from llmsched_mip.policies.parts.rolling_rollout import WaitingPrice
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import (
    Decision,
    Decode,
    Policy,
    Problem,
    Wait,
    WorkerView,
    decode_or_wait,
    prompt_tokens,
)

CANDIDATES = 64
NEW_SHARE = 0.25
"""Arrivals since the last plan, of what waits, that ask for another."""
DRIFT = 2.0


@dataclass(frozen=True)
class Settings:
    """Options of `rolling`.

    Parameters
    ----------
    period : float
        Most seconds between two plans, above 0.
    delay : float
        Seconds from asking for a plan to its effect, at least 0.
    ageing : float
        Multiple of the latency that order of arrival would give at which a request goes in front of the others; 0: no
        ageing.
    risk : float
        Accepted risk of a KV overflow in a round ahead, above 0 and at most 0.5.
    trials : float
        Work that one plan may take: the present state is run on so many times, at least 0.
    """

    period: float = 5.0
    delay: float = 1.0
    ageing: float = 1.0
    risk: float = 0.05
    trials: float = 0


def settings(option: str) -> Settings:
    """The options that ``period=5,delay=1,ageing=0`` says, each of them optional; raises `InvalidInputError`."""
    names = [field.name for field in fields(Settings)]
    given: dict[str, float] = {}
    for part in option.split(","):
        name, _, text = part.partition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        least = name in ("delay", "ageing", "trials")
        most = 0.5 if name == "risk" else 1e9
        if name not in names or name in given or not (0 < number <= most or (least and number == 0)):
            expected = "period=S,delay=S,ageing=FACTOR,risk=SHARE,trials=N, each once or not at all"
            raise InvalidInputError("policy", f"rolling: expected {expected}, got {option!r}")
        given[name] = number
    return Settings(**given)


def rolling(problem: Problem, option: str | None = None) -> Policy:
    """`Rolling` for the total completion, `Lagrangian` for the makespan."""
    chosen = Settings() if option is None else settings(option)
    if problem.objective == "total_completion" and problem.plan is None:
        return Rolling(problem, chosen)
    return at_risk(problem, chosen.risk)


class Rolling(OutlookPolicy):
    """For the total completion and for latency: order by plans, and between them the rule of `Lagrangian`.

    A batch passes over what does not fit now, unless that has waited too long.

    Parameters
    ----------
    problem : Problem
    chosen : Settings
    """

    def __init__(self, problem: Problem, chosen: Settings):
        self.problem, self.chosen, prompts = problem, chosen, prompt_tokens(problem)
        self.estimator = estimator_for(problem)
        self.admission = [Admission(worker, self.estimator, prompts) for worker in problem.workers]
        lives = None
        if not self.estimator.exact:
            lives = Lives(problem, self.estimator)
            self.admission = [RollingAdmission(worker, lives, prompts, chosen.risk) for worker in problem.workers]
        self.order = RollingOrder(problem, self.estimator, lives, chosen.ageing)
        self.backlog = Backlog(problem, self.order.first_key, self.estimator, self.admission)
        self.outlook = Outlook(self.estimator, problem)
        self.progress: WorkInProgress = WorkInProgress(problem, self.outlook)
        self.price = [LearntPrice(1.0, DRIFT) for _ in problem.workers]
        self.fixed_s = [worker.prefill_time.fixed_seconds for worker in problem.workers]
        self.placement = RollingPlacement(problem, self.estimator) if len(problem.workers) > 1 else None
        self.new, self.leaves = 0, False
        self.asked, self.effective = -math.inf, math.inf
        self.planned: dict[int, tuple[float, int]] = {}
        self.waiting_price = WaitingPrice(problem, self.estimator, int(chosen.trials))
        self.multiplier = 1.0

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        self.order.arrived(request, time)
        super().arrived(request, time)
        self.new += 1
        self._follow(time)

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The queue in the order of the plan that is in effect."""
        self._follow(view.time)
        return self.backlog.queue

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        super().completed(request, length, view)
        self.order.completed(request, length)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        self._follow(view.time)
        price = self.price[view.index]
        price.observe(view.rounds)
        self.waiting_price.observe(view)
        if self.placement is not None:
            self.placement.observe(view)
        batch = self._choose(view)
        if not batch:
            price.nothing_fits()
            if self.leaves and not view.started:
                # Whoever it is left to may not take it.
                return Wait(view.time + PATIENCE_S)
            return decode_or_wait(view, wake=view.free_slots > 0)
        if view.started:
            multiplier = self.multiplier * price.multiplier / (view.active + len(batch))
            predicted = self.idle_until_cheaper(view, batch, multiplier)
            if predicted is not None:
                self.admission[view.index].retract(batch)
                price.waits(len(batch), predicted)
                return Decode(None, wake=True)
        price.learn()
        self.outlook.started(batch, view)
        if self.placement is not None:
            self.placement.taken(batch, view)
        return self.backlog.take(batch)

    def _choose(self, view: WorkerView) -> list[int]:
        """A batch that fits now, not yet taken from the queue; `leaves`: some are left to another worker."""
        queue, self.leaves = self.backlog.queue, False
        if view.free_slots == 0 or not queue:
            return []
        near = candidates = list(islice(self.backlog.candidates(view), CANDIDATES))
        if self.placement is not None:
            elsewhere, since = self.placement.elsewhere, self.order.since
            candidates = [i for i in near if not elsewhere(i, view, view.time - float(since[i]))]
        self.leaves = len(candidates) < len(near)
        if not candidates:
            return []
        passes = not self.order.overdue(candidates[0], view.time)
        batch = self.admission[view.index].batch(view, candidates, passes)
        count = self.progress.cut(batch, view)
        self.admission[view.index].retract(batch[count:])
        return batch[:count]

    def _follow(self, time: float) -> None:
        """Put the plan that was asked for into effect when its time has come, and ask for another when that is due."""
        if time >= self.effective:
            self.backlog.queue.place(self.planned)
            self.multiplier = self.waiting_price.multiplier
            self.effective = math.inf
        waiting = len(self.backlog.queue)
        if self.effective < math.inf or not waiting:
            return
        if time >= self.asked + self.chosen.period or self.new > max(1.0, NEW_SHARE * waiting):
            self._plan(time)

    def _plan(self, time: float) -> None:
        """Order all that waits, as it will stand when the plan takes effect."""
        self.asked, self.effective, self.new = time, time + self.chosen.delay, 0
        waiting = np.fromiter(self.backlog.queue, dtype=np.int64, count=len(self.backlog.queue))
        number = self.backlog.queue.number
        priorities = self.order.priorities(waiting, self.effective)
        self.planned = {i: (x, number[i]) for i, x in zip(waiting.tolist(), priorities.tolist(), strict=True)}
        self.waiting_price.plan(waiting[np.argsort(priorities, kind="stable")])
