"""Distributions of lengths against what they are defined by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import generate
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.length_distribution import QuantileLengths, length_distribution
from llmsched_mip.workload.predictions import with_predictions

N = 400
HISTORY = generate("gsm8k-65b", 600, 1)
INSTANCE = with_predictions(generate("gsm8k-65b", N, 0), "intervals:4", 0)
KINDS = {
    "interval": ("interval", None),
    "unknown": ("unknown", None),
    "history": ("unknown", HISTORY),
    "history in intervals": ("interval", HISTORY),
}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_quantiles_and_mean_agree(kind):
    distribution = length_distribution(INSTANCE, *KINDS[kind])
    drawn = distribution.sample(np.random.default_rng(0), 500)
    assert drawn.shape == (500, N) and drawn.min() >= 1
    assert (drawn == distribution.sample(np.random.default_rng(0), 500)).all()
    assert distribution.mean() == pytest.approx(drawn.mean(axis=0), rel=0.2)
    assert distribution.mean().mean() == pytest.approx(drawn.mean(), rel=0.01)
    before = distribution.quantile(0.0)
    for level in (0.1, 0.5, 0.9):
        at = distribution.quantile(level)
        # The quantile is the least length that is reached with this chance.
        assert (drawn <= at).mean() >= level - 0.01
        assert (drawn < at).mean() <= level + 0.01
        assert (at >= before).all()
        before = at
    if kind.endswith("interval") or kind.endswith("intervals"):
        assert (drawn >= INSTANCE.requests.decode_lower).all() and (drawn <= INSTANCE.requests.decode_upper).all()


def test_a_log_uniform_length_has_the_mean_of_its_formula():
    low, high = np.array([10]), np.array([4000])
    one = INSTANCE.take(np.array([0]))
    one = replace(one, requests=replace(one.requests, decode_lower=low, decode_upper=high))
    drawn = length_distribution(one, "interval").sample(np.random.default_rng(0), 20_000)
    assert drawn.mean() == pytest.approx(3990 / np.log(400), rel=0.03)


def test_a_history_of_two_kinds_of_prompts_keeps_them_apart():
    count = 2000
    short = np.arange(count) % 2 == 0
    requests = replace(
        generate("gsm8k-65b", count, 3).requests,
        prefill_tokens=np.where(short, 10, 1000),
        decode_tokens=np.where(short, 5, 500),
    )
    history = replace(generate("gsm8k-65b", count, 3), requests=requests)
    distribution = length_distribution(history, "unknown", history)
    median = distribution.quantile(0.5)
    assert (median[short] == 5).all() and (median[~short] == 500).all()
    # Shrunk towards the whole: the other kind is possible, by the weight of fifty requests.
    assert distribution.quantile(0.999)[short].max() == 500


def test_named_quantiles_are_met():
    levels, lengths = np.array([0.1, 0.5, 0.9]), np.array([[10, 20, 100], [1, 1, 7]])
    distribution = QuantileLengths(levels, lengths, np.array([1000, 5]))
    assert [distribution.quantile(level).tolist() for level in (0.0, 0.1, 0.5, 0.9, 1.0)] == [
        [10, 1], [10, 1], [20, 1], [100, 5], [100, 5],
    ]  # fmt: skip
    with pytest.raises(InvalidInputError, match="levels"):
        QuantileLengths(levels[::-1], lengths, np.array([1000, 5]))


def test_no_length_is_longer_than_a_worker_holds():
    (worker,) = INSTANCE.workers
    most = int(INSTANCE.requests.prefill_tokens.max()) + 600
    tight = replace(INSTANCE, workers=(replace(worker, kv_capacity=most),))
    drawn = length_distribution(tight, "unknown").sample(np.random.default_rng(0), 50)
    assert (drawn + tight.requests.prefill_tokens <= most).all() and drawn.max() > 500
