"""`evaluate(instance, plan)`: the schedule of a plan, its measures, and every violation in it.

Nothing here is shared with the replay executor but `timing`: this reading of the model works on sorted round
numbers of all events of a worker at once, the executor steps from event to event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsched_mip import claims
from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.instance import Instance, Worker
from llmsched_mip.io.plan_content import sound
from llmsched_mip.measures import Measures, Schedule, WorkerTotals, WorkerUsage, measure
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.texts import counted, seconds_text
from llmsched_mip.timing import FloatArray, IntArray, run_kv_peak
from llmsched_mip.violations import Violation


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of `evaluate`: no `violations` exactly when the plan is feasible and its claims are true."""

    schedule: Schedule
    measures: Measures
    violations: list[Violation]

    @property
    def feasible(self) -> bool:
        """Whether the plan breaks nothing."""
        return not self.violations

    def __repr__(self) -> str:
        found = self.violations
        state = f"{counted(len(found), 'violation')}, the first: {found[0]}" if found else "feasible"
        return f"Evaluation({state}, makespan {seconds_text(self.measures.makespan)} s)"


def evaluate(instance: Instance, plan: Plan) -> Evaluation:
    """Execute the stages as written with the true d_i (docs/problem.md, sections 2, 3 and 7).

    Parameters
    ----------
    instance : Instance
    plan : Plan

    Returns
    -------
    Evaluation
        Times are NaN for requests that do not complete; every violation is listed, those of the plan's claims
        (value, gap, bound, status, digest) included, and those of content of a wrong type, shape or range, whatever
        stands in the plan.
    """
    n = instance.n
    plan, unsound = sound(instance, plan)
    schedule = Schedule(np.full(n, -1), np.full(n, -1), *(np.full(n, np.nan) for _ in range(4)))
    violations: list[Violation] = unsound
    totals: list[WorkerTotals] = []
    by_name = {stages.name: stages for stages in plan.workers}
    violations += _worker_names(instance, plan)
    for w, worker in enumerate(instance.workers):
        stages = by_name.get(worker.name)
        if stages is None or len(stages) == 0:
            totals.append(WorkerTotals(worker.name, 0.0, 0, 0, 0))
            continue
        timeline = _Timeline(instance, worker, stages)
        violations += timeline.violations
        totals.append(timeline.totals())
        timeline.fill(schedule, w)
    violations += _served_once(instance, plan)
    measures = measure(instance, schedule, totals)
    violations += claims.check(instance, plan, measures)
    return Evaluation(schedule, measures, violations)


def require_feasible(evaluation: Evaluation, what: str) -> None:
    """Raise `InvalidPlanError` with the first violation and how many there are."""
    found = evaluation.violations
    if found:
        more = f" (and {len(found) - 1} more, see llmsched check)" if len(found) > 1 else ""
        raise InvalidPlanError(f"{what}: not a feasible plan: {found[0]}{more}")


def worker_usage(instance: Instance, plan: Plan) -> list[WorkerUsage]:
    """Slots and KV cache over time, one entry for every worker of a feasible `plan` that has stages."""
    workers = {worker.name: worker for worker in instance.workers}
    return [_Timeline(instance, workers[stages.name], stages).usage() for stages in plan.workers if len(stages)]


def _worker_names(instance: Instance, plan: Plan) -> list[Violation]:
    known = {worker.name for worker in instance.workers}
    found = []
    names = [stages.name for stages in plan.workers]
    for k, name in enumerate(names):
        if name not in known:
            found.append(Violation("worker", f"worker {name!r} is not in the instance", name))
        if name in names[:k]:
            found.append(Violation("worker", f"worker {name!r} stands twice in the plan", name))
    return found


