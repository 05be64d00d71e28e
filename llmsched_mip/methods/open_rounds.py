"""Open rounds, at which prefill iterations may run, moved one by one with an LP that says who starts at each.

For the makespan of a backlog on one worker, from the rounds of a plan on.  For given rounds and a horizon the LP of
`start_model` says, in hundredths of a second, what cannot be served; so rounds are shifted, added and dropped as long
as R + ρ P and what is left over fall.  No period is needed, as in `pattern`: at the beginning and at the end, where few
long requests are active, rounds may lie close together.  The best rounds are solved in integers, every length by
itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.prefill_rounds.state import Backlog
from llmsched_mip.budget import Budget
from llmsched_mip.methods.start_model import DISTINCT, LengthClasses, build
from llmsched_mip.solvers.highs import solve_arrays
from llmsched_mip.timing import IntArray

CLASSES = 90
"""Of lengths, while rounds are moved."""
MOST_COLUMNS = 20_000
FARTHEST, STEP = 1 << 20, 5
LOOKS = np.unique(np.concatenate(([0, 1, 2], np.geomspace(4, FARTHEST, 30).astype(np.int64))))
"""Rounds before the next open one at which the KV cache is looked at; others may be over."""
LP_OPTIONS = {"presolve": "off", "simplex_strategy": 4}
MIP_GAP, MIP_NODES = 0.3, 500


class Open(NamedTuple):
    """Open rounds, ascending from 0, the horizon after them, and the value: R + ρ P + what is left over, in rounds."""

    starts: IntArray
    horizon: int
    value: float


class OpenRounds:
    """Local search over open rounds.

    Parameters
    ----------
    backlog : Backlog
    random : Generator
    """

    def __init__(self, backlog: Backlog, random: np.random.Generator):
        self.backlog, self.random = backlog, random
        self.longest = int(backlog.length.max())
        self.price = backlog.prefill / backlog.slots
        self.classes = LengthClasses.of(backlog.prompt, backlog.length, CLASSES)

    def value(self, starts: IntArray, horizon: int, budget: Budget) -> float:
        """Horizon + ρ · prefill iterations + the price of what the LP leaves over; infinite where it is too large."""
        if len(starts) * len(self.classes.length) > MOST_COLUMNS:
            return math.inf
        looks = LOOKS[: np.searchsorted(LOOKS, max(np.diff(starts, append=horizon)))]
        model = build(self.classes, starts, horizon, self.backlog.slots, self.backlog.kv_capacity, looks=looks)
        result = solve_arrays(model.arrays, threads=1, options=LP_OPTIONS, budget=budget)
        if result.value is None or not result.status.proven:
            return math.inf
        return horizon + self.price * len(starts) + result.value

    def improve(self, start_round: IntArray, budget: Budget, trials: int) -> Open:
        """The rounds of a plan, changed one by one as long as the value falls: at most so many trials."""
        starts, horizon = np.unique(start_round), int((start_round + self.backlog.length).max())
        best = Open(starts, horizon, self.value(starts, horizon, budget))
        for _ in range(trials):
            if budget.spent() or not math.isfinite(best.value):
                break
            starts, horizon = self._neighbour(best)
            if len(starts) == 0 or starts[0] != 0 or starts[-1] >= horizon or horizon < self.longest:
                continue
            value = self.value(starts, horizon, budget)
            if value <= best.value:
                best = Open(starts, horizon, value)
        return best

    def placed(self, found: Open, budget: Budget) -> IntArray | None:
        """The round at which each request starts, in integers; what is left over starts at the horizon."""
        b, starts = self.backlog, found.starts
        exact = LengthClasses.of(b.prompt, b.length, DISTINCT)
        classes = exact if len(exact.length) * len(starts) <= MOST_COLUMNS else self.classes
        looks = LOOKS[: np.searchsorted(LOOKS, max(np.diff(starts, append=found.horizon)))]
        model = build(classes, starts, found.horizon, b.slots, b.kv_capacity, True, looks)
        options = {"mip_max_nodes": MIP_NODES}
        result = solve_arrays(model.arrays, threads=1, budget=budget, mip_abs_gap=MIP_GAP, options=options)
        if result.x is None:
            return None
        start_round = np.full(len(b.length), found.horizon, dtype=np.int64)
        members = [self.random.permutation(each) for each in classes.members]
        taken = np.zeros(len(members), dtype=np.int64)
        counts = np.where(model.column_start >= 0, np.rint(result.x), 0).astype(np.int64)
        for column in np.flatnonzero(counts).tolist():
            group, size = int(model.column_class[column]), int(counts[column])
            start_round[members[group][taken[group] : taken[group] + size]] = starts[model.column_start[column]]
            taken[group] += size
        return start_round

    def _neighbour(self, found: Open) -> tuple[IntArray, int]:
        """One random change: a round, all from it on, or all that lie apart by the longest length; or the horizon."""
        random, starts, horizon = self.random, found.starts.copy(), found.horizon
        k, kind = int(random.integers(len(starts))), random.random()
        delta = int(random.integers(1, STEP + 1)) * (1 if random.random() < 0.5 else -1)
        if kind < 0.3:
            starts[k] += delta
        elif kind < 0.5:
            starts[k:] += delta
            horizon += delta
        elif kind < 0.6:
            starts[starts % self.longest == starts[k] % self.longest] += delta
        elif kind < 0.7:
            horizon += delta
        elif kind < 0.85:
            starts = np.delete(starts, k)
        else:
            starts = np.append(starts, int(random.integers(1, max(2, horizon))))
        return np.unique(starts), horizon
