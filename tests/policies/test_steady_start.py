"""The first requests of the Lagrangian rule where longest first would overflow the KV cache."""

import numpy as np
import pytest

from llmsched_mip import generate, replay
from llmsched_mip.policies.parts import mixed_order
from llmsched_mip.policies.parts.mixed_order import steady_start


def test_lengths_are_those_of_remaining_rounds_in_a_steady_state():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 101, 5000).tolist()
    chosen = np.array(lengths)[steady_start(lengths, 200)]
    # Of lengths uniform on 1..100 the remaining rounds have the distribution 1 - (1 - x / 100)².
    for x in (10, 30, 50, 80):
        assert np.mean(chosen <= x) == pytest.approx(1 - (1 - x / 100) ** 2, abs=0.03)
    assert list(chosen) == sorted(chosen, reverse=True)


def test_each_request_is_taken_once_and_lengths_that_run_out_are_replaced_by_the_next():
    chosen = steady_start([7] * 5 + [1] * 3, 8)
    assert sorted(chosen) == list(range(8))


@pytest.mark.parametrize("seed", [1, 2])
def test_waves_of_a_common_cap_are_avoided(monkeypatch, seed):
    instance = generate("gsm8k-opt66b-a100", 1000, seed)
    steady = replay(instance, "lagrangian").measures.makespan
    monkeypatch.setattr(mixed_order.MixedOrder, "_start_steadily", lambda self: None)
    assert steady < 0.995 * replay(instance, "lagrangian").measures.makespan


def test_a_short_backlog_keeps_the_order_of_arrival(monkeypatch):
    instance = generate("gsm8k-opt66b-a100", 300)
    value = replay(instance, "lagrangian").measures.makespan
    monkeypatch.setattr(mixed_order.MixedOrder, "_start_steadily", lambda self: None)
    assert value == replay(instance, "lagrangian").measures.makespan
