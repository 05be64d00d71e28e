"""Hidden lengths where the KV cache binds: few evictions, never behind `fcfs` with the same sight."""

import numpy as np
import pytest

from llmsched_mip.execution import replay
from llmsched_mip.policies.parts.lot_size import merging_pays
from llmsched_mip.workload import generate
from llmsched_mip.workload.predictions import with_predictions


@pytest.mark.parametrize("lengths", ["interval", "unknown"])
def test_a_wave_of_requests_that_start_together_overflows_hardly(lengths):
    instance = with_predictions(generate("gsm8k-opt66b-a100", 600, 3), "intervals:4", 3)
    rule, fcfs = (replay(instance, policy, lengths=lengths) for policy in ("lagrangian", "fcfs"))
    assert rule.evictions < 20
    assert rule.measures.makespan < fcfs.measures.makespan


def test_evenly_spaced_completions_make_the_economic_order_quantity_the_threshold():
    fixed_s, price_s, rate = 0.5, 0.001, 0.4
    quantity = np.sqrt(2 * fixed_s * rate / price_s)
    rounds = np.linspace(0.01, 100, 10000)
    waits = [n for n in range(1, 60) if merging_pays(fixed_s, price_s, n, rate, rounds, rate * rounds)]
    assert waits == list(range(1, int(quantity) + 1))


def test_waiting_pays_before_many_end_together_and_not_behind_them():
    rounds = np.arange(1.0, 50.0)
    assert merging_pays(1.0, 0.01, 30, 0.1, rounds, np.where(rounds >= 3, 40.0, 0.0))
    assert not merging_pays(1.0, 0.01, 30, 0.1, rounds, 0.1 * rounds)
    assert not merging_pays(1.0, 0.01, 30, 0.1, rounds, np.where(rounds >= 4, 40.0, 0.0))
