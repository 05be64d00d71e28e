"""Branch and bound over stages against enumeration, and against the round-indexed model in HiGHS."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from exhaustive import optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from random_tiny import tiny_instance

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker
from llmsched_mip.algorithms.stages.problem import StageProblem
from llmsched_mip.algorithms.stages.prove import prove
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods import solve
from llmsched_mip.models import round_indexed
from llmsched_mip.models.horizon import horizon_from_value
from llmsched_mip.solvers import Status
from llmsched_mip.solvers import solve as solve_model

OBJECTIVES = ("makespan", "total_completion")


def searched(instance, objective, known=math.inf, bound=0.0):
    """The last proof and its value by `evaluate`; None where the search does not apply."""
    problem = StageProblem.of(instance.with_objective(objective))
    if problem is None:
        return None
    *_, proof = prove(problem, known / problem.weight, bound, Budget())
    assert proof.closed
    if proof.best is None:
        return proof, None
    evaluation = evaluate(instance, problem.plan(instance, proof.best, "test"))
    assert evaluation.feasible, evaluation.violations
    value = evaluation.measures.objective(objective)
    assert value == pytest.approx(proof.value * problem.weight)
    return proof, value


def backlog(seed, objective):
    """A tiny instance as one worker's backlog with equal weights."""
    instance = tiny_instance(seed, objective)
    r = instance.requests
    return replace(
        instance, requests=Requests(list(r.id), r.prefill_tokens, r.decode_tokens), workers=instance.workers[:1]
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("block", range(10))
def test_the_optimum_is_that_of_enumeration(block, objective):
    for seed in range(20 * block, 20 * (block + 1)):
        instance = backlog(seed, objective)
        best = optimum(instance, objective)
        assert searched(instance, objective)[1] == pytest.approx(best, rel=1e-8), seed
        again, value = searched(instance, objective, known=best, bound=0.8 * best)
        assert value is None and again.bound == pytest.approx(best, rel=1e-8), seed


def measured(seed, n, slots, objective, kv=None):
    """Short outputs where a prefill costs as much as a round, affine or by levels."""
    rng = np.random.default_rng(seed)
    prefill = AffinePrefill(0.04, 0.0002) if seed % 3 else LevelPrefill((30, 60, 120), (0.04, 0.05, 0.07))
    worker = Worker("w0", prefill, DecodeTime(0.04, 1e-4, 7e-7), slots, kv, 70 if seed % 2 else None)
    requests = Requests([f"r{i}" for i in range(n)], rng.integers(5, 30, n), rng.integers(1, 7, n))
    return Instance(f"short {seed}", requests, (worker,), objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_that_of_the_model_in_highs(seed, objective):
    instance = measured(seed, 5, 2, objective, 70 if seed > 1 else None)
    _, value = searched(instance, objective)
    model = round_indexed.build(instance, horizon=horizon_from_value(instance, value * (1 + 1e-6)))
    result = solve_model(model, threads=1, budget=Budget(120))
    assert result.status is Status.OPTIMAL
    assert result.value == pytest.approx(value, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(OBJECTIVES), st.permutations(range(6)))
def test_the_order_of_requests_does_not_matter(seed, objective, order):
    instance = measured(seed, 6, 3, objective, 90 if seed % 2 else None)
    _, value = searched(instance, objective)
    _, again = searched(instance.take(np.array(order)), objective)
    assert again == pytest.approx(value, rel=1e-9)


def test_decoding_to_completions_loses_nothing():
    """The sum with long outputs, decided at completions only, against decisions at every round."""
    for seed in range(6):
        instance = measured(seed, 6, 2, "total_completion")
        problem = StageProblem.of(instance.with_objective("total_completion"))
        assert problem.at_completions
        *_, quick = prove(problem, math.inf, 0.0, Budget())
        every_round = type("EveryRound", (StageProblem,), {"at_completions": False})
        *_, slow = prove(every_round(**vars(problem)), math.inf, 0.0, Budget())
        assert quick.value == pytest.approx(slow.value, rel=1e-9)
        assert slow.nodes > quick.nodes


def test_a_search_cut_short_still_proves_what_it_looked_through(monkeypatch):
    monkeypatch.setattr("llmsched_mip.algorithms.stages.prove.SLICE", 500)
    instance = measured(1, 14, 3, "total_completion", 100)
    problem = StageProblem.of(instance.with_objective("total_completion"))
    calls = iter(range(1000))
    optimal = searched(instance, "total_completion")[1]
    for proof in prove(problem, 1.3 * optimal, 0.0, Budget(interrupted=lambda: next(calls) > 20)):
        assert proof.bound <= optimal * (1 + 1e-9) <= proof.value * (1 + 1e-9)
    assert not proof.closed


@pytest.mark.parametrize("change", ["arrivals", "weights", "workers", "many"])
def test_where_it_does_not_apply(change):
    instance = measured(0, 4, 2, "total_completion")
    r, n = instance.requests, 4
    if change == "arrivals":
        instance = replace(instance, requests=replace(r, arrival_s=np.array([0.0, 1.0, 0.0, 0.0])))
    elif change == "weights":
        instance = replace(instance, requests=replace(r, weight=np.array([1.0, 2.0, 1.0, 1.0])))
    elif change == "workers":
        instance = replace(instance, workers=(*instance.workers, replace(instance.workers[0], name="w1")))
    else:
        n = 70
        instance = replace(instance, requests=Requests([f"r{i}" for i in range(n)], [5] * n, [3] * n))
    assert StageProblem.of(instance.with_objective("total_completion")) is None
    plan = solve(instance, method="branch-and-bound", time_limit_s=5).plan
    assert evaluate(instance, plan).feasible


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_auto_proves_a_small_backlog(objective):
    plan = solve(measured(2, 10, 3, objective), time_limit_s=30).plan
    assert plan.claims.status == "optimal"
    assert plan.claims.bound == plan.claims.value
