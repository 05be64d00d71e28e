"""Several workers: plans that repeat, above every bound and far below a placement by work alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_tiny import tiny_instance

from llmsched_mip.bounds import BOUNDS
from llmsched_mip.budget import Budget
from llmsched_mip.methods import Search
from llmsched_mip.methods import fleet_orders as module
from llmsched_mip.methods.fleet_orders import fleet_orders
from llmsched_mip.workload import deployment, generate

KINDS = ("llama2-70b-a100-tp2", "llama2-70b-a100-tp4", "opt-66b-a100-tp4", "llama31-8b-rtx4090")


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(module, "EXCHANGES_OF_TURN", 40)
    monkeypatch.setattr(module, "TRIALS_OF_REQUEST", 20)


def fleet_of(family, objective, **options):
    workers = tuple(replace(deployment(KINDS[k % 4], published=True), name=f"w{k}") for k in range(5))
    return replace(generate(family, 60, **options), workers=workers, objective=objective)


def searched(instance, **options):
    with Search(instance, float("inf"), seed=3) as search:
        fleet_orders(search, **options)
    return search


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
@pytest.mark.parametrize("options", [{}, {"rate": 2.0}])
def test_it_repeats_and_stays_above_the_bounds(objective, options):
    instance = fleet_of("azure-conv", objective, **options)
    first, again = (searched(instance, turns=2) for _ in range(2))
    assert not first.failures
    assert first.value == again.value
    for name in ("alone", "area", "split", "worker_time"):
        bound = BOUNDS[name](instance, Budget(2.0))
        assert bound is None or bound.value <= first.value * (1 + 1e-9)


def test_fast_workers_get_more_than_by_work_alone():
    instance = fleet_of("gsm8k-65b", "total_completion")
    assert searched(instance, turns=1).value < 1.4 * BOUNDS["worker_time"](instance, Budget(2.0)).value


@pytest.mark.parametrize("seed", [s for s in range(60) if len(tiny_instance(s, "makespan").workers) == 2][:12])
def test_caps_levels_weights_and_requests_that_fit_one_worker_only(seed):
    for objective in ("makespan", "total_completion"):
        search = searched(tiny_instance(seed, objective), turns=1)
        assert search.plan is not None
        assert sorted(np.concatenate([w.requests for w in search.plan.workers]).tolist()) == list(
            range(search.instance.n)
        )
