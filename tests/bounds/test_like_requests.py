"""Groups of like requests: what is in one is alike, and what no group can lose is lost by none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.relaxations.fluid.like_requests import like_requests
from llmsched_mip.workload import deployment, generate


def of_lengths(lengths):
    """Requests of these lengths on two workers that differ."""
    p, d = (list(column) for column in zip(*lengths, strict=True))
    requests = Requests([f"r{i}" for i in range(len(p))], p, d)
    workers = tuple(Worker(f"w{k}", AffinePrefill(0.0, 1.0), DecodeTime(1.0, 1.0), slots=4 + k) for k in range(2))
    return Instance("lengths", requests, workers)


@settings(max_examples=50, deadline=None)
@given(instances(most_requests=12, most_workers=3, arrivals=False))
def test_every_request_is_in_one_group_of_those_that_fit_the_same_workers(instance):
    for most in (1, 3, 100):
        groups = like_requests(instance, most)
        assert sorted(np.concatenate(groups).tolist()) == list(range(instance.n))
        patterns = {fits.tobytes() for fits in instance.fits_worker}
        assert len(groups) <= max(most, len(patterns))
        for group in groups:
            assert (instance.fits_worker[group] == instance.fits_worker[group[0]]).all()


def test_as_many_groups_as_there_are_lengths_hold_equal_requests_each():
    instance = of_lengths([(3, 5), (9, 2), (3, 5), (3, 2), (9, 2), (3, 5)])
    assert sorted(group.tolist() for group in like_requests(instance, 100)) == [[0, 2, 5], [1, 4], [3]]


def test_what_is_unlike_is_parted_first():
    # Three clouds, two of which differ in their prompts and two in their outputs.
    clouds = [(1, 1), (2, 1), (100, 1), (101, 1), (1, 90), (2, 91)]
    assert sorted(group.tolist() for group in like_requests(of_lengths(clouds), 3)) == [[0, 1], [2, 3], [4, 5]]


def test_more_groups_lose_less_work():
    """Against the loss added up request by request: it falls by nine tenths from 10 to 200 groups of 500 requests."""
    instance = generate("mixture", 500)
    workers = [deployment(name, published=True) for name in ("llama2-70b-a100-tp2", "llama31-8b-rtx4090")]
    instance = Instance("two", instance.requests, tuple(workers))
    r, lost = instance.requests, []
    for most in (10, 50, 200):
        groups = like_requests(instance, most)
        assert len(groups) == most
        lost.append(sum(float((r.prefill_tokens[g] - r.prefill_tokens[g].min()).sum()) for g in groups))
    assert lost[0] > lost[1] > lost[2]
    assert lost[2] == pytest.approx(0.0, abs=0.1 * lost[0])
