"""The compiled execution of an order against the executor, which shows the same rule only what may be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import generate
from llmsched_mip.execution import Executor
from llmsched_mip.methods.stochastic.kernel import EVICTIONS, VALUE, Fleet, Rule, execute
from llmsched_mip.methods.stochastic.policy import OrderPolicy
from llmsched_mip.policies.protocol import Problem


def cases():
    """Instances, and how much less than the lengths KV may be set aside for."""
    backlog = generate("gsm8k-opt66b-a100", 150, 0)
    (worker,) = backlog.workers
    tight = replace(backlog, workers=(replace(worker, kv_capacity=4000, prefill_token_cap=700),))
    arrivals = np.sort(np.random.default_rng(0).uniform(0, 80, 150))
    arriving = replace(tight, requests=replace(tight.requests, arrival_s=arrivals))
    fleet = (replace(worker, kv_capacity=5000), replace(worker, name="w1", kv_capacity=3000, slots=9))
    levels = generate("gsm8k-65b", 60, 0)
    return {
        "backlog": (backlog, 0.2),
        "tight": (tight, 0.2),
        "arriving": (arriving, 0.2),
        "arriving, total completion": (arriving.with_objective("total_completion"), 0.2),
        "fleet": (replace(arriving, workers=fleet), 1.0),
        "no KV limit": (levels, 0.2),
    }


@pytest.mark.parametrize("name", cases())
def test_the_kernel_runs_as_the_executor(name):
    instance, least_reserve = cases()[name]
    rng, n = np.random.default_rng(1), instance.n
    fleet, evictions = Fleet.of(instance), 0
    for trial in range(6):
        order = rng.permutation(n).astype(np.int64)
        reserve = np.maximum(1, instance.requests.decode_tokens * rng.uniform(least_reserve, 2, n)).astype(np.int64)
        placed = np.full(n, -1, dtype=np.int64)
        if len(instance.workers) > 1 and trial % 2:
            peak = instance.requests.prefill_tokens + np.maximum(reserve, instance.requests.decode_tokens)
            placed = np.where(peak < 3000, rng.integers(-1, 2, n), 0)
        rule = Rule(order, placed, int(rng.integers(1, 9)), reserve, float(rng.choice((0.0, 0.1))))
        totals = execute(fleet, rule, np.array(instance.requests.decode_tokens), np.argsort(order))
        executor = Executor(instance, OrderPolicy(Problem.of(instance, "unknown"), rule))
        executor.run()
        outcome = executor.outcome("rule", 0.0)
        assert totals[VALUE] == pytest.approx(outcome.measures.objective(instance.objective), rel=1e-9)
        assert totals[EVICTIONS] == outcome.evictions
        evictions += outcome.evictions
    assert (evictions > 0) == (name.startswith(("tight", "arriving")))
