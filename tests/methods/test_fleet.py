"""The makespan of a backlog on several workers: placement against the bound by duality, and plans that repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import instances

from llmsched_mip import solvers
from llmsched_mip.bounds import BOUNDS
from llmsched_mip.budget import Budget
from llmsched_mip.methods import Search
from llmsched_mip.methods.fleet import applies, fleet
from llmsched_mip.relaxations.fluid import placement_model as placement
from llmsched_mip.relaxations.fluid.placement import Fleet
from llmsched_mip.workload import deployment, generate

KINDS = ("llama2-70b-a100-tp2", "llama2-70b-a100-tp4", "opt-66b-a100-tp4", "llama31-8b-rtx4090")


def backlog(count, workers):
    """`count` requests on the kinds in turn."""
    deployed = [replace(deployment(KINDS[k % len(KINDS)], published=True), name=f"w{k}") for k in range(workers)]
    return replace(generate("azure-conv", count), workers=tuple(deployed))


def searched(instance, **options):
    with Search(instance, 60.0, seed=3) as search:
        fleet(search, **options)
    return search


def test_the_placement_is_the_primal_of_the_bound():
    """Strong duality: with a type for each request the LP's optimum is the bound "split"."""
    instance = backlog(40, 4)
    data = Fleet(instance).data([1.0] * 4)
    assert len(data.count) == instance.n
    found = solvers.solve_arrays(placement.build(data)).value
    ratio = BOUNDS["split"](instance, Budget()).value / found
    assert ratio == pytest.approx(2.0 ** round(np.log2(ratio)), rel=1e-6), "but for the unit, a power of two"


def test_prices_by_kind_are_those_of_each_worker():
    instance = backlog(300, 8)
    apart = tuple(replace(worker, prefill_token_cap=10**9 + k) for k, worker in enumerate(instance.workers))
    bounds = [BOUNDS["split"](one, Budget()).value for one in (instance, replace(instance, workers=apart))]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(instances(most_requests=9, most_workers=3, arrivals=False))
def test_every_request_is_placed_where_it_fits(instance):
    workers = Fleet(instance)
    parts = workers.placed([1.0] * len(workers.kinds), Budget())
    assert sorted(np.concatenate(parts).tolist()) == list(range(instance.n))
    for w, part in enumerate(parts):
        assert instance.fits_worker[part, w].all()


@settings(max_examples=15, deadline=None)
@given(instances(most_requests=9, most_workers=3))
def test_its_plans_are_feasible_or_it_does_not_apply(instance):
    search = searched(instance, steps=5)
    assert (search.plan is not None) == applies(instance)


def test_so_many_steps_give_the_same_plan_again():
    instance = backlog(150, 4)
    values = [searched(instance, steps=200).value for _ in range(2)]
    assert values[0] == values[1]
    assert values[0] < searched(instance, steps=0).value
