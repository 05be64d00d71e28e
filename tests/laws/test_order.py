"""The order of requests and workers in the file: no effect on optima and bounds, nor on policies if arrivals differ."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from brute_force import optimum
from fuzzing.change import at_different_times, shuffled, stream
from fuzzing.draw import SMALL, TINY
from proofs import ONLINE, bound_of, proven, replayed

from llmsched_mip.bounds import BOUNDS
from llmsched_mip.policies.protocol import VISIBILITY
from llmsched_mip.tolerance import RELATIVE_TOLERANCE

ROUNDING = 1e-12


def reordered(instance, rng):
    """Requests in another order, and the workers, where they are equal, from the last to the first."""
    first = replace(instance.workers[0], name="")
    equal = all(replace(worker, name="") == first for worker in instance.workers)
    return shuffled(replace(instance, workers=instance.workers[::-1]) if equal else instance, rng)


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name):
    rng = random.Random(11)
    for instance in stream(111, 60, TINY, SMALL):
        first, second = bound_of(instance, name), bound_of(reordered(instance, rng), name)
        if first is None:
            assert second is None, instance.name
        else:
            assert second == pytest.approx(first, rel=ROUNDING, abs=0), instance.name


def test_proven_optima():
    rng, both = random.Random(12), 0
    for instance in stream(112, 60, TINY):
        first, second = proven(instance), proven(reordered(instance, rng))
        if first is None or second is None:
            continue
        both += 1
        assert first == pytest.approx(second, rel=RELATIVE_TOLERANCE, abs=0), instance.name
        assert first == pytest.approx(optimum(instance, instance.objective), rel=RELATIVE_TOLERANCE, abs=0)
    assert both > 30


@pytest.mark.parametrize("lengths", VISIBILITY)
@pytest.mark.parametrize("policy", ONLINE)
def test_policies_where_arrivals_differ(policy, lengths):
    rng = random.Random(13)
    for drawn in stream(113, 25, TINY, SMALL):
        instance = at_different_times(drawn, rng)
        first, second = replayed(instance, policy, lengths), replayed(shuffled(instance, rng), policy, lengths)
        if first is None or second is None:
            assert first is second, instance.name
            continue
        for name in ("makespan", "total_completion"):
            values = (getattr(first.measures, name), getattr(second.measures, name))
            assert values[1] == pytest.approx(values[0], rel=ROUNDING, abs=0), instance.name
