"""Both models, by HiGHS and by CBC, against enumeration on random tiny instances with all features mixed."""

from __future__ import annotations

import pytest
from exhaustive import optimum
from random_tiny import tiny_instance

from llmsched_mip.evaluation import evaluate
from llmsched_mip.models import round_indexed, stage_indexed
from llmsched_mip.models.horizon import horizon_from_value, whole_horizon
from llmsched_mip.solvers import Status, solve, solve_with_cbc

OBJECTIVES = ("makespan", "total_completion")
# Sub-MIPs gain nothing in models of a hundred columns, and take a third of the time.
WITHOUT_SUB_MIPS = dict.fromkeys(
    ("mip_heuristic_run_rins", "mip_heuristic_run_rens", "mip_heuristic_run_root_reduced_cost"), False
)
SOLVERS = {"highs": lambda model: solve(model, threads=1, options=WITHOUT_SUB_MIPS), "cbc": solve_with_cbc}
BLOCK, SEEDS = 10, 14
MOST_COLUMNS = 110
TOLERANCE = 2e-5


def agree(instance, objective, model_file, best, **arguments):
    """The optimum of the model by both solvers, and the value of both plans; a relaxation stays below."""
    slack = TOLERANCE * max(1.0, best)
    exact = model_file is round_indexed or stage_indexed.exact(instance)
    values = []
    for name, run in SOLVERS.items():
        model = model_file.build(instance, **arguments)
        result = run(model)
        assert result.status is Status.OPTIMAL, (instance.name, objective, name, result.status)
        evaluation = evaluate(instance, model_file.extract(model, instance))
        assert not evaluation.violations, (instance.name, objective, name, evaluation.violations)
        value = evaluation.measures.objective(objective)
        assert value >= best - slack
        assert result.value <= best + slack, (instance.name, objective, name)
        if exact:
            assert value <= best + slack, (instance.name, objective, name)
            assert result.value >= best - slack, (instance.name, objective, name)
        values.append(result.value)
    assert values[0] == pytest.approx(values[1], abs=slack), (instance.name, objective)


def blocks(block):
    """Ten instances for each objective: those of fourteen seeds whose models are not the largest (a tenth is).

    The few largest take half of the time of all; five requests and two workers are among the others too.
    """
    for objective in OBJECTIVES:
        checked = 0
        for seed in range(SEEDS * block, SEEDS * (block + 1)):
            instance = tiny_instance(seed, objective)
            best = optimum(instance, objective)
            horizon = horizon_from_value(instance, best * (1 + 1e-6) + 1e-6)
            columns = round_indexed.size(instance, horizon)["columns"]
            if columns <= MOST_COLUMNS and checked < BLOCK:
                checked += 1
                yield instance, objective, best, horizon
        assert checked == BLOCK


@pytest.mark.parametrize("block", range(20))
def test_round_indexed_has_the_optimum(block):
    for instance, objective, best, horizon in blocks(block):
        assert (horizon <= whole_horizon(instance)).all()
        agree(instance, objective, round_indexed, best, horizon=horizon)


@pytest.mark.parametrize("block", range(20))
def test_stage_indexed_has_the_optimum_where_it_is_exact(block):
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        for objective in OBJECTIVES:
            instance = tiny_instance(seed, objective)
            backlog = not instance.requests.arrival_s.any()
            if instance.n <= (3 if objective == "makespan" and backlog else 2):
                best = optimum(instance, objective)
                horizon = horizon_from_value(instance, best * (1 + 1e-6) + 1e-6)
                agree(instance, objective, stage_indexed, best, horizon=horizon)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_strengthening_alone_keeps_the_optimum(objective):
    plain = round_indexed.Options.plain()
    for seed in range(300, 304):
        instance = tiny_instance(seed, objective)
        if instance.n > 3:
            continue
        best = optimum(instance, objective)
        for name in vars(plain):
            options = round_indexed.Options(**{**vars(plain), name: True})
            result = solve(round_indexed.build(instance, options=options), threads=1)
            assert result.value == pytest.approx(best, rel=TOLERANCE), (seed, name)
        result = solve(round_indexed.build(instance, options=plain), threads=1)
        assert result.value == pytest.approx(best, rel=TOLERANCE), seed
