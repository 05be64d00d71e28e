"""Open rounds moved by an LP: what fits costs nothing, the KV cache is counted round by round, repeated exactly."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched_mip import clock
from llmsched_mip.algorithms.prefill_rounds.anneal import Cooling, anneal
from llmsched_mip.algorithms.prefill_rounds.state import HORIZON, LATE, Backlog, chains_from, chains_of
from llmsched_mip.budget import Budget
from llmsched_mip.methods.open_rounds import LOOKS, Open, OpenRounds
from llmsched_mip.methods.start_model import LengthClasses, build

COOLING = Cooling(20.0, 0.5, 4.0, (1.3, 100.0), (10.0, 200.0), 60_000, 0.2)


def backlog_of(seed, kv_capacity=190):
    random = np.random.default_rng(seed)
    length = np.where(random.random(60) < 0.4, 30, random.integers(2, 16, 60))
    return Backlog(np.full(60, 3), length, 8, kv_capacity, 16.0)


def annealed(b, seed):
    random = np.random.default_rng(seed)
    found = anneal(b, chains_of(b, 1.2, 3, random), COOLING, Budget(), random)
    assert found.fits
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_rounds_of_what_fits_leave_nothing_over(seed):
    b = backlog_of(seed)
    found = annealed(b, seed)
    rounds = OpenRounds(b, np.random.default_rng(seed))
    starts = np.unique(found.start_round)
    value = rounds.value(starts, found.rounds, Budget())
    assert value == pytest.approx(found.rounds + 2.0 * len(starts), abs=1e-7)
    assert rounds.value(starts[:1], found.rounds, Budget()) > value


def test_kv_rows_are_what_is_held_in_the_rounds_that_are_looked_at():
    b = backlog_of(5)
    classes = LengthClasses.of(b.prompt, b.length, 100)
    starts, horizon, looks = np.array([0, 9, 14, 40]), 75, np.array([0, 3, 7])
    model = build(classes, starts, horizon, b.slots, b.kv_capacity, looks=looks)
    first = len(classes.length) + len(starts)
    dense = model.arrays.matrix.toarray()
    assert dense.shape[0] == first + len(looks) * len(starts)
    for row, (look, k) in enumerate((look, k) for look in looks for k in range(len(starts))):
        at = [*starts, horizon][k + 1] - look
        for column, (group, place) in enumerate(zip(model.column_class, model.column_start, strict=True)):
            length = int(classes.length[group])
            age = at - int(starts[place])
            held = 3 + age if place >= 0 and at > starts[k] and 0 < age <= length else 0
            assert dense[first + row, column] == held


@pytest.mark.parametrize("seed", range(4))
def test_changed_rounds_are_better_repeat_and_keep_slots_and_kv_cache(seed):
    b = backlog_of(seed)
    begin = annealed(b, seed).start_round
    before = int((begin + b.length).max()) + 2.0 * len(np.unique(begin))
    runs = []
    for _ in range(2):
        rounds = OpenRounds(b, np.random.default_rng(seed))
        found = rounds.improve(begin, Budget(), 150)
        start_round = rounds.placed(found, Budget())
        assert found.value <= before + 1e-7 and start_round is not None
        left = start_round == found.horizon
        served, last = ~left, start_round + b.length
        assert set(start_round[served]) <= set(found.starts.tolist()) and (last[served] <= found.horizon).all()
        for t in range(found.horizon):
            active = served & (start_round <= t) & (t < last)
            assert active.sum() <= b.slots
            # Gaps are short here, so most rounds are looked at; those between two looks may be over by a little.
            assert (b.prompt + t + 1 - start_round)[active].sum() <= b.kv_capacity + b.slots * LOOKS[4]
        assert chains_from(b, start_round).totals[HORIZON] >= found.horizon
        runs.append((found.value, found.horizon, found.starts.tolist(), start_round.tolist()))
    assert runs[0] == runs[1]


def test_what_is_too_large_has_no_value():
    b = backlog_of(0)._replace(length=np.arange(1, 61))
    rounds = OpenRounds(b, np.random.default_rng(0))
    starts = np.arange(2000)
    assert rounds.value(starts, 3000, Budget()) == np.inf
    assert rounds.improve(np.arange(60) * 70, Budget(0.0), 10) == Open(pytest.approx(np.arange(60) * 70), 4190, np.inf)


@pytest.mark.parametrize("seed", range(4))
def test_annealing_is_cold_when_a_short_time_is_over(seed):
    """The time ends after a few of sixty stages; still as hot as in these, many chains would end late."""
    b, random = backlog_of(seed), np.random.default_rng(seed)
    begin = chains_of(b, 1.2, 3, random)
    cooling = COOLING._replace(hot=2000.0, moves=600_000)
    hot = anneal(b, begin, cooling._replace(cold=1500.0, late=(1.3, 1.5), spread=4.0), Budget(), random)
    with clock.counting(1.0):
        short = anneal(b, begin, cooling, Budget(12.0), random)
    assert short.totals[LATE] == 0 < hot.totals[LATE]
    assert short.rounds < hot.rounds
