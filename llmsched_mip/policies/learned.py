"""A parametric rule whose numbers are trained on the simulator (`llmsched train`).

Priorities of the requests that wait, the price of idle slots and the accepted risk of a KV overflow are those of the
hand-made rules with free numbers between them (`parts.learned_parameters`).  `learned` takes the numbers that ship with
the package, ``learned:FILE`` those of a policy file.  A file has an entry for each objective, what is visible of the
lengths, and family that it was trained for; of those that fit, the rule takes the one whose workload is most like its
own when it first decides (`parts.learned_file.likeness`).
"""

from __future__ import annotations

import math
from dataclasses import replace

from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.idle_price import LearntPrice
from llmsched_mip.policies.parts.learned_admission import Gate, gated_admission
from llmsched_mip.policies.parts.learned_file import PolicyFile, read_policy, shipped_policy
from llmsched_mip.policies.parts.learned_order import LearnedOrder
from llmsched_mip.policies.parts.learned_parameters import NEVER_WAITS, NO_LIMIT, Parameters
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.outlook_policy import OutlookPolicy
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import Decision, Decode, Policy, Problem, WorkerView, decode_or_wait, prompt_tokens

LARGEST_DRIFT = 2.0


def learned(problem: Problem, option: str | None = None) -> Policy:
    """`LearnedPolicy` of the shipped policy file, or of the one that the option names."""
    return LearnedPolicy(problem, policy_file(option))


def policy_file(option: str | None) -> PolicyFile:
    """The policy file that an option names, without one that of the package; raises as `read_policy`."""
    return shipped_policy() if option is None else read_policy(option)


class LearnedPolicy(Policy):
    """The rule of the entry that is most like the workload, chosen when it is first asked to decide; without one that
    is like it `Lagrangian`.

    Parameters
    ----------
    problem : Problem
    file : PolicyFile
    """

    def __init__(self, problem: Problem, file: PolicyFile):
        self.problem, self.file = problem, file
        self.waiting: list[tuple[int, float]] = []
        self.rule: OutlookPolicy | None = None

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        if self.rule is None:
            self.waiting.append((request, time))
        else:
            self.rule.arrived(request, time)

    def chosen(self) -> OutlookPolicy:
        """The rule, made of the entry for the requests that have arrived by now."""
        if self.rule is None:
            parameters = self.file.parameters(self.problem, [i for i, _ in self.waiting])
            if parameters is None:
                self.rule = Lagrangian(replace(self.problem, plan=None))
            else:
                self.rule = LearnedRule(self.problem, parameters)
            for request, time in self.waiting:
                self.rule.arrived(request, time)
        return self.rule

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The requests that wait, in the learned order."""
        return self.chosen().ranked(view)

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        self.chosen().admitted(request, view)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        return self.chosen().decide(view) if self.rule or self.waiting else decode_or_wait(view, wake=True)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        self.chosen().completed(request, length, view)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last, of several the last to arrive."""
        return self.chosen().evict(view)


class LearnedRule(OutlookPolicy):
    """The rule of given numbers.

    Parameters
    ----------
    problem : Problem
    parameters : Parameters
    """

    def __init__(self, problem: Problem, parameters: Parameters):
        self.parameters = parameters
        estimator, prompts = estimator_for(problem), prompt_tokens(problem)
        self.gates = [Gate(worker, parameters, lambda: self.order.mean_length) for worker in problem.workers]
        admission: list[Admission] = [
            gated_admission(worker, estimator, prompts, gate)
            for worker, gate in zip(problem.workers, self.gates, strict=True)
        ]
        self.backlog = Backlog(problem, lambda _, number: (math.inf, number), estimator, admission)
        self.outlook = Outlook(estimator, problem)
        self.order = LearnedOrder(problem, self.backlog, self.outlook, parameters)
        self.makespan = problem.objective == "makespan"
        limited = not self.makespan and parameters.in_progress < NO_LIMIT
        self.progress = WorkInProgress(problem, self.outlook, math.exp(parameters.in_progress)) if limited else None
        self.fixed_s = [worker.prefill_time.fixed_seconds for worker in problem.workers]
        self.price = [LearntPrice(1.0, LARGEST_DRIFT) for _ in problem.workers]

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        super().arrived(request, time)
        self.order.arrived(request, time)

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The requests that wait, in the learned order."""
        self.order.refresh(view)
        return self.backlog.queue

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last, of several the last to arrive; then a pause."""
        self.gates[view.index].overflowed = True
        return super().evict(view)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        backlog, price = self.backlog, self.price[view.index]
        price.observe(view.rounds)
        if view.free_slots:
            self.order.refresh(view)
        batch = backlog.choose(view, progress=self.progress)
        if not batch:
            price.nothing_fits()
            return self._decode(view)
        if view.started and not self._urgent(batch[0], view):
            predicted = self._idle_until_cheaper(view, batch)
            if predicted is not None or len(batch) < min(self._least(view), len(backlog.queue)):
                backlog.admission[view.index].retract(batch)
                price.waits(len(batch), predicted or 0.0)
                return self._decode(view)
        price.learn()
        self.outlook.started(batch, view)
        return backlog.take(batch)

    def _decode(self, view: WorkerView) -> Decision:
        """Decode until the next completion, until more slots open, or until the first of the queue fits."""
        if not view.started:
            return decode_or_wait(view, wake=True)
        if self.progress is not None and self.backlog.limited(view, self.progress):
            return Decode(None, wake=True)
        ends = [self.gates[view.index].rounds_to_open(view), self.backlog.until_the_first_fits(view)]
        return Decode(min((rounds for rounds in ends if rounds is not None), default=None), wake=view.free_slots > 0)

    def _least(self, view: WorkerView) -> int:
        """Fewest requests of a prefill."""
        return max(1, round(self.parameters.least * (view.slots or view.active)))

    def _urgent(self, request: int, view: WorkerView) -> bool:
        """Whether the request, started now, is expected to outlast all other work: waiting delays the end."""
        return self.makespan and self.backlog.estimator.length(request) >= self.outlook.rounds_left(view)

    def _idle_until_cheaper(self, view: WorkerView, batch: list[int]) -> float | None:
        """Slot-rounds that will be idle until some more completions lower the cost per refilled slot; None: none do."""
        if self.parameters.idle_price >= NEVER_WAITS:
            return None
        count = len(batch)
        slots = view.slots if self.makespan and view.slots else view.active + count
        load = 0.0 if view.worker.kv_capacity is None else view.kv_held / view.worker.kv_capacity - 0.5
        learned = math.exp(self.parameters.idle_price + self.parameters.idle_price_kv * load)
        if self.parameters.lot_size > 0.5 and not self.backlog.estimator.exact:
            pays = self.lot_waits(view, count, learned * view.worker.decode_time.base_s / slots)
            return 0.0 if pays else None
        return self.idle_until_cheaper(view, batch, self.price[view.index].multiplier * learned / slots)
