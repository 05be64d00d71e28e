"""How many workers of a kind a deadline takes: proofs that fewer cannot, a plan that so many can.

A plan for k workers is one for k + 1, of which one stays idle.  So a bound above the deadline for k workers holds for
fewer, and a plan that meets it with k is one for more: what is proven impossible and what a plan shows to be possible
are two ends that the search brings together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from llmsched_mip import bounds
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InfeasibleInstanceError
from llmsched_mip.instance import Instance
from llmsched_mip.methods import QUICK_BOUNDS, solve
from llmsched_mip.result import Result
from llmsched_mip.texts import duration_text
from llmsched_mip.worker import Worker, copies

DEFAULT_TIME_LIMIT_S = 60.0
LEAST_TURN_S = 0.5
SHARE = 0.4
"""Of the time left, for one number of workers: the first decides most and has most."""
MOST_GAP = 0.999
AROUND = 2


@dataclass(frozen=True, eq=False)
class Step:
    """What is known of one number of workers.

    Parameters
    ----------
    workers : int
    bound : float
        Best proven lower bound on the makespan, seconds.
    result : Result or None
        The best plan that was found; None where none was looked for.
    """

    workers: int
    bound: float
    result: Result | None = None

    @property
    def value(self) -> float | None:
        """Makespan of the plan, seconds."""
        return None if self.result is None else self.result.value


@dataclass(frozen=True, eq=False)
class Sizing:
    """The answer of `size`.

    Parameters
    ----------
    deadline_s : float
    fewest : int or None
        Fewest workers with a plan that meets the deadline; None where none was found in time.
    impossible : int
        Most workers that provably cannot; 0 where nothing is proven.
    steps : tuple of Step
        Numbers of workers that were looked at, in ascending order.
    """

    deadline_s: float
    fewest: int | None
    impossible: int
    steps: tuple[Step, ...]

    @property
    def best(self) -> Step | None:
        """The step of the fewest workers."""
        return next((step for step in self.steps if step.workers == self.fewest), None)


def fleet_of(instance: Instance, worker: Worker, workers: int) -> Instance:
    """The requests of the instance on so many copies of the worker, for the makespan.

    Raises
    ------
    InfeasibleInstanceError
        A request does not fit the worker.
    """
    return replace(instance, workers=copies(worker, workers), objective="makespan", semantics="exclusive")


def size(
    instance: Instance,
    worker: Worker,
    deadline_s: float,
    *,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    threads: int | None = None,
    log: Callable[[str], None] | None = None,
) -> Sizing:
    """The fewest workers with a plan whose makespan meets the deadline, and the most that provably cannot.

    Parameters
    ----------
    instance : Instance
        Its requests; its workers are not used.
    worker : Worker
    deadline_s : float
        Seconds from time 0, at which the first requests can arrive, to the last completion.
    time_limit_s : float
        Wall time for plans, seconds; the first plan of each number of workers that is tried is made however long it
        takes.
    threads : int, optional
        See `solve`.
    log : callable, optional
        Called with a line for each number of workers that is tried.

    Raises
    ------
    InfeasibleInstanceError
        A request does not fit the worker, or no number of workers can meet the deadline.
    """
    search = _Search(instance, worker, deadline_s, Budget(time_limit_s), threads, log)
    search.prove()
    search.plan()
    search.surround()
    return search.sizing()


@dataclass
class _Search:
    instance: Instance
    worker: Worker
    deadline_s: float
    budget: Budget
    threads: int | None
    log: Callable[[str], None] | None
    steps: dict[int, Step] = field(default_factory=dict)
    impossible: int = 0
    fewest: int | None = None
    interrupted: bool = False

    def sizing(self) -> Sizing:
        steps = tuple(self.steps[workers] for workers in sorted(self.steps))
        return Sizing(self.deadline_s, self.fewest, self.impossible, steps)

    def bound(self, workers: int) -> float:
        """Quick bound for a number of workers, computed once."""
        if workers not in self.steps:
            fleet = fleet_of(self.instance, self.worker, workers)
            self.steps[workers] = Step(workers, bounds.best(bounds.compute(fleet, names=QUICK_BOUNDS)).value)
            self._learn(self.steps[workers])
        return self.steps[workers].bound

    def _learn(self, step: Step) -> None:
        if step.bound > self.deadline_s:
            self.impossible = max(self.impossible, step.workers)
        if step.value is not None and step.value <= self.deadline_s:
            self.fewest = step.workers if self.fewest is None else min(self.fewest, step.workers)

    def prove(self) -> None:
        """The most workers whose quick bound is above the deadline: doubled, then halved."""
        possible = 1
        while self.bound(possible) > self.deadline_s:
            if possible >= self.instance.n:
                raise self._no_number(self.steps[possible])
            possible = min(2 * possible, self.instance.n)
        while possible - self.impossible > 1:
            middle = (possible + self.impossible) // 2
            if self.bound(middle) <= self.deadline_s:
                possible = middle

    def plan(self) -> None:
        """Plans from the first number that may be possible upwards, then between the two ends, while there is time."""
        failed = self.impossible
        while self.fewest is None and not self.interrupted:
            step = self._try(self._above(failed))
            if self.impossible >= self.instance.n:
                raise self._no_number(step)
            if self.fewest is None:
                failed = max(failed, step.workers, self.impossible)
                if step.workers >= self.instance.n and self.budget.spent():
                    return
        while self.fewest is not None and self.fewest > self.impossible + 1 and not self._ended():
            failed = max(failed, self.impossible)
            # Where nothing is left between the two ends, the one that failed has another try with more time.
            step = self._try(max((failed + self.fewest) // 2, self.impossible + 1))
            if self.fewest > step.workers:
                failed = max(failed, step.workers)
                if step.result is not None and step.result.status == "optimal" and failed + 1 == self.fewest:
                    return

    def _ended(self) -> bool:
        return self.interrupted or self.budget.spent()

    def _above(self, failed: int) -> int:
        """More than what failed, by as much as its plan was late."""
        step = self.steps.get(failed)
        late = 1.0 if step is None or step.value is None else step.value / self.deadline_s
        return min(max(failed + 1, min(math.ceil(failed * late), 2 * failed)), self.instance.n)

    def _try(self, workers: int) -> Step:
        """A plan for this number that meets the deadline, in a share of the time left; better bounds on the way."""
        self.bound(workers)
        fleet = fleet_of(self.instance, self.worker, workers)
        turn = Budget(max(LEAST_TURN_S, SHARE * self.budget.remaining))
        while True:
            step = self.steps[workers]
            result = solve(
                fleet,
                time_limit_s=turn.remaining,
                # It ends with a plan that meets the deadline, unless the run finds a better bound than this one.
                gap=min(max(0.0, 1.0 - step.bound / self.deadline_s), MOST_GAP),
                threads=self.threads,
                start=None if step.result is None else step.result.plan,
            )
            found = Step(workers, max(step.bound, result.bound or 0.0), result)
            self.steps[workers] = found
            self._learn(found)
            self.interrupted = self.interrupted or result.interrupted
            met, better = result.value <= self.deadline_s, found.bound > step.bound
            if met or not better or found.bound > self.deadline_s or turn.spent() or self.interrupted:
                break
        if self.log is not None:
            said = "meets the deadline" if met else "misses the deadline"
            self.log(
                f"{workers} worker{'s' * (workers > 1)}: plan {result.value:.4f} s, bound {found.bound:.4f} s: {said}"
            )
        return found

    def _no_number(self, step: Step) -> InfeasibleInstanceError:
        return InfeasibleInstanceError(
            "--deadline",
            f"no number of workers meets {self.deadline_s:g} s ({duration_text(self.deadline_s)}): with a worker a "
            f"request, {step.workers}, it takes at least {step.bound:.4f} s",
        )

    def surround(self) -> None:
        """Bounds of the numbers around the answer, for the table and the picture."""
        centre = self.fewest or self.impossible + 1
        for workers in range(max(1, centre - AROUND), min(centre + AROUND, self.instance.n) + 1):
            self.bound(workers)
