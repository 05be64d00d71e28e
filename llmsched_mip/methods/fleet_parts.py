"""The parts of a fleet's plan: a group of workers with the requests that they have is an instance of its own.

Groups have no request in common, so they are improved apart, elsewhere, at the same time; nothing but the instance of
the group, its part of the plan and a seed goes there, and nothing but a part of a plan comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from llmsched_mip import clock
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.result import Failure
from llmsched_mip.timing import FloatArray, IntArray

_COUNTED = Lock()
"""The clock that counts is one for the process: tasks of several threads take turns with it."""

Program = Callable[[Search, list[Any]], tuple[Plan, list[Any]]]
"""What improves a part: from a search with a plan, and for each worker what was kept of it or None, to both again."""


class Task(NamedTuple):
    """What a worker of the cluster gets.

    Parameters
    ----------
    instance : Instance
        The workers of the group with their requests.
    plan : Plan
    memory : list
        For each worker what a program kept of it last, or None.
    seconds : float
    counted : bool
        Whether `seconds` are those of a clock that counts looks at it, so that the task repeats exactly.
    seed : int
    program : callable
        Of a module.
    """

    instance: Instance
    plan: Plan
    memory: list[Any]
    seconds: float
    counted: bool
    seed: int
    program: Program


class Answer(NamedTuple):
    """What comes back: a plan of the task's instance, what to keep of each worker, and what failed."""

    plan: Plan
    memory: list[Any]
    failures: tuple[Failure, ...]


def run_task(task: Task) -> Answer:
    """Improve a part in this process."""
    with (
        _COUNTED if task.counted else nullcontext(),
        clock.counting(clock.READING_S) if task.counted else nullcontext(),
    ):
        search = Search(task.instance, task.seconds, threads=1, seed=task.seed)
        search.offer(task.plan)
        plan, memory = task.program(search, task.memory)
    return Answer(plan, memory, tuple(search.failures))


def improve_in_turn(search: Search, program: Program) -> None:
    """Improve the part of each worker alone, in this process, the one of most value first, until the budget is spent.

    Each has its share of the time left.
    """
    if search.plan is None:
        return
    parts = Parts(search.instance, search.plan)
    busy = [w for w in np.argsort(-parts.values, kind="stable").tolist() if len(parts.stages[w].requests)]
    for k, w in enumerate(busy):
        if search.budget.spent():
            break
        instance, plan = parts.part((w,))
        budget = search.budget.slice(share=1.0 / (len(busy) - k))
        alone = Search(instance, budget.seconds, threads=1, seed=search.seed, outer=budget)
        alone.offer(plan)
        program(alone, [None])
        if alone.plan is not None:
            parts.take((w,), instance, alone.plan)
        if search.value is None or parts.value < search.value:
            search.offer(parts.plan())
        for failure in alone.failures:
            search.report_failure(failure)


class Parts:
    """The plan of a fleet, worker by worker.

    Parameters
    ----------
    instance : Instance
    plan : Plan
        Feasible.

    Attributes
    ----------
    values : float array, shape (W,)
        Of each worker's part alone: when it ends, or its weighted sum of completion times.
    """

    def __init__(self, instance: Instance, plan: Plan):
        self.instance, self.method, self.stages = instance, plan.method, list(plan.workers)
        self.values = _values(instance, plan)

    @property
    def value(self) -> float:
        """Of all workers together."""
        return self._together(self.values)

    def _together(self, values: FloatArray) -> float:
        return float(values.max() if self.instance.objective == "makespan" else values.sum())

    def plan(self) -> Plan:
        """Of all workers."""
        instance = self.instance
        return Plan(instance.name, instance.digest, instance.objective, self.method, tuple(self.stages))

    def part(self, group: tuple[int, ...]) -> tuple[Instance, Plan]:
        """The instance of some workers with the requests that they have, and their stages as its plan."""
        requests = self._requests(group)
        workers = tuple(self.instance.workers[w] for w in group)
        alone = replace(self.instance.take(requests), workers=workers)
        stages = tuple(
            replace(self.stages[w], requests=np.searchsorted(requests, self.stages[w].requests)) for w in group
        )
        return alone, Plan(alone.name, alone.digest, alone.objective, self.method, stages)

    def _requests(self, group: tuple[int, ...]) -> IntArray:
        return np.sort(np.concatenate([np.asarray(self.stages[w].requests, dtype=np.int64) for w in group]))

    def take(self, group: tuple[int, ...], part: Instance, plan: Plan) -> float:
        """Take over a plan of a group's part if it is better; by how much the values of its workers fall together.

        Better is a lower objective of the group, or for the makespan the same with workers that end sooner in sum.

        Raises
        ------
        ValueError
            The plan is none of this part.
        """
        evaluation = evaluate(part, plan)
        if not evaluation.feasible:
            raise ValueError(f"an infeasible plan: {evaluation.violations[0]}")
        before, after = self.values[list(group)], _values(part, plan)
        better = (self._together(after), float(after.sum())) < (self._together(before), float(before.sum()))
        if not better:
            return 0.0
        requests = self._requests(group)
        for w, stages, value in zip(group, plan.workers, after, strict=True):
            self.stages[w] = _named(stages, self.instance.workers[w].name, requests)
            self.values[w] = value
        self.method = plan.method
        return float(before.sum() - after.sum())


def _named(stages: WorkerPlan, name: str, requests: IntArray) -> WorkerPlan:
    return replace(stages, name=name, requests=requests[stages.requests])


def _values(instance: Instance, plan: Plan) -> FloatArray:
    """The value of each worker's part of a feasible plan: shape (W,)."""
    schedule, values = evaluate(instance, plan).schedule, np.zeros(len(instance.workers))
    if instance.objective == "makespan":
        np.maximum.at(values, schedule.worker, schedule.completion_s)
    else:
        np.add.at(values, schedule.worker, np.asarray(instance.requests.weight) * schedule.completion_s)
    return values
