"""Estimates of hidden lengths that narrow, against brute force, known populations and wrong predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip.execution import replay
from llmsched_mip.policies.parts.life_table import Cells, life_table, spread_edges
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Lengths
from llmsched_mip.workload import generate
from llmsched_mip.workload.predictions import with_predictions

SIGHTS = {
    "right": "intervals:4",
    "exact": "intervals:1",
    "short": "biased:5:0.3",
    "long": "biased:5:1.4",
    "wrong": "wrong:5:0.2",
    "log-normal": "lognormal:0.5",
    "nothing": None,
}


def estimator_of(instance, visible="interval"):
    return SurvivalEstimator(Lengths.of(instance, visible), instance.requests.prefill_tokens)


def learnt(kind, completed=500, family="gsm8k-65b", n=900, seed=1003):
    """The estimator after some completions, and the instance."""
    instance = generate(family, n, seed)
    if kind is not None:
        instance = with_predictions(instance, kind, seed)
    estimator = estimator_of(instance, "unknown" if kind is None else "interval")
    for i in range(completed):
        estimator.learn(i, int(instance.requests.decode_tokens[i]), {})
    return estimator, instance


def test_life_table_by_hand():
    """Ends in cells 0, 1 and 3 and one lost from sight in cell 2: the estimate of Kaplan and Meier."""
    share = life_table(np.array([0, 1, 3]), np.array([2]), np.zeros(4))
    assert share == pytest.approx([1 / 4, 1 / 4, 0.0, 1 / 2])


def test_cells_of_a_cap():
    rng = np.random.default_rng(1)
    lengths = np.minimum(512, rng.lognormal(5.8, 0.6, 500).astype(np.int64) + 1)
    cells = Cells(spread_edges(1, 4096, 96, lengths), lengths)
    assert cells.edges[0] == 0 and (np.diff(cells.edges) > 0).all()
    assert cells.at[cells.of(np.array([512]))[0]] == 512
    assert cells.at[cells.of(np.array([511]))[0]] < 512
    assert (cells.of(cells.at) == np.arange(len(cells.at))).all()


def test_a_posterior_by_brute_force():
    """Four lengths, [l, 4 l] around each at random: what is left of the population in the interval, beyond the tokens
    that are made."""
    rng = np.random.default_rng(0)
    support, chance = np.array([40, 100, 250, 512]), np.array([0.2, 0.2, 0.1, 0.5])
    lengths = rng.choice(support, 1000, p=chance)
    low = np.maximum(1, np.rint(lengths * 4.0 ** -rng.random(1000))).astype(np.int64)
    estimator = SurvivalEstimator(Lengths("interval", low, np.maximum(4 * low, lengths)))
    for i in range(900):
        estimator.learn(i, int(lengths[i]), {})
    for i in range(900, 1000):
        for made in (0, 39, 40, 99, 150, 300):
            possible = (support >= low[i]) & (support <= 4 * low[i]) & (support > made)
            if possible.any() and made < lengths[i]:
                exact = (support * chance * possible).sum() / (chance * possible).sum()
                assert estimator.length(i, made) == pytest.approx(exact, rel=0.1)


def test_a_known_population_without_intervals():
    """Mean residual life of uniform lengths on 1..200 is half of what is left."""
    rng = np.random.default_rng(3)
    estimator = SurvivalEstimator(Lengths("unknown", None, None))
    for i in range(2000):
        estimator.learn(i, int(rng.integers(1, 201)), {})
    for made in (0, 50, 100, 150):
        assert estimator.length(5000, made) == pytest.approx(made + (200 - made) / 2, abs=8)
        assert estimator.quantile(5000, made, 0.9) == pytest.approx(made + 0.9 * (200 - made), abs=10)


def test_running_requests_count_as_lost_from_sight():
    """Half end at 10, the others still run at 20: no estimate for them is at 10."""
    estimator = SurvivalEstimator(Lengths("unknown", None, None))
    for i in range(100):
        estimator.learn(i, 10, dict.fromkeys(range(100, 200), 20))
    assert estimator.length(150, made=20) > 20
    assert estimator.length(250) > 12


def test_lengths_that_are_always_beyond_their_interval():
    """All lengths are 3/2 of the upper end: the estimate goes there."""
    n = 400
    estimator = SurvivalEstimator(Lengths("interval", np.full(n, 10), np.full(n, 40)))
    assert 10 < estimator.length(0) < 60
    for i in range(300):
        estimator.learn(i, 60, {})
    assert estimator.length(399) == pytest.approx(60, rel=0.05)
    assert estimator.length(399, made=80) > 80


@pytest.mark.parametrize(
    ("kind", "experts"),
    [("intervals:4", (0, 1)), ("biased:5:0.3", (2, 3)), ("biased:5:1.4", (2, 3)), ("wrong:5:0.2", (2, 3))],
)
def test_the_right_expert_gets_the_weight(kind, experts):
    estimator, _ = learnt(kind)
    assert int(np.argmax(estimator.shares)) in experts
    assert estimator.shares[list(experts)].sum() > 0.6


def test_intervals_that_tell_nothing_are_not_looked_at():
    """Intervals shuffled among the requests: the population counts, and all estimates are much the same."""
    instance = with_predictions(generate("lmsys-chat", 900, 1000), "intervals:4", 1000)
    requests = instance.requests
    shuffled = np.random.default_rng(0).permutation(900)
    lengths = Lengths("interval", requests.decode_lower[shuffled], requests.decode_upper[shuffled])
    estimator = SurvivalEstimator(lengths, requests.prefill_tokens)
    for i in range(600):
        estimator.learn(i, int(requests.decode_tokens[i]), {})
    assert estimator.shares[[0, 1]].sum() < 0.1
    means = np.array([estimator.length(i) for i in range(600, 900)])
    assert (
        np.abs(means - requests.decode_tokens[600:]).mean()
        < 1.1 * np.abs(means.mean() - requests.decode_tokens[600:]).mean()
    )


def test_prompts_that_tell_the_length():
    """Long prompts have answers ten times as long: the estimates part, with nothing else visible."""
    rng = np.random.default_rng(2)
    prompts = rng.integers(10, 1000, 800)
    lengths = np.where(prompts > 500, 400, 40) + rng.integers(0, 20, 800)
    estimator = SurvivalEstimator(Lengths("unknown", None, None), prompts)
    for i in range(700):
        estimator.learn(i, int(lengths[i]), {})
    means = np.array([estimator.length(i) for i in range(700, 800)])
    assert means[prompts[700:] > 600].min() > 2 * means[prompts[700:] < 400].max()


@pytest.mark.parametrize("kind", SIGHTS.values(), ids=list(SIGHTS))
def test_all_answers_agree(kind):
    """`alive` falls from 1, samples and the quantile agree with it, and all lengths are above the tokens made."""
    estimator, instance = learnt(kind, completed=300)
    requests = np.arange(600, 640)
    made = np.minimum(instance.requests.decode_tokens[requests] - 1, 37)
    ahead = np.array([1, 5, 20, 80, 200, 500, 3000])
    alive = estimator.alive(requests, made, ahead)
    assert (alive[:, 0] == 1).all() and (np.diff(alive, axis=1) <= 1e-12).all() and (alive >= 0).all()
    drawn = estimator.sample(np.random.default_rng(0), requests, made, 2000)
    assert drawn.shape == (2000, 40) and (drawn > made).all()
    seen = (drawn[:, :, None] >= made[None, :, None] + ahead).mean(axis=0)
    assert np.abs(seen - alive).max() < 0.05
    for k, i in enumerate(requests.tolist()):
        mean = drawn[:, k].mean()
        assert estimator.length(i, int(made[k])) == pytest.approx(mean, rel=0.1, abs=1)
        high = estimator.quantile(i, int(made[k]), 0.75)
        assert (drawn[:, k] <= high).mean() > 0.72 and (drawn[:, k] < high).mean() < 0.78


def test_the_same_again():
    assert np.array_equal(learnt("wrong:5:0.2")[0].population, learnt("wrong:5:0.2")[0].population)


@pytest.mark.parametrize(
    ("low", "high", "lengths"),
    [
        ([1] * 60, [1] * 60, [1] * 60),
        ([1] * 60, [2**31 - 1] * 60, [1, 2**31 - 1] * 30),
        ([2**31 - 1] * 60, [2**31 - 1] * 60, [2**31 - 1] * 60),
        ([5] * 60, [5] * 60, [2**31 - 1] * 60),
    ],
    ids=["ones", "anything", "largest", "all wrong"],
)
def test_extremes(low, high, lengths):
    estimator = SurvivalEstimator(Lengths("interval", np.array(low), np.array(high)), np.ones(60, dtype=np.int64))
    for i, length in enumerate(lengths[:-2]):
        assert estimator.length(58) >= 1
        estimator.learn(i, length, {59: 3})
    for made in (0, 1, 7, 2**31):
        assert estimator.length(59, made) > made and estimator.longest(59, made) > made
        one = np.array([59])
        assert estimator.sample(np.random.default_rng(0), one, np.array([made]), 5).min() > made
        assert estimator.alive(one, np.array([made]), np.array([1, 2])).shape == (1, 2)


@pytest.mark.parametrize("policy", ["lagrangian", "lagrangian-stochastic", "svf", "longest-first"])
def test_several_workers_share_what_they_learn(policy):
    """And a replay repeats."""
    instance = with_predictions(generate("gsm8k-65b", 150, 1000), "intervals:4", 1000)
    worker = replace(instance.workers[0], slots=20)
    instance = replace(instance, workers=(worker, replace(worker, name="second")))
    first, second = (replay(instance, policy, lengths="interval").measures.makespan for _ in range(2))
    assert first == second
