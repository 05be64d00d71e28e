"""Several workers on a cluster: rounds in which groups of workers are improved at the same time, each by a task.

In one kind of round every task is a worker alone, its order and batches; in the other a group of workers exchange
requests.  The kind that gained more a second goes on, the other has a round now and then.  A task that fails or is lost
changes nothing; its part of the plan stays as it was.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from llmsched_mip import clock
from llmsched_mip.engines.engine import EngineError, Outcome, Pool
from llmsched_mip.errors import error_text
from llmsched_mip.instance import Instance
from llmsched_mip.methods.fleet_parts import Answer, Parts, Program, Task, run_task
from llmsched_mip.methods.search import Search
from llmsched_mip.plan import Plan
from llmsched_mip.result import Failure

FIRST_TURN_S, LONGER, MOST_TURN_S, TURN_SHARE = 1.0, 1.5, 20.0, 0.1
COUNTED_TURN_S, COUNTED_ROUND_LOOKS, COUNTED_PATIENCE_S = 2.0, 200, 600.0
"""Where looks at the clock count: seconds of that clock for a task, looks of the caller's for a round, and real seconds
after which a task is given up."""
LEAST_TURN_S, ANSWER_SHARE = 0.2, 0.05
PATIENCE_S = 20.0
"""Beyond its time, for a task that is given to another worker, or whose kernels have to be compiled there."""
MOST_COPIES = 4
OTHER_KIND_EVERY = 4
MOST_LOST_ROUNDS = 3

Group = tuple[int, ...]


class Rounds:
    """What has been gained so far, and who is next.

    Parameters
    ----------
    parts : Parts
    seed : int
    """

    def __init__(self, parts: Parts, seed: int):
        self.parts, self.random = parts, np.random.default_rng(seed)
        self.workers = len(parts.instance.workers)
        self.gained, self.turns = np.full(self.workers, math.inf), np.zeros(self.workers, dtype=np.int64)
        self.rate = {True: math.inf, False: math.inf}
        self.done = 1
        self.memory: dict[int, Any] = {}
        self.alone = False

    def next(self, width: int) -> list[Group]:
        """The groups of the next round, at most `width`: no worker is in two of them."""
        better = self.rate[True] > self.rate[False]
        self.alone = better if self.done % OTHER_KIND_EVERY else not better
        self.done += 1
        busy = [w for w in range(self.workers) if len(self.parts.stages[w].requests)]
        if self.alone:
            key = self.parts.values if self.parts.instance.objective == "makespan" else self.gained
            busy.sort(key=lambda w: (-key[w], self.turns[w]))
            return [(w,) for w in busy[:width]]
        groups = max(1, min(width, self.workers // 2))
        by_end = np.argsort(-self.parts.values, kind="stable")
        # Those with the largest values are in groups of their own, with any of the others.
        order = np.concatenate((by_end[:groups], self.random.permutation(by_end[groups:])))
        found = [tuple(sorted(order[k::groups].tolist())) for k in range(groups)]
        return [group for group in found if any(w in busy for w in group)]

    def remembered(self, group: Group) -> list[Any]:
        """What programs want to know again, for each worker of a group; None for one that none has improved."""
        return [self.memory.get(w) for w in group]

    def remember(self, group: Group, memory: list[Any]) -> None:
        """Keep what a program returned for each worker of a group."""
        self.memory.update(zip(group, memory, strict=True))

    def gain(self, group: Group, gain: float) -> None:
        """Keep what a task gained."""
        for w in group:
            # A part with other requests is one that nobody has tried alone.
            self.gained[w] = gain if self.alone else math.inf if gain > 0 else self.gained[w]
            self.turns[w] += self.alone


def parallel_parts(search: Search, pool: Pool, program: Program) -> None:
    """Improve the search's plan by rounds of tasks until the budget is spent.

    Where the clock counts looks at it, so do those of the tasks, and each round has the same groups on any cluster.

    Raises
    ------
    EngineError
        The cluster is lost, or does nothing any more.  The plan so far is the search's.
    """
    if search.plan is None:
        return
    rounds = Rounds(Parts(search.instance, search.plan), search.seed)
    caller = _Caller(search, pool, program)
    while not search.budget.spent():
        if search.value is not None and search.plan is not None and search.value < rounds.parts.value:
            rounds.parts = Parts(search.instance, search.plan)
        if not caller.round(rounds):
            return


class _Caller:
    """Gives out the tasks of one round after the other."""

    def __init__(self, search: Search, pool: Pool, program: Program):
        self.search, self.pool, self.program = search, pool, program
        self.counted = not clock.is_real()
        self.turn_s, self.overhead_s, self.lost = FIRST_TURN_S, 0.0, 0
        self._said: set[str] = set()

    def round(self, rounds: Rounds) -> bool:
        """One round; False where no time is left for one."""
        search, budget = self.search, self.search.budget
        most = budget.remaining * (1.0 - ANSWER_SHARE) - 2.0 * self.overhead_s
        if not self.counted and most < LEAST_TURN_S:
            return False
        seconds = COUNTED_TURN_S if self.counted else min(self.turn_s, most)
        groups = rounds.next(len(search.instance.workers) if self.counted else self.pool.width())
        began = budget.elapsed
        given = [rounds.parts.part(group) for group in groups]
        before = rounds.parts.value
        self._take(rounds, groups, given, self._outcomes(rounds, groups, given, seconds))
        if self.counted:
            for _ in range(COUNTED_ROUND_LOOKS):
                clock.now()
        took = budget.elapsed - began
        rounds.rate[rounds.alone] = (before - rounds.parts.value) / max(took, 1e-3)
        if search.value is None or rounds.parts.value < search.value:
            search.offer(rounds.parts.plan())
        self.overhead_s = max(0.5 * self.overhead_s, took - seconds)
        self.turn_s = min(LONGER * self.turn_s, MOST_TURN_S, max(FIRST_TURN_S, TURN_SHARE * search.whole.seconds))
        return True

    def _outcomes(
        self, rounds: Rounds, groups: list[Group], given: list[tuple[Instance, Plan]], seconds: float
    ) -> list[Outcome]:
        """What becomes of each group's task, and of its copies with other random numbers where there is room."""
        search = self.search
        copies = 1 if self.counted else max(1, min(MOST_COPIES, self.pool.width() // len(groups)))
        first = int(np.random.default_rng((search.seed, rounds.done)).integers(2**31))
        tasks = [
            Task(part, plan, rounds.remembered(group), seconds, self.counted, first + k, self.program)
            for k, (group, (part, plan)) in enumerate(list(zip(groups, given, strict=True)) * copies)
        ]
        if self.counted:
            return self.pool.run(run_task, tasks, COUNTED_PATIENCE_S, lambda: search.interrupted)
        return self.pool.run(run_task, tasks, 2 * seconds + PATIENCE_S, search.budget.spent)

    def _take(
        self, rounds: Rounds, groups: list[Group], given: list[tuple[Instance, Plan]], outcomes: list[Outcome]
    ) -> None:
        """Take over what is better."""
        gains, answers = [0.0] * len(groups), 0
        for k, outcome in enumerate(outcomes):
            at = k % len(groups)
            if outcome.error is not None:
                self._say("task", outcome.error)
                continue
            answer: Answer = outcome.value
            answers += 1
            for failure in answer.failures:
                self._say(failure.part, failure.message)
            try:
                gain = rounds.parts.take(groups[at], given[at][0], answer.plan)
            except ValueError as error:
                self._say("task", error_text(error))
                continue
            if gain != 0.0:
                rounds.remember(groups[at], answer.memory)
            gains[at] += gain
        self.lost = 0 if answers else self.lost + 1
        if self.lost == MOST_LOST_ROUNDS:
            raise EngineError(f"no task had an answer, {self.lost} rounds in a row")
        for group, gain in zip(groups, gains, strict=True):
            rounds.gain(group, gain)

    def _say(self, part: str, message: str) -> None:
        """Log what went wrong elsewhere, once; at the end of the time, tasks without an answer are no failures."""
        if message not in self._said and not (self.counted is False and self.search.budget.spent()):
            self._said.add(message)
            self.search.report_failure(Failure(part, message))
