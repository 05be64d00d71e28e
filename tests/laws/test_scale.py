"""All times scaled by a power of two: bounds and values scale exactly, every status stays.

Multiplying by a power of two is exact, so that any difference is an absolute constant somewhere.
"""

from __future__ import annotations

import math
import random

import pytest
from fuzzing.change import in_unit, stream
from fuzzing.draw import SMALL, TINY
from proofs import ONLINE, bound_of, replayed, solved

from llmsched_mip.bounds import BOUNDS
from llmsched_mip.methods import METHODS
from llmsched_mip.policies.protocol import VISIBILITY

EXPONENTS = (-40, 40)


def scaled(instance, rng):
    """The instance in another unit, and the exponent."""
    exponent = rng.randint(*EXPONENTS)
    return in_unit(instance, 2.0**exponent), exponent


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name):
    rng = random.Random(1)
    for instance in stream(101, 60, TINY, SMALL):
        other, exponent = scaled(instance, rng)
        first, second = bound_of(instance, name), bound_of(other, name)
        if first is None:
            assert second is None, instance.name
        else:
            assert second == math.ldexp(first, exponent), (instance.name, exponent)


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    rng = random.Random(2)
    for instance in stream(102, 25, TINY, SMALL):
        other, exponent = scaled(instance, rng)
        (status, value), (status_of_other, value_of_other) = solved(instance, method), solved(other, method)
        assert value_of_other == math.ldexp(value, exponent), (instance.name, exponent)
        assert status_of_other == status, (instance.name, exponent)


@pytest.mark.parametrize("lengths", VISIBILITY)
@pytest.mark.parametrize("policy", [name for name in ONLINE if name != "rolling"])
def test_policies(policy, lengths):
    """But `rolling`, whose period and delay are given in seconds."""
    rng = random.Random(3)
    for instance in stream(103, 20, TINY, SMALL):
        other, exponent = scaled(instance, rng)
        first, second = replayed(instance, policy, lengths), replayed(other, policy, lengths)
        if first is None or second is None:
            assert first is second, instance.name
            continue
        scales = second.schedule.completion_s == first.schedule.completion_s * 2.0**exponent
        assert scales.all(), (instance.name, exponent)
        assert second.evictions == first.evictions
