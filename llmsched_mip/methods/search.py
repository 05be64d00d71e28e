"""What every method works with: the best plan and bound so far, the clock, Ctrl-C, and what failed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from llmsched_mip import clock
from llmsched_mip.bounds import Bound
from llmsched_mip.budget import Budget
from llmsched_mip.engines.engine import Pool
from llmsched_mip.errors import InvalidPlanError, error_text
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.board import POLL_S, Board, Shown, State
from llmsched_mip.methods.executed import executed
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.plan import Duals, Plan, relative_gap
from llmsched_mip.policies.protocol import Policy
from llmsched_mip.result import Event, Failure
from llmsched_mip.tolerance import meets


class Search:
    """One run of `solve`, or the part of it in one process.

    Parameters
    ----------
    instance : Instance
        `solve` hands over a normal form; plans, `value` and `bounds` of the search are in its unit.
    time_limit_s : float
        Wall time in seconds, from now on; `budget` is spent when it has passed, at Ctrl-C, and at the goal.
    gap : float
        Relative gap at which to stop.
    threads : int or None
        Of a solver.
    seed : int
    log : callable, optional
        Called with an `Event` at every improvement of the incumbent or the bound; what has a method ``runs`` is told
        the name of each part that begins.
    form : NormalForm, optional
        How the instance stands to the one that `solve` was given; default: it is the one.
    outer : Budget, optional
        Of the search that this one is a part of: where that is spent, so is this.

    Attributes
    ----------
    whole : Budget
        Of the run; `budget` is that of the part which runs now.
    duals : dict of str to Duals
        What the relaxation prices the workers' capacity at, by worker, in the unit of the instance that `solve` was
        given; empty where nobody has computed it.
    board : Board or None
        Where other processes of the run show what they have found.
    pool : Pool or None
        The cluster that runs parts of a plan of several workers.
    kept : dict of str to object
        What a maker that takes turns goes on with in its next one, by its name.
    """

    def __init__(
        self,
        instance: Instance,
        time_limit_s: float,
        gap: float = 0.0,
        threads: int | None = None,
        seed: int = 0,
        log: Callable[[Event], None] | None = None,
        form: NormalForm | None = None,
        outer: Budget | None = None,
    ):
        self.instance, self.form, self._outer = instance, form or NormalForm.of_itself(instance), outer
        self.gap_target, self.threads, self.seed, self.log = gap, threads, seed, log
        self.whole = self.budget = Budget(time_limit_s, self._asked_to_end)
        self.trace: list[Event] = []
        self._best: tuple[Plan, float] | None = None
        self.bounds: dict[str, float] = {}
        self.failures: list[Failure] = []
        self.duals: dict[str, Duals] = {}
        self.kept: dict[str, Any] = {}
        self.interrupted = False
        self.board: Board | None = None
        self.pool: Pool | None = None
        self._exchanged_s, self._unshown_plan, self._unshown_state = -POLL_S, False, False
        self._heard: dict[int, State] = {}
        self._reached = False
        self._previous: Any = None
        self._running = "start"

    @property
    def plan(self) -> Plan | None:
        """The best plan so far."""
        return None if self._best is None else self._best[0]

    @property
    def value(self) -> float | None:
        """Objective of the best plan so far, in the unit of the instance."""
        return None if self._best is None else self._best[1]

    @property
    def bound(self) -> float | None:
        """Best proven lower bound so far."""
        return max(self.bounds.values(), default=None)

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, both as of the instance that `solve` was given."""
        if self.value is None or self.bound is None:
            return None
        return max(0.0, relative_gap(self.form.value(self.value), self.form.value(self.bound)))

    @property
    def gap_met(self) -> bool:
        """Whether the gap is what was asked for."""
        gap = self.gap
        return gap is not None and self.gap_target > 0 and gap <= self.gap_target

    @property
    def closed(self) -> bool:
        """Whether the best bound proves the best plan optimal."""
        return self.value is not None and self.bound is not None and meets(self.bound, self.value)

    def _progress(self, source: str) -> None:
        """The incumbent or the bound is a better one: log it, and see whether the goal is reached."""
        self._reached = self.closed or self.gap_met
        self._report(source)

    def offer(self, plan: Plan) -> bool:
        """Evaluate a plan and keep it if it is feasible and better; whether it was kept.

        Raises
        ------
        InvalidPlanError
            The plan breaks the model: the method that made it has a defect.
        """
        evaluation = evaluate(self.instance, plan)
        if not evaluation.feasible:
            raise InvalidPlanError(f"method {plan.method!r} made an infeasible plan: {evaluation.violations[0]}")
        value = evaluation.measures.objective(self.instance.objective)
        if self.value is not None and value >= self.value:
            return False
        self._best = (plan, value)
        self._unshown_plan = True
        self._progress(plan.method)
        return True

    @contextmanager
    def part(self, share: float) -> Iterator[None]:
        """While it lasts, `budget` is this share of what is left of it."""
        before, self.budget = self.budget, self.budget.slice(share=share)
        try:
            yield
        finally:
            self.budget = before

    def attempt(self, part: str, action: Callable[[], object]) -> None:
        """Run one part of the search.  If it fails, `failures` says so and what was found stays."""
        with self.running(part):
            try:
                action()
            except Exception as error:
                self.fail(part, error)

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """While it lasts, this part is what runs: a log with a method ``runs`` is told."""
        before, self._running = self._running, part
        tell = getattr(self.log, "runs", lambda _: None)
        tell(part)
        try:
            yield
        finally:
            self._running = before
            tell(before)

    def fail(self, part: str, error: Exception) -> None:
        """Keep what went wrong in a part, and log it."""
        self.report_failure(Failure(part, error_text(error)))

    def report_failure(self, failure: Failure) -> None:
        """Keep what a part says went wrong, and log it."""
        self.failures.append(failure)
        self._unshown_state = True
        self._report(f"{failure.part} failed: {failure.message}")

    def run_policy(self, name: str, policy: Policy, budget: Budget | None = None) -> bool:
        """Execute a policy with known lengths and offer what ran as a plan; not when `budget` is spent before."""
        run = executed(self.instance, name, policy, budget)
        return run is not None and self.offer(run.plan)

    def raise_bounds(self, bounds: Iterable[Bound]) -> None:
        """Add proven bounds."""
        for bound in bounds:
            before = self.bound
            self.bounds[bound.name] = max(bound.value, self.bounds.get(bound.name, bound.value))
            self._unshown_state = True
            if before is None or bound.value > before:
                self._progress(f"bound {bound.name}")

    def note(self, text: str) -> None:
        """Log a line with the state of the search, e.g. why a method was left out."""
        self._report(text)

    def _report(self, source: str) -> None:
        value, bound = (None if known is None else self.form.value(known) for known in (self.value, self.bound))
        self.trace.append(Event(self.whole.elapsed, value, bound, self.gap, source))
        if self.log is None:
            return
        try:
            self.log(self.trace[-1])
        except Exception as error:
            # Who listens may be gone (a closed terminal); the search goes on in silence.
            self.log = None
            self.failures.append(Failure("log", error_text(error)))

    # -- other processes ----------------------------------------------------------------------------------------

    def _asked_to_end(self) -> bool:
        if self.board is not None and clock.now() - self._exchanged_s >= POLL_S:
            self.exchange(self.board)
        return self.interrupted or self._reached or (self._outer is not None and self._outer.spent())

    def exchange(self, board: Board) -> None:
        """Show what is new here, and take over what is better or new elsewhere.

        Raises
        ------
        OSError
            A helper can show nothing more: it is of no use.  Process 0 goes on with what it has.
        """
        self._exchanged_s = clock.now()
        try:
            self._show(board)
        except OSError as error:
            if board.process:
                raise
            if all(failure.part != "board" for failure in self.failures):
                self.fail("board", error)
            self._unshown_state = False
        for process, news in board.news():
            if isinstance(news, Shown):
                self._take_over(process, news)
            else:
                self._hear(process, news)

    def _show(self, board: Board) -> None:
        if self._unshown_plan and self._best is not None:
            self._unshown_plan = False
            board.show(Shown(self._best[1], self._best[0]))
        if self._unshown_state:
            self._unshown_state = False
            board.show(State(dict(self.bounds), tuple(self.failures)))

    def _take_over(self, process: int, shown: Shown) -> None:
        if self.value is None or shown.value < self.value:
            unshown = self._unshown_plan
            self.attempt(f"process {process}", lambda: self.offer(shown.plan))
            self._unshown_plan = unshown

    def _hear(self, process: int, state: State) -> None:
        """Take over bounds; failures go to the process that has the log, and no further."""
        self.raise_bounds(
            Bound(name, value) for name, value in state.bounds.items() if value > self.bounds.get(name, -1.0)
        )
        before = self._heard.get(process)
        self._heard[process] = state
        if self.board is not None and self.board.process == 0:
            for failure in state.failures[len(before.failures) if before else 0 :]:
                self.report_failure(failure)

    def __enter__(self) -> Search:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C asks the method to end, the second raises."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
