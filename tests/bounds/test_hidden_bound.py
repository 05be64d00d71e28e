"""What no policy reaches on average that does not see the lengths: against all outcomes, formulas and policies."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import Instance, Requests
from llmsched_mip.bounds.hidden_lengths import hidden_bound
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import replay
from llmsched_mip.relaxations.hidden_lengths.start_order import list_rounds, makespan_in_order
from llmsched_mip.relaxations.hidden_lengths.start_times import total_completion_of_starts
from llmsched_mip.relaxations.hidden_lengths.work_times import total_completion_of_work
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.worker import Worker
from llmsched_mip.workload import generate
from llmsched_mip.workload.predictions import with_predictions

BLIND = ("fcfs", "fcfs:2", "svf", "machine-time", "lagrangian", "lagrangian-stochastic")
WORKERS = {
    "slots": Worker("w", AffinePrefill(0.5, 0.01), DecodeTime(1.0, 0.1, 0.0), slots=2),
    "kv": Worker("w", AffinePrefill(0.3, 0.02), DecodeTime(1.0, 0.05, 0.002), slots=6, kv_capacity=40),
}


def _instance(worker: Worker, prompts: list[int], decode: tuple[int, ...], objective: str) -> Instance:
    requests = Requests(
        id=[f"r{k}" for k in range(len(prompts))], prefill_tokens=np.array(prompts), decode_tokens=np.array(decode)
    )
    return Instance(name="small", workers=(worker,), requests=requests, objective=objective)


@pytest.mark.parametrize("seed", range(20))
def test_list_rounds_are_those_of_slots_stepped_round_by_round(seed):
    rng = np.random.default_rng(seed)
    lengths, slots = rng.integers(1, 9, rng.integers(1, 12)), int(rng.integers(1, 5))
    waiting, running, rounds = lengths.tolist(), [], 0
    while waiting or running:
        while waiting and len(running) < slots:
            running.append(waiting.pop(0))
        running, rounds = [left - 1 for left in running if left > 1], rounds + 1
    assert list_rounds(lengths, slots) == rounds


@pytest.mark.parametrize("kind", WORKERS)
def test_no_blind_policy_is_below_over_all_permutations(kind):
    prompts, lengths = [3, 5, 2, 4, 6], (2, 9, 4, 1, 7)
    base = _instance(WORKERS[kind], prompts, lengths, "makespan")
    deals = [_instance(WORKERS[kind], prompts, deal, "makespan") for deal in itertools.permutations(lengths)]
    bound = np.mean([makespan_in_order(base, deal.requests.decode_tokens) for deal in deals])
    for policy in BLIND:
        runs = [replay(deal, policy, lengths="unknown") for deal in deals]
        if not any(run.evictions for run in runs):
            assert np.mean([run.measures.makespan for run in runs]) >= bound * (1 - 1e-9)
    greedy = np.mean([replay(deal, "fcfs", lengths="unknown").measures.makespan for deal in deals])
    assert 0.5 * greedy < bound <= greedy


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("values", [(2, 8), (1, 3, 12)], ids=str)
def test_no_blind_policy_is_below_over_all_outcomes(kind, values):
    prompts = [3, 5, 2]
    base = _instance(WORKERS[kind], prompts, values[:1] * len(prompts), "total_completion")
    outcomes = [
        _instance(WORKERS[kind], prompts, outcome, "total_completion")
        for outcome in itertools.product(values, repeat=len(prompts))
    ]
    bound = max(function(base, np.array(values)) for function in (total_completion_of_starts, total_completion_of_work))
    best = np.inf
    for policy, order in itertools.product(BLIND, itertools.permutations(range(len(prompts)))):
        runs = [replay(outcome.take(list(order)), policy, lengths="unknown") for outcome in outcomes]
        if not any(run.evictions for run in runs):
            best = min(best, float(np.mean([run.measures.total_completion for run in runs])))
    assert 0.3 * best < bound <= best * (1 + 1e-9)


def test_terms_are_those_of_sums_over_rounds():
    instance = generate("azure-conv", 5, 3).with_objective("total_completion")
    instance = replace(instance, workers=(replace(instance.workers[0], slots=None),))
    worker, lengths = instance.workers[0], np.array([3, 4, 11])
    time, kv = worker.decode_time, worker.kv_capacity
    fixed = worker.prefill_time.fixed_seconds
    mean, square, extra, most = [], [], [], []
    for p in instance.requests.prefill_tokens.tolist():
        prompt = float(worker.prefill_time.prompt_seconds(p))
        work = [time.per_sequence_s + (time.per_kv_token_s + time.base_s / kv) * (p + k) for k in range(1, 12)]
        rounds = [time.base_s + time.per_sequence_s + time.per_kv_token_s * (p + k) for k in range(1, 12)]
        total = [prompt + sum(work[:d]) for d in lengths]
        rest = [np.mean([sum(work[i:d]) for d in lengths if d > i]) for i in range(11)]
        rho = max(np.mean(total), *rest)
        inner = [sum(work[k] * (sum(rounds[: k + 1]) - rounds[k] / 2) for k in range(d)) for d in lengths]
        least = np.mean([sum(rounds[:d]) for d in lengths])
        start = prompt + fixed
        extra.append(rho * (start + least) - np.mean(total) * start + prompt * start / 2 - np.mean(inner))
        mean.append(np.mean(total)), square.append(np.var(total)), most.append(rho)
    order = np.argsort(most)
    value, f = 0.0, 0.0
    for k, j in enumerate(order):
        f = (sum(mean[i] for i in order[: k + 1]) ** 2 + sum(square[i] for i in order[: k + 1])) / 2
        f += sum(extra[i] for i in order[: k + 1])
        later = 1 / most[order[k + 1]] if k + 1 < len(order) else 0.0
        value += (1 / most[j] - later) * f
    assert total_completion_of_work(instance, lengths) == pytest.approx(value, rel=1e-9)


def test_all_times_twice_as_long_make_the_bound_twice_as_large():
    for objective, lengths in itertools.product(("makespan", "total_completion"), ("interval", "unknown")):
        instance = with_predictions(generate("gsm8k-opt66b-a100", 40, 1), "intervals:3", 1).with_objective(objective)
        worker = instance.workers[0]
        time = worker.decode_time
        slow = replace(
            worker,
            prefill_time=AffinePrefill(2 * worker.prefill_time.base_s, 2 * worker.prefill_time.per_token_s),
            decode_time=DecodeTime(2 * time.base_s, 2 * time.per_sequence_s, 2 * time.per_kv_token_s),
        )
        bounds = [hidden_bound(each, lengths, draws=5) for each in (instance, replace(instance, workers=(slow,)))]
        assert bounds[1].value == pytest.approx(2 * bounds[0].value)
        assert bounds[1].error == pytest.approx(2 * bounds[0].error)


def test_bad_arguments_are_named():
    instance = generate("gsm8k-65b", 5, 0)
    for arguments, field in (
        ({"lengths": "known"}, "lengths"),
        ({"lengths": "unknown", "draws": 1}, "draws"),
        ({"lengths": "interval"}, "requests.decode_lower"),
    ):
        with pytest.raises(InvalidInputError, match=field):
            hidden_bound(instance, **arguments)
