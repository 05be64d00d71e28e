"""Predictions that are biased, wrong or noisy: what each kind promises of its intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.workload import (
    generate,
    with_biased_intervals,
    with_intervals,
    with_lognormal_predictions,
    with_predictions,
    with_wrong_intervals,
)

CHATS = generate("lmsys-chat", 4000, 5)


def held(instance):
    r = instance.requests
    return (r.decode_lower <= r.decode_tokens) & (r.decode_tokens <= r.decode_upper)


def test_bias_multiplies_both_ends():
    right, biased = with_intervals(CHATS, 4, 1).requests, with_biased_intervals(CHATS, 4, 0.5, 1).requests
    assert biased.decode_lower.tolist() == np.maximum(1, np.rint(right.decode_lower * 0.5)).tolist()
    assert biased.decode_upper.tolist() == np.maximum(1, np.rint(right.decode_upper * 0.5)).tolist()


def test_bias_beyond_the_ratio_misses_every_length():
    long = generate("lmsys-chat", 2000, 2)
    assert not held(with_biased_intervals(long, 3, 3.5, 1))[long.requests.decode_tokens > 20].any()


@given(share=st.sampled_from((0.0, 0.25, 1.0)), ratio=st.floats(1, 30), seed=st.integers(0, 99))
def test_share_of_wrong_intervals(share, ratio, seed):
    wrong = ~held(with_wrong_intervals(CHATS, ratio, share, seed))
    assert wrong.mean() == pytest.approx(share, abs=0.035)
    if share in (0.0, 1.0):
        assert wrong.mean() == share


def test_wrong_intervals_miss_on_both_sides():
    r = with_wrong_intervals(CHATS, 4, 1.0, 3).requests
    long = r.decode_tokens > 1
    assert (r.decode_upper < r.decode_tokens)[long].mean() == pytest.approx(0.5, abs=0.03)
    assert (r.decode_lower > r.decode_tokens)[~long].all()


def test_log_normal_noise_covers_as_many_as_it_says():
    long = generate("gsm8k-65b", 8000, 2)
    for coverage in (0.5, 0.9):
        assert held(with_lognormal_predictions(long, 0.4, 1, coverage)).mean() == pytest.approx(coverage, abs=0.02)
    r = with_lognormal_predictions(long, 0.4, 1).requests
    middle = np.log(np.sqrt(r.decode_lower * r.decode_upper) / r.decode_tokens)
    assert middle.mean() == pytest.approx(0.0, abs=0.02) and middle.std() == pytest.approx(0.4, rel=0.05)


def test_no_noise_tells_the_length():
    r = with_lognormal_predictions(CHATS, 0.0, 1).requests
    assert r.decode_lower.tolist() == r.decode_upper.tolist() == r.decode_tokens.tolist()


def test_predictions_by_name():
    for kind, direct in (
        ("intervals:5", with_intervals(CHATS, 5, 5)),
        ("biased:5:0.7", with_biased_intervals(CHATS, 5, 0.7, 5)),
        ("wrong:5:0.2", with_wrong_intervals(CHATS, 5, 0.2, 5)),
        ("lognormal:0.5", with_lognormal_predictions(CHATS, 0.5, 5)),
    ):
        made = generate("lmsys-chat", 4000, 5, predictions=kind)
        assert made.requests.decode_upper.tolist() == direct.requests.decode_upper.tolist()
        assert made.name == direct.name


@pytest.mark.parametrize(
    "kind",
    ["none", "wrong:5", "biased:5:x", "biased:5:0", "biased:0.5:1", "wrong:5:2", "lognormal:-1", "lognormal:nan"],
)
def test_bad_predictions_are_refused(kind):
    with pytest.raises(InvalidInputError):
        with_predictions(CHATS, kind, 0)


def test_two_kinds_at_once_are_refused():
    with pytest.raises(InvalidInputError, match="both"):
        generate("lmsys-chat", 10, intervals=2.0, predictions="lognormal:0.5")
