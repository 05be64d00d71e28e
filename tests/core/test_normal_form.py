"""The normal form of an instance: exact there and back, the same whatever the unit of time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import any_plans, instances
from transformed import scaled

from llmsched_mip import LevelPrefill, evaluate
from llmsched_mip.alone import alone_seconds
from llmsched_mip.normal_form import NormalForm


def _times(worker):
    """All seconds of a worker; numbers near the least that there is have no room to be scaled exactly."""
    prefill, decode = worker.prefill_time, worker.decode_time
    seconds = prefill.level_seconds if isinstance(prefill, LevelPrefill) else (prefill.base_s, prefill.per_token_s)
    return np.array([*seconds, decode.base_s, decode.per_sequence_s, decode.per_kv_token_s])


OBJECTIVES = st.sampled_from(["makespan", "total_completion"])


@settings(max_examples=200, deadline=None)
@given(instances(most_workers=3), OBJECTIVES, st.integers(-40, 40), st.integers(-40, 40))
def test_one_normal_form_in_every_unit(instance, objective, time, weight):
    r = instance.requests
    times = np.concatenate((r.arrival_s, r.weight, *(_times(worker) for worker in instance.workers)))
    assume((times[times > 0] > 1e-200).all())
    one = NormalForm.of(instance.with_objective(objective))
    other = NormalForm.of(scaled(instance, time, weight).with_objective(objective))
    if objective == "total_completion" or weight == 0:
        assert one.instance.digest == other.instance.digest
    assert other.time_exponent == one.time_exponent + time
    assert other.value(1.0) == math.ldexp(one.value(1.0), time + weight * (objective != "makespan"))


@settings(max_examples=200, deadline=None)
@given(st.data(), instances(most_workers=3), OBJECTIVES)
def test_values_and_plans_there_and_back(data, instance, objective):
    """A plan is worth the same in both units, and the last completion is of the order that solvers like."""
    plan = data.draw(any_plans(instance))
    form = NormalForm.of(instance.with_objective(objective))
    inside = form.plan_of_normal_form(plan)
    here = evaluate(instance, plan).measures.objective(objective)
    there = evaluate(form.instance, inside).measures.objective(objective)
    assert form.value(there) == pytest.approx(here, rel=1e-12, nan_ok=True)
    back = form.plan_of_original(inside)
    for before, after in zip(plan.workers, back.workers, strict=True):
        if before.not_before_s is None or after.not_before_s is None:
            continue
        floor = max(form.shift_s, 1.0)
        np.testing.assert_allclose(
            np.maximum(after.not_before_s, form.shift_s),
            np.maximum(before.not_before_s, form.shift_s),
            rtol=1e-12,
            atol=1e-12 * floor,
        )


@settings(max_examples=200, deadline=None)
@given(instances(arrivals=False, most_workers=3), st.integers(-40, 40))
def test_order_of_magnitude(instance, time):
    """Every request alone ends by 512; together they take at most n times as long and an iteration each."""
    form = NormalForm.of(scaled(instance, time, 0).with_objective("makespan"))
    longest = float(alone_seconds(form.instance).max())
    assert longest < 512
    assert longest * instance.n >= 256 / len(instance.workers)
