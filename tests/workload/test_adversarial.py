"""The adversarial families: what is in them, and the ratios by a plain simulation that knows nothing of the package."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import replay
from llmsched_mip.instance import Instance
from llmsched_mip.workload.adversarial import ADVERSARIAL, blocked, octaves, overestimated, whales


def total(instance: Instance, order, assumed=None, every_round=True) -> int:
    """Total completion of list scheduling, round by round.

    At the start of a round (or of one after a completion only) the next requests of the list start while, at every
    coming round in which one of the active requests is expected to be in its last, all that are expected to be
    active hold at most M tokens.
    """
    p, d = instance.requests.prefill_tokens.tolist(), instance.requests.decode_tokens.tolist()
    expected = d if assumed is None else assumed
    M, waiting = instance.workers[0].kv_capacity, list(order)[::-1]
    active: dict[int, int] = {}
    now = done = 0
    decide = True

    def fits(i: int) -> bool:
        count: dict[tuple[int, int], int] = {}
        for j, made in active.items():
            key = (expected[j] - made, p[j] + made)
            count[key] = count.get(key, 0) + 1
        count[expected[i], p[i]] = count.get((expected[i], p[i]), 0) + 1
        ends = {last for last, _ in count}
        return all(sum(n * (held + end) for (last, held), n in count.items() if last >= end) <= M for end in ends)

    while waiting or active:
        while decide and waiting and fits(waiting[-1]):
            active[waiting.pop()] = 0
        now, decide = now + 1, every_round
        for i in list(active):
            active[i] += 1
            if active[i] == d[i]:
                del active[i]
                done += now
                decide = True
    return done


def by_length(instance):
    return np.argsort(instance.requests.decode_tokens, kind="stable").tolist()


@pytest.mark.parametrize(("capacity", "ratio"), [(100, 2.7), (400, 5.0), (1600, 9.4)])
def test_whales_against_the_published_ratios(capacity, ratio):
    instance = whales(capacity)
    small_first = sorted(range(instance.n), key=lambda i: instance.requests.prefill_tokens[i])
    worst, best = total(instance, by_length(instance)), total(instance, small_first)
    assert worst / best == pytest.approx(ratio, abs=0.05)
    assert replay(instance, "shortest-first").measures.total_completion == worst
    assert replay(instance, "svf").measures.total_completion <= best
    assert replay(instance, "sorted-f").measures.total_completion <= 1.1 * best


@pytest.mark.parametrize("capacity", [10, 40, 200])
def test_blocked_is_unbounded_for_fcfs(capacity):
    instance = blocked(capacity)
    M = capacity
    worst, best = total(instance, range(instance.n)), total(instance, [*range(2, instance.n), 1, 0])
    assert worst == (M - 1) + M + (M // 2) * (M + 1)
    assert best == M // 2 + 2 + (2 + M - 1)
    assert replay(instance, "fcfs").measures.total_completion == worst
    assert replay(instance, "svf").measures.total_completion <= best + M


@pytest.mark.parametrize("ratio", [1, 2, 5, 20])
def test_overestimated_by_counting(ratio):
    instance = overestimated(ratio)
    worst = total(instance, range(instance.n), [ratio] * instance.n)
    best = total(instance, range(instance.n))
    assert worst / best == pytest.approx((4 * ratio + 5) / 9)
    assert replay(instance, "a-max", lengths="interval").measures.total_completion == worst
    assert replay(instance, "h-sf").measures.total_completion == best
    assert replay(instance, "a-min", lengths="interval").measures.total_completion == best


def test_octaves():
    instance = octaves(16, 1000, 100)
    lengths, counts = np.unique(instance.requests.decode_tokens, return_counts=True)
    assert lengths.tolist() == [1, 2, 4, 8, 16]
    assert (lengths * counts == pytest.approx(lengths[0] * counts[0], rel=0.02)) and instance.n == counts.sum()
    assert np.all(np.diff(instance.requests.decode_tokens) <= 0)
    assert set(instance.requests.decode_lower.tolist()) == {1}
    assert set(instance.requests.decode_upper.tolist()) == {16}
    reference = replay(instance, "h-sf").measures.total_completion
    # policies may look again in every round or at completions only: both are list scheduling
    assert reference in [total(instance, by_length(instance), every_round=each) for each in (True, False)]
    at_most = replay(instance, "a-max", lengths="interval").measures.total_completion
    assert at_most in [total(instance, range(instance.n), [16] * instance.n, each) for each in (True, False)]


def test_a_max_grows_with_the_ratio_and_a_min_with_its_logarithm():
    ratios = {"a-max": [], "a-min": []}
    for ratio in (2, 8, 32):
        instance = octaves(ratio, 4000, 400)
        reference = replay(instance, "h-sf").measures.total_completion
        for policy, found in ratios.items():
            found.append(replay(instance, policy, lengths="interval").measures.total_completion / reference)
    assert ratios["a-max"][2] > 3 * ratios["a-max"][1] > 9 * ratios["a-max"][0]
    slope = np.diff(ratios["a-min"])
    assert np.all(slope > 0.3) and np.all(slope < 2 * np.log(4))


@pytest.mark.parametrize(("family", "size"), [("whales", 99), ("blocked", 5), ("overestimated", 0), ("octaves", 3)])
def test_wrong_sizes_are_refused(family, size):
    with pytest.raises(InvalidInputError):
        ADVERSARIAL[family](size)
    with pytest.raises(InvalidInputError, match="at least 130"):
        octaves(64, capacity=100)
