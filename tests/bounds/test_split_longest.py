"""Whole rounds against numbers by hand, against every choice of rounds with an LP each, and as a placement."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from hypothesis import given, settings
from scipy.optimize import linprog
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.bounds import bound
from llmsched_mip.bounds.split_longest import improve
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.fluid.pricing import fixed_prefill
from llmsched_mip.relaxations.fluid.whole_rounds import PLACING, SIZES, TOLERANCE, WholeRounds
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.workload import deployment, generate

KINDS = ("llama2-70b-a100-tp2", "llama2-70b-a100-tp4", "opt-66b-a100-tp4", "llama31-8b-rtx4090")


def equal_requests(count):
    """Requests of 100 rounds on two workers that differ in their slots: 1 s a round, and 1 s for each in it."""
    requests = Requests([f"r{i}" for i in range(count)], [1] * count, [100] * count)
    workers = tuple(Worker(f"w{k}", AffinePrefill(0.0, 0.0), DecodeTime(1.0, 1.0), slots=10 + k) for k in range(2))
    return Instance("equal", requests, workers)


def test_both_workers_run_all_rounds_of_what_they_take():
    # Five on each: 100 rounds of 1 + 5 s.  Fluid bounds share 1,000 rounds of requests among 10 at once on each: 50.
    found = bound(equal_requests(10), names=["alone", "split", "split_longest", "deadline"])
    assert found["split_longest"].value == pytest.approx(600, rel=2 * TOLERANCE)
    assert found["split"].value == pytest.approx(550)
    assert found["alone"].value == 200


def test_two_requests_go_apart():
    # One takes 200 s on either; a second beside it adds 100 s, and is no later on the other one.
    assert bound(equal_requests(2), names=["split_longest"])["split_longest"].value == pytest.approx(200, rel=1e-4)
    assert optimum(equal_requests(2), "makespan") == 200


def enumerated(instance: Instance) -> float:
    """The optimum of the relaxation with a type and a level for every length: an LP for each choice of u."""
    kinds = instance.worker_kinds
    lengths = np.stack((instance.requests.prefill_tokens, instance.requests.decode_tokens), axis=1)
    firsts = [int(workers[0]) for workers in kinds]
    fits = instance.fits_worker[:, firsts]
    n, K = instance.n, len(kinds)
    edges = np.unique(lengths[:, 1])
    level = np.searchsorted(edges, lengths[:, 1])
    steps = np.diff(np.concatenate(([0], edges)))
    limits = [Limits.of(instance, w) for w in firsts]
    best = np.inf
    nested = [list(itertools.combinations_with_replacement(range(len(w), -1, -1), len(edges))) for w in kinds]
    for u in itertools.product(*nested):
        # Columns: y by request, R and P by kind, T.
        width = n * K + 2 * K + 1
        upper, limit, rows = [], [], []
        most = [(0, float(fits[i, k] and u[k][level[i]] > 0)) for i in range(n) for k in range(K)]
        for i in range(n):
            row = np.zeros(width)
            row[i * K : (i + 1) * K] = 1
            rows.append(row)
        for k, one in enumerate(limits):
            here = np.arange(n) * K + k
            p, d = lengths[:, 0], lengths[:, 1]
            volume, worker = p * d + d * (d + 1) / 2, one.worker
            slots, kv = max(one.slots, 1), max(one.kv, 1)
            pairs = fixed_prefill(one) if len(one.p) else [(1.0, 0.0)]
            least, token = min(s for _, s in pairs), min(s / max(t, 1) for t, s in pairs)
            R, P, T = n * K + k, n * K + K + k, width - 1
            for column, coefficients in ((R, volume / kv), (R, d / slots), (P, p * token), (P, least / slots)):
                row = np.zeros(width)
                row[here] = coefficients
                row[column] = -1
                upper.append(row)
                limit.append(0.0)
            for column, amount in ((R, float(steps @ u[k])), (P, least * u[k][0])):
                row = np.zeros(width)
                row[column] = -1
                upper.append(row)
                limit.append(-amount)
            row = np.zeros(width)
            decode = worker.decode_time
            row[here] = (
                worker.prefill_time.prompt_seconds(p) + decode.per_sequence_s * d + decode.per_kv_token_s * volume
            )
            row[R], row[P], row[T] = decode.base_s, 1, -len(kinds[k])
            upper.append(row)
            limit.append(0.0)
        cost = np.zeros(width)
        cost[-1] = 1
        bounds = most + [(0, None)] * (2 * K + 1)
        found = linprog(cost, np.array(upper), limit, np.array(rows), np.ones(n), bounds)
        if found.status == 0:
            best = min(best, found.fun)
    return best + float(instance.requests.arrival_s.min())


@settings(max_examples=25, deadline=None)
@given(instances(most_requests=4, most_workers=3))
def test_against_every_choice_of_rounds(instance):
    instance = replace(instance, objective="makespan")
    relaxation = WholeRounds.of(instance, SIZES[-1])
    assert relaxation is not None
    found = relaxation.bound(relaxation.solve([1.0] * len(instance.worker_kinds), Budget()))
    expected = enumerated(instance)
    assert found == pytest.approx(expected, rel=3 * TOLERANCE, abs=1e-9)
    assert found <= expected * (1 + 1e-9)


def test_more_types_prove_more_and_none_more_than_a_plan():
    workers = tuple(replace(deployment(name, published=True), name=name) for name in KINDS)
    instance = replace(generate("arxiv-summarization", 60), workers=workers)
    every = WholeRounds.of(instance, SIZES[-1])
    assert every is not None
    one = WholeRounds(instance, [np.arange(instance.n)], SIZES[-1])
    values = [each.bound(each.solve([1.0] * 4, Budget())) for each in (one, every)]
    assert values[0] < values[1]
    parts = every.parts(every.solve([1.0] * 4, Budget()))
    assert parts is not None
    assert sorted(np.concatenate(parts).tolist()) == list(range(instance.n))
    for w, part in enumerate(parts):
        assert instance.fits_worker[part, w].all()


def test_larger_models_are_solved_while_they_prove_more():
    workers = tuple(replace(deployment(name, published=True), name=name) for name in KINDS)
    instance, found = replace(generate("arxiv-summarization", 200), workers=workers), []
    improve(instance, Budget(), found.append, SIZES[:3])
    assert len(found) > 1
    assert [one.value for one in found] == sorted(one.value for one in found)
    assert bound(instance, names=["split"])["split"].value < found[0].value


def test_a_placement_proves_nothing():
    relaxation = WholeRounds.of(equal_requests(10), PLACING, placing=True)
    assert relaxation is not None
    solved = relaxation.solve([1.0, 1.0], Budget())
    assert relaxation.bound(solved) == 0.0
    parts = relaxation.parts(solved)
    assert parts is not None
    assert [len(part) for part in parts] == [5, 5]
