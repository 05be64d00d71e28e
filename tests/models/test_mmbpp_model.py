"""The assignment model against brute force, CBC and `pack`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.models import MODELS, mmbpp
from llmsched_mip.solvers import Status, solve, solve_with_cbc


def _worker(name: str, slots: int | None) -> Worker:
    return Worker(name, AffinePrefill(0.04, 0.0002), DecodeTime(0.04), slots=slots)


def _instance(lengths: list[int], *slots: int | None) -> Instance:
    ids = [f"r{i}" for i in range(len(lengths))]
    requests = Requests(ids, np.full(len(lengths), 5), np.array(lengths))
    workers = [_worker(f"w{k}", count) for k, count in enumerate(slots)]
    return Instance("test", requests, workers)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(1, 5))
def test_highs_cbc_and_pack_agree(lengths: list[int], bins: int) -> None:
    d = np.array(lengths)
    model = mmbpp.build_packing(d, bins)
    result = solve(model, threads=1)
    assert result.status is Status.OPTIMAL
    packing = pack(d, bins)
    assert packing.status == "optimal"
    assert result.value == pytest.approx(packing.makespan)
    assert solve_with_cbc(mmbpp.build_packing(d, bins)).value == pytest.approx(packing.makespan)
    assignment = mmbpp.extract(model)
    assert np.bincount(assignment, weights=d).max() == pytest.approx(result.value)


def test_an_instance_uses_the_slots_of_its_worker() -> None:
    instance = _instance([7, 5, 5, 4, 4, 3, 3, 2], 3)
    model = MODELS["mmbpp"](instance)
    assert solve(model).value == pytest.approx(11)
    assert set(mmbpp.extract(model, instance)) == {0, 1, 2}
    assert solve(mmbpp.build(_instance([7, 5, 5], None))).value == pytest.approx(7)


def test_several_workers_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="one worker"):
        mmbpp.build(_instance([3, 2], 1, 1))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_a_start_is_feasible_whatever_the_bins_are_called(bins: list[int]) -> None:
    lengths = np.arange(1, len(bins) + 1)
    model = mmbpp.build_packing(lengths, 4)
    mmbpp.start(model, lengths, np.array(bins))
    for variable in model.y.values():
        assert not (variable.fixed and variable.value)
    for constraint in [*model.assign.values(), *model.fill.values()]:
        assert constraint.slack() >= -1e-9 or constraint.equality
        assert abs(constraint.body() - 1) < 1e-9 or not constraint.equality
    loads = np.bincount(bins, weights=lengths)
    assert model.T.value == loads.max()
