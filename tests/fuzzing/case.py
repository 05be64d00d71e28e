"""One instance through the parts of the toolkit: what each part gives, checked by oracles that share no code with it.

A *part* is a bound, a method, a policy with what it may see, the files or the pages; a finding names the parts that it
takes to see it again, so that shrinking runs no more than these.
"""

from __future__ import annotations

import math
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from brute_force import optimum
from reference_simulator import measures as reference_measures
from reference_simulator import simulate

from fuzzing.exact import execute
from fuzzing.watch import TooLong, time_limit
from llmsched_mip import clock
from llmsched_mip.errors import SchedulingError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.tolerance import RELATIVE_TOLERANCE

READING_S = 5e-3
PART_S = 60.0
MOST_EVENTS, EVENTS_S = 100_000, 10.0
MOST_ROUNDS = 5000
MOST_ENUMERATED = (6, 24)
SIMULATED = ("makespan", "total_completion", "mean_latency", "p99_latency", "mean_time_to_first_token")
COUNTED = ("prefill_iterations", "decode_rounds", "kv_peak")


@dataclass(frozen=True)
class Finding:
    """One broken promise: which, by which parts, and the numbers."""

    check: str
    parts: tuple[str, ...]
    message: str

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What stays the same while the instance is shrunk."""
        return self.check, self.parts

    def __str__(self) -> str:
        return f"{self.check} [{', '.join(self.parts)}]: {self.message}"


@dataclass
class Made:
    """A plan that a part made, its exact value, and whether the part calls it optimal."""

    part: str
    value: Fraction
    proven: bool


@dataclass
class Case:
    """What the parts gave for one instance."""

    instance: Instance
    folder: Path
    findings: list[Finding] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    bounds: list[tuple[str, str, float]] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    slow: list[str] = field(default_factory=list)

    def add(self, check: str, parts: str | tuple[str, ...], message: str) -> None:
        """Note a finding."""
        mine = (parts,) if isinstance(parts, str) else parts
        self.findings.append(Finding(check, mine, " ".join(message.split())))

    def expect(self, holds: bool, check: str, parts: str | tuple[str, ...], message: str) -> None:
        """Count a check, and note a finding where it fails."""
        self.checks[check] += 1
        if not holds:
            self.add(check, parts, message)

    @cached_property
    def optimum(self) -> float | None:
        """The optimum by enumeration, None where that takes too long."""
        requests, decode = MOST_ENUMERATED
        if self.instance.n > requests or self.instance.requests.decode_tokens.sum() > decode:
            return None
        return optimum(self.instance, self.instance.objective)

    def guarded(self, part: str, run: Callable[[], None], allowed: tuple[str, ...] = ()) -> None:
        """Run a part; anything that it raises is a finding, except for errors with one of the `allowed` texts."""
        try:
            with (
                time_limit(EVENTS_S if self.has_many_events(part) else PART_S),
                clock.counting(READING_S),
                warnings.catch_warnings(),
            ):
                warnings.filterwarnings("error", category=RuntimeWarning)
                run()
        except TooLong:
            if self.has_many_events(part):
                self.slow.append(part)
            else:
                self.add("too long", part, f"not done after {PART_S:g} s of real time")
        except SchedulingError as error:
            lines = str(error).splitlines()
            self.expect(len(lines) == 1, "one line", part, repr(str(error)))
            expected = any(text in str(error) for text in allowed)
            self.expect(expected, "refusal", part, f"{type(error).__name__}: {error}")
        except Exception as error:
            self.add("exception", part, f"{type(error).__name__}: {error} ({self.place(error)})")

    def has_many_events(self, part: str) -> bool:
        """Whether a replay of millions of rounds may rightly take that many steps: where KV is full, a policy that
        does not see the lengths may evict and prefill again in every round."""
        return part.startswith("replay:") and int(self.instance.requests.decode_tokens.sum()) > MOST_EVENTS

    @staticmethod
    def place(error: BaseException) -> str:
        """File and line of the last frame that is ours."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "site-packages" not in f.filename and "lib/python" not in f.filename]
        at = (ours or frames)[-1]
        return f"{Path(at.filename).name}:{at.lineno}"

    def plan(self, part: str, plan: Plan) -> Fraction | None:
        """Check that a plan is feasible and its value right by every reading; its exact value."""
        instance, name = self.instance, plan.objective
        executed = execute(instance, plan)
        self.expect(not executed.broken, "feasible", part, "; ".join(executed.broken[:3]))
        evaluation = evaluate(instance, plan)
        self.expect(evaluation.feasible, "evaluate", part, "; ".join(map(str, evaluation.violations[:3])))
        if executed.broken or not evaluation.feasible:
            return None
        exact = executed.objective(instance, name)
        for value in (evaluation.measures.objective(name), plan.claims.value):
            if value is not None:
                self.expect(same(value, exact), "value", part, f"{name} {value!r}, exactly {float(exact)!r}")
        if sum(int(mine.rounds.sum()) for mine in plan.workers) <= MOST_ROUNDS:
            self._simulated(part, plan, evaluation.measures)
        return exact

    def _simulated(self, part: str, plan: Plan, measures: object) -> None:
        """Measures against the simulator that runs round by round."""
        result = simulate(self.instance, plan)
        self.expect(not result.broken, "feasible", part, f"by the simulator: {sorted(map(str, result.broken))[:3]}")
        found = reference_measures(self.instance, result)
        if result.broken or found is None:
            return
        for name in (*SIMULATED, *COUNTED):
            mine, other = getattr(measures, name), found[name]
            scale = found["total_completion" if name == "total_completion" else "makespan"]
            close = mine == other if name in COUNTED else abs(mine - other) <= RELATIVE_TOLERANCE * scale
            self.expect(bool(close), "measures", part, f"{name} {mine!r}, by the simulator {other!r}")


def same(value: float, exact: Fraction) -> bool:
    """Whether a float is the exact value to within the tolerance."""
    return math.isfinite(value) and abs(Fraction(value) - exact) <= Fraction(RELATIVE_TOLERANCE) * abs(exact)


def at_most(low: float | Fraction, high: float | Fraction) -> bool:
    """Whether `low` is no more than `high` and the tolerance of it."""
    return Fraction(low) <= Fraction(high) * (1 + Fraction(RELATIVE_TOLERANCE))