def _served_once(instance: Instance, plan: Plan) -> list[Violation]:
    counts = np.zeros(instance.n, dtype=np.int64)
    for stages in plan.workers:
        known = (stages.requests >= 0) & (stages.requests < instance.n)
        np.add.at(counts, stages.requests[known], 1)
    ids = instance.requests.id
    return [
        Violation("request", f"request {ids[i]!r} appears {counts[i]} times, expected once", request=ids[i])
        for i in np.flatnonzero(counts != 1).tolist()
    ]


class _Timeline:
    """One worker's stages laid out over its decode rounds.

    A *job* is one appearance of a known request in a stage.  Job j starts after ``start[j]`` rounds have been
    run and ends with round ``end[j] = start[j] + d``.  Between two neighbouring *boundaries* (starts, ends,
    stage borders) the active set does not change, so a segment's duration is a closed form.
    """

    def __init__(self, instance: Instance, worker: Worker, stages: WorkerPlan):
        self.instance, self.worker, self.stages = instance, worker, stages
        self.violations: list[Violation] = []
        stage_of = np.repeat(np.arange(len(stages)), np.diff(stages.offsets))
        known = (stages.requests >= 0) & (stages.requests < instance.n)
        self.position = np.flatnonzero(known)
        self.stage, self.request = stage_of[known], stages.requests[known]
        self.p = instance.requests.prefill_tokens[self.request]
        self.d = instance.requests.decode_tokens[self.request]
        rounds = np.maximum(stages.rounds, 0)
        self.border = np.concatenate(([0], np.cumsum(rounds)))
        self.start = self.border[self.stage]
        self.end = self.start + self.d
        self._segments()
        self._stage_times()
        self._check(stage_of)

    def _segments(self) -> None:
        last = self.border[-1]
        ends_inside = self.end[self.end <= last]
        self.boundary = np.unique(np.concatenate((self.border, ends_inside)))
        left = self.boundary[:-1]
        order_s, order_e = np.argsort(self.start, kind="stable"), np.argsort(self.end, kind="stable")
        begun = np.searchsorted(self.start[order_s], left, side="right")
        done = np.searchsorted(self.end[order_e], left, side="right")
        offset = self.p - self.start
        sum_begun = np.concatenate(([0], np.cumsum(offset[order_s])))
        sum_done = np.concatenate(([0], np.cumsum(offset[order_e])))
        self.active = begun - done
        self.kv_before = sum_begun[begun] - sum_done[done] + self.active * left
        self.rounds = np.diff(self.boundary)
        self.kv_peak = run_kv_peak(self.rounds, self.active, self.kv_before)
        self.segment_s = self.worker.decode_time.run_seconds(self.rounds, self.active, self.kv_before)
        self.decoded_s = np.concatenate(([0.0], np.cumsum(self.segment_s)))

    def _stage_times(self) -> None:
        """Start and prefill end of every stage; a stage waits for its arrivals and its `not_before_s`."""
        count, requests = len(self.stages), self.instance.requests
        self.tokens = np.bincount(self.stage, weights=self.p, minlength=count).astype(np.int64)
        self.prefill_s = np.asarray(self.worker.prefill_time.seconds(self.tokens), dtype=np.float64)
        ready = np.zeros(count)
        np.maximum.at(ready, self.stage, requests.arrival_s[self.request])
        if self.stages.not_before_s is not None:
            ready = np.maximum(ready, self.stages.not_before_s)
        decode_s = np.diff(self.decoded_s[np.searchsorted(self.boundary, self.border)])
        elapsed = np.concatenate(([0.0], np.cumsum(self.prefill_s + decode_s)))
        with np.errstate(invalid="ignore"):
            late = np.maximum.accumulate(np.maximum(ready - elapsed[:-1], 0.0))
        self.stage_start_s = elapsed[:-1] + late
        self.decode_start_s = self.stage_start_s + self.prefill_s

    def _time_of_round(self, rounds: IntArray) -> FloatArray:
        """Seconds at the end of the given rounds (numbers from 1) that this worker runs."""
        stage = np.searchsorted(self.border[:-1], rounds, side="left") - 1
        segment = np.minimum(np.searchsorted(self.boundary, rounds, side="left") - 1, len(self.rounds) - 1)
        into = rounds - self.boundary[segment]
        decoded = self.decoded_s[segment] + self.worker.decode_time.run_seconds(
            into, self.active[segment], self.kv_before[segment]
        )
        begin = self.decoded_s[np.searchsorted(self.boundary, self.border[stage])]
        return np.asarray(self.decode_start_s[stage] + (decoded - begin))

    def fill(self, schedule: Schedule, w: int) -> None:
        """Write the times of this worker's requests; of two appearances of a request the first counts."""
        last = self.border[-1]
        first = np.unique(self.request, return_index=True)[1]
        first = first[schedule.worker[self.request[first]] < 0]
        request = self.request[first]
        schedule.worker[request] = w
        if self.stages.slots is not None:
            schedule.slot[request] = self.stages.slots[self.position[first]]
        schedule.prefill_start_s[request] = self.stage_start_s[self.stage[first]]
        schedule.decode_start_s[request] = self.decode_start_s[self.stage[first]]
        for into, rounds in (
            (schedule.first_token_s, self.start[first] + 1),
            (schedule.completion_s, self.end[first]),
        ):
            ran = rounds <= last
            into[request[ran]] = self._time_of_round(rounds[ran])

    def usage(self) -> WorkerUsage:
        """Prefill iterations and runs of decode rounds in order of time."""
        stage = self._stage_of_segment()
        first = np.searchsorted(self.boundary, self.border[stage])
        begin = self.decode_start_s[stage] + (self.decoded_s[:-1] - self.decoded_s[first])
        prefills, runs = np.zeros(len(self.stages), dtype=np.int64), np.zeros(len(self.rounds), dtype=np.int64)

        def both(of_prefills: Any, of_runs: Any) -> Any:
            return np.concatenate((of_prefills, of_runs))[order]

        order = np.lexsort((np.concatenate((prefills, runs + 1)), np.concatenate((np.arange(len(prefills)), stage))))
        return WorkerUsage(
            self.worker.name,
            both(self.stage_start_s, begin),
            both(self.decode_start_s, begin + self.segment_s),
            both(np.ones(len(prefills), dtype=bool), np.zeros(len(runs), dtype=bool)),
            both(self.tokens, runs),
            both(prefills, self.rounds),
            both(self.prefill_held, self.active),
            both(self.prefill_kv, self.kv_before + self.active),
            both(self.prefill_kv, self.kv_peak),
        )

    def totals(self) -> WorkerTotals:
        """Totals of the worker; duration × requests served for its utilization."""
        served = np.bincount(self.stage, minlength=len(self.stages))
        busy = float(np.sum(self.prefill_s * served) + np.sum(self.segment_s * self.active))
        peak = max(int(self.kv_peak.max(initial=0)), int(self.prefill_kv.max(initial=0)))
        return WorkerTotals(self.worker.name, busy, len(self.stages), int(self.border[-1]), peak)

    def _add(self, kind: str, stage: Any, message: str, request: str | None = None) -> None:
        where = f"worker {self.worker.name!r}, stage {stage}: "
        self.violations.append(Violation(kind, where + message, self.worker.name, int(stage), request))

    def _check(self, stage_of: IntArray) -> None:
        stages, ids = self.stages, self.instance.requests.id
        known = (stages.requests >= 0) & (stages.requests < self.instance.n)
        for position in np.flatnonzero(~known).tolist():
            name = stages.unknown.get(position, str(stages.requests[position]))
            self._add("request", stage_of[position], f"request {name!r} is not in the instance", name)
        for k in np.flatnonzero(stages.rounds < 0):
            self._add("rounds", k, f"rounds {stages.rounds[k]}, expected ≥ 0")
        for k in np.flatnonzero(np.diff(stages.offsets) == 0):
            self._add("request", k, "no requests; a prefill iteration needs at least one")
        cap = self.worker.max_prefill_tokens
        if cap is not None:
            for k in np.flatnonzero(self.tokens > cap):
                self._add("prefill", k, f"prefills {self.tokens[k]} tokens in one iteration, at most {cap} allowed")
        for j in np.flatnonzero(self.end > self.border[-1]):
            made = self.border[-1] - self.start[j]
            name = ids[self.request[j]]
            self._add("incomplete", self.stage[j], f"request {name!r} makes {made} of {self.d[j]} tokens", name)
        self._check_idle()
        self._check_kv()
        self._check_slots()

    def _stage_of_segment(self) -> IntArray:
        return np.searchsorted(self.border[:-1], self.boundary[:-1], side="right") - 1

    def _check_idle(self) -> None:
        stage = self._stage_of_segment()
        for j in np.flatnonzero(self.active == 0):
            self._add("rounds", stage[j], f"{self.rounds[j]} decode rounds with no active request")

    def _check_kv(self) -> None:
        """KV held and requests active at every prefill iteration and in every round."""
        count = len(self.stages)
        done_order = np.argsort(self.end, kind="stable")
        done = np.searchsorted(self.end[done_order], self.border[:-1], side="right")
        offset = self.p - self.start
        begun = np.searchsorted(self.stage, np.arange(count), side="right")
        sum_begun = np.concatenate(([0], np.cumsum(offset)))
        sum_done = np.concatenate(([0], np.cumsum(offset[done_order])))
        in_service = begun - done
        held = sum_begun[begun] - sum_done[done] + in_service * self.border[:-1]
        self.prefill_kv, self.prefill_held = held, in_service
        stage, most, served = self._stage_of_segment(), held.copy(), in_service.copy()
        np.maximum.at(most, stage, self.kv_peak)
        np.maximum.at(served, stage, self.active)
        limit, slots = self.worker.kv_capacity, self.worker.slots
        if limit is not None:
            for k in np.flatnonzero(most > limit):
                self._add("kv", k, f"KV use reaches {most[k]} tokens, capacity {limit}")
        if slots is not None:
            for k in np.flatnonzero(served > slots):
                self._add("slots", k, f"{served[k]} requests active, {slots} slots")

    def _check_slots(self) -> None:
        limit, slots, ids = self.worker.slots, self.stages.slots, self.instance.requests.id
        if limit is None:
            if slots is not None and (slots >= 0).any():
                k = int(np.searchsorted(self.stages.offsets, np.argmax(slots >= 0), side="right") - 1)
                self._add("slots", k, "slots given for a worker that has no slot limit, expected null")
            return
        if slots is None:
            self._add("slots", 0, f"no slots given, the worker has {limit}")
            return
        slot = slots[self.position]
        for j in np.flatnonzero((slot < 0) | (slot >= limit)):
            name = ids[self.request[j]]
            self._add("slots", self.stage[j], f"request {name!r} in slot {slot[j]}, expected 0..{limit - 1}", name)
        order = np.lexsort((np.arange(len(slot)), self.stage, slot))
        order = order[slot[order] >= 0]
        group = np.unique(slot[order], return_inverse=True)[1]
        # Ranks of the ends, not the ends: their products with the groups stay small.
        rank = np.unique(self.end[order], return_inverse=True)[1]
        key = rank + group * (len(order) + 1)
        latest = np.maximum.accumulate(key)
        holder = np.maximum.accumulate(np.where(key == latest, np.arange(len(key)), 0))
        before, after = order[holder[:-1]], order[1:]
        clash = (group[:-1] == group[1:]) & (self.end[before] > self.start[after])
        for a, b in zip(before[clash].tolist(), after[clash].tolist(), strict=True):
            name, other = ids[self.request[b]], ids[self.request[a]]
            self._add(
                "slots",
                self.stage[b],
                f"request {name!r} enters slot {slot[b]} while {other!r} holds it",
                name,
            )
