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
With a plan and estimated lengths its order is taken, and the rule above decides.  Without a plan, where KV binds and
not the slots and lengths are known, idle KV is priced instead, and large requests go first (`parts.kv_refill`).  Where
only longest first would overflow the KV cache and there is no plan, requests are taken in order of arrival, and longest
first near the end.  Where the objective is the total completion and there is no plan, the smallest expected machine
time per weight goes first, an idle slot is one of those that the worker would fill now, since the KV cache may not hold
as many as there are slots, and what is in progress is limited, since each prefill delays it (`parts.work_in_progress`).

Where lengths are hidden and the makespan counts, the prefill waits by its lot size (`parts.lot_size`), with an idle
slot worth its share of the fixed seconds of a round, and the KV check counts the requests that will take the slots of
those that run (`parts.refill_admission`).

`lagrangian:published` is the rule without any of this (`lagrangian_published`).

See docs/problem.md, sections 2 and 6; the cost per unit as a rule for when to order is that of lot sizing (Silver and
Meal, 1973; least unit cost).
"""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.lagrangian_published import PublishedLagrangian
from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.hidden_admission import hidden_admission
from llmsched_mip.policies.parts.idle_price import LearntPrice, offline_dual
from llmsched_mip.policies.parts.kv_refill import KVRefill
from llmsched_mip.policies.parts.mixed_order import MixedOrder
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.outlook_policy import OutlookPolicy
from llmsched_mip.policies.parts.plan_times import PlanTimes, start_order
from llmsched_mip.policies.parts.queue import WaitingQueue, by_arrival
from llmsched_mip.policies.parts.ranking import Renewal
from llmsched_mip.policies.parts.survival import SurvivalEstimator, estimator_for
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import Decision, Decode, Policy, Problem, WorkerView, decode_or_wait

LARGEST_DRIFT = 2.0


def lagrangian(problem: Problem, option: str | None = None) -> Policy:
    """`Lagrangian`, or with the option ``published`` `PublishedLagrangian`."""
    return Lagrangian(problem) if option is None else variant(option)(problem)


def variant(option: str) -> type[PublishedLagrangian]:
    """The rule that an option names; raises `InvalidInputError`."""
    if option != "published":
        raise InvalidInputError("policy", f"lagrangian: expected the option 'published', got {option!r}")
    return PublishedLagrangian


class Lagrangian(OutlookPolicy):
    """Requests in the order of the plan (without one: longest expected first), prefilled when priced idle time is
    worth the stall.

    Parameters
    ----------
    problem : Problem
    estimator : Estimator, optional
    admission : list of Admission, optional
        One for each worker, with the same estimator.
    """

    def __init__(self, problem: Problem, estimator: Estimator | None = None, admission: list[Admission] | None = None):
        estimator = estimator_for(problem) if estimator is None else estimator
        plan = problem.plan
        self.merges = problem.objective == "makespan" and isinstance(estimator, SurvivalEstimator)
        self.by_work = plan is None and problem.objective == "total_completion"
        if admission is None and isinstance(estimator, SurvivalEstimator) and (self.merges or self.by_work):
            admission = hidden_admission(problem, estimator)
        self.fixed_s = [worker.prefill_time.fixed_seconds for worker in problem.workers]
        self.outlook = Outlook(estimator, problem)
        self.progress = WorkInProgress(problem, self.outlook) if self.by_work else None
        self.times: PlanTimes | None = None
        self.order: MixedOrder | None = None
        self.kv: KVRefill | None = None
        self.renewal = Renewal(estimator)
        if plan is not None:
            place = start_order(plan, len(problem.prefill_tokens))
            self.backlog = Backlog(problem, lambda request, _: place[request], estimator, admission)
            if len(problem.workers) == 1 and estimator.exact:
                self.times = PlanTimes(plan, self.backlog)
            elif estimator.exact and problem.objective == "makespan" and plan.duals:
                self.kv = KVRefill(problem, self.backlog, self.outlook)
        elif self.by_work:
            self.backlog = Backlog(problem, keys.smallest_machine_time_first(problem, estimator), estimator, admission)
        else:
            self.backlog = Backlog(problem, by_arrival, estimator, admission)
            self.order = MixedOrder(problem, self.backlog, self.outlook)
            if estimator.exact:
                self.kv = KVRefill(problem, self.backlog, self.outlook)
        if self.by_work:
            self.price = [LearntPrice(1.0, LARGEST_DRIFT) for _ in problem.workers]
        else:
            self.price = [LearntPrice(offline_dual(problem, w)) for w in range(len(problem.workers))]

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        super().arrived(request, time)
        if self.kv is not None:
            self.kv.arrived(request)

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The queue in the order that is due: of the plan, by machine time, by arrival, or longest first in the end."""
        if (self.kv is None or not self._kv_binds(self.kv, view)) and self.order is not None:
            self.order.settle(view)
        self._renew(view)
        return self.backlog.queue

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        super().admitted(request, view)
        if self.kv is not None:
            self.kv.taken([request])

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        backlog, price = self.backlog, self.price[view.index]
        if self.kv is not None and self._kv_binds(self.kv, view):
            return self._refill(self.kv, view)
        price.observe(view.rounds)
        if self.order is not None:
            self.order.settle(view)
        self._renew(view)
        if self.times is not None and backlog.queue:
            batch, ahead = self.times.choose(view, price.multiplier, self.fixed_s[view.index])
            if batch or not view.started:
                return self._prefill(batch, view) if batch else decode_or_wait(view, wake=True)
            return Decode(ahead if ahead > 0 else None, wake=True)
        batch = backlog.choose(view, progress=self.progress)
        if not batch:
            price.nothing_fits()
            return self._decode(view)
        if view.started and not self._urgent(batch[0], view):
            predicted = None if self.merges else self._idle_until_cheaper(view, batch)
            if predicted is not None:
                price.waits(len(batch), predicted)
            if predicted is not None or (self.merges and self._merging_pays(view, len(batch))):
                backlog.admission[view.index].retract(batch)
                return Decode(None, wake=True)
        return self._prefill(batch, view)

    def _decode(self, view: WorkerView) -> Decision:
        """Decode until the next completion, where completion times are added up until the first of the queue fits."""
        wake, rounds = view.free_slots > 0, None
        if self.progress is not None and view.started and not self.backlog.limited(view, self.progress):
            rounds = self.backlog.until_the_first_fits(view)
        return decode_or_wait(view, wake) if rounds is None else Decode(rounds, wake)

    def _renew(self, view: WorkerView) -> None:
        if self.renewal.refresh(self.backlog.queue):
            self.outlook.renew(self.backlog.queue)
            if self.order is not None:
                self.order.renew(view)

    def _kv_binds(self, kv: KVRefill, view: WorkerView) -> bool:
        kv.settle()
        if any(kv.price):
            self.order = None
        elif kv.price:
            self.kv = None
        return bool(kv.price) and kv.price[view.index] > 0

    def _refill(self, kv: KVRefill, view: WorkerView) -> Decision:
        """`decide` where KV binds."""
        batch = kv.choose(view)
        if not batch:
            return decode_or_wait(view, wake=view.free_slots > 0)
        if view.started and not self._urgent(batch[0], view) and kv.waits(view, batch, self.fixed_s[view.index]):
            self.backlog.admission[view.index].retract(batch)
            return Decode(None, wake=True)
        return self._prefill(batch, view)

    def _prefill(self, batch: list[int], view: WorkerView) -> Decision:
        if self.kv is not None:
            self.kv.taken(batch)
        self.price[view.index].learn()
        self.outlook.started(batch, view)
        return self.backlog.take(batch)

    def _urgent(self, request: int, view: WorkerView) -> bool:
        """Whether the request, started now, is expected to outlast all other work: waiting delays the end.

        Where lengths are hidden, the last of the queue will outlast it if it is as long, for it starts later.
        """
        if self.by_work:
            return False
        estimator, queue = self.backlog.estimator, self.backlog.queue
        length = estimator.length(request)
        if self.merges and len(queue) > view.free_slots:
            starts = (len(queue) - view.free_slots) * length / view.active
            if length < starts + estimator.length(queue.last):
                return False
        return length >= self.outlook.rounds_left(view)

    def _merging_pays(self, view: WorkerView, count: int) -> bool:
        """Whether some of the next completions should share the prefill iteration of a batch of `count`.

        Where lengths are hidden and the makespan counts, an idle slot is worth its share of the fixed seconds of a
        round: all else of the work is conserved (docs/problem.md, section 2).
        """
        return self.lot_waits(view, count, view.worker.decode_time.base_s / (view.active + count))

    def _idle_until_cheaper(self, view: WorkerView, batch: list[int]) -> float | None:
        """`idle_until_cheaper` at the learnt price; by machine time an idle slot is a share of what the worker holds
        when it is full."""
        multiplier = self.price[view.index].multiplier
        return self.idle_until_cheaper(
            view, batch, multiplier / (view.active + len(batch)) if self.by_work else multiplier
        )
