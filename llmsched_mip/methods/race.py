"""Makers of plans that take turns: whoever gains most a second goes on, with longer and longer turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from llmsched_mip.methods.search import Search

Maker = Callable[[Search], object]

FIRST_SHARE, LEAST_TURN_S = 0.03, 0.3
LONGER, MOST_SHARE = 2.0, 0.5
IDLE_TURNS = 2


class _Runner:
    """A maker in the race.

    Attributes
    ----------
    turn_s : float
        Seconds of its next turn.
    rate : float
        Value gained a second in its last turn; infinite before the first.
    idle : int
        Turns in a row that ended by themselves and gained nothing: it has nothing left to try.
    """

    def __init__(self, maker: Maker, turn_s: float):
        self.maker, self.turn_s, self.rate, self.idle, self.turns = maker, turn_s, float("inf"), 0, 0


def race(search: Search, makers: Sequence[Maker]) -> None:
    """Run the makers in turn until the budget is spent or none has anything left to try.

    Each has a first turn; then the one that gained most a second has the next, and of those that gained nothing the
    one with the fewest turns.  Every turn of a maker is longer than the one before, and has random numbers of its own.
    """
    first_s = max(LEAST_TURN_S, FIRST_SHARE * search.budget.remaining)
    runners, seed = [_Runner(maker, first_s) for maker in makers], search.seed
    while runners and not search.budget.spent():
        runner = max(runners, key=lambda each: (each.rate, -each.turns))
        search.seed = seed + runner.turns * len(makers)
        _turn(search, runner)
        if runner.idle >= IDLE_TURNS:
            runners.remove(runner)
    search.seed = seed


def _turn(search: Search, runner: _Runner) -> None:
    before = search.value
    with search.part(min(1.0, max(runner.turn_s / max(search.budget.remaining, 1e-9), 1e-6))):
        budget = search.budget
        search.attempt(runner.maker.__name__, partial(runner.maker, search))
        gain = 0.0 if before is None or search.value is None else before - search.value
        used, ended = budget.elapsed, not budget.spent()
    runner.rate = gain / max(used, 1e-3)
    runner.idle = runner.idle + 1 if ended and gain <= 0 else 0
    runner.turns += 1
    runner.turn_s = min(runner.turn_s * LONGER, max(LEAST_TURN_S, MOST_SHARE * search.budget.remaining))
