"""What is accepted is computed right up to the border, and what lies beyond is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from llmsched_mip import Instance, Requests, Worker, clock, read_instance
from llmsched_mip.bounds import BOUNDS, compute
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay
from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.magnitudes import MOST_TOKEN_ROUNDS
from llmsched_mip.methods import solve
from llmsched_mip.plan import Plan, Stage
from llmsched_mip.relaxations.prefill_cover import bins_needed
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill

CASES = Path(__file__).parents[1] / "cases"
DECODE = DecodeTime(0.0396, 0.000136, 6.95e-07)
LIMITS = ({}, {"slots": 2}, {"slots": MOST_LIMIT, "kv_capacity": MOST_LIMIT, "prefill_token_cap": MOST_LIMIT})


def volume(p: int, d: int) -> int:
    return p * d + d * (d + 1) // 2


def filled(target: int, prompt: int) -> tuple[list[int], list[int]]:
    """Prompts and lengths whose KV token-rounds are `target` exactly: long requests first, then what is left over."""
    prompts, lengths = [], []
    while target > MAX_TOKENS:
        low, high = 1, MAX_TOKENS
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if volume(prompt, middle) <= target // 2 + 1 else (low, middle - 1)
        tokens = prompt if volume(prompt, low) <= target else 1
        prompts.append(tokens)
        lengths.append(low)
        target -= volume(tokens, low)
        prompt = min(prompt, max(1, target // 4))
    if target >= 2:
        prompts.append(target - 1)
        lengths.append(1)
    return prompts, lengths


def instance_of(prompts: list[int], lengths: list[int], objective: str = "makespan", **limits: int) -> Instance:
    worker = Worker("w0", AffinePrefill(0.043, 0.000213), DECODE, **limits)
    ids = [f"r{i}" for i in range(len(prompts))]
    return Instance("border", Requests(ids, np.array(prompts), np.array(lengths)), (worker,), objective)


def exact_completions(instance: Instance, stages: list[list[int]]) -> list[Fraction]:
    """Completions of batches one after the other, in integers and fractions: the next starts when all are through."""
    worker, r = instance.workers[0], instance.requests
    p, d = r.prefill_tokens.tolist(), r.decode_tokens.tolist()
    base, per_token = Fraction(worker.prefill_time.base_s), Fraction(worker.prefill_time.per_token_s)
    a, b, c = (Fraction(x) for x in (DECODE.base_s, DECODE.per_sequence_s, DECODE.per_kv_token_s))
    now, done = Fraction(0), [Fraction(0)] * len(p)
    for batch in stages:
        now += base + per_token * sum(p[i] for i in batch)
        ran, active = 0, sorted(batch, key=lambda i: d[i])
        while active:
            m = d[active[0]] - ran
            held = sum((p[i] + ran) * m + m * (m + 1) // 2 for i in active)
            now += m * (a + b * len(active)) + c * held
            ran += m
            for i in [i for i in active if d[i] == ran]:
                done[i] = now
            active = [i for i in active if d[i] > ran]
    return done


def batches(n: int, size: int) -> list[list[int]]:
    return [list(range(k, min(k + size, n))) for k in range(0, n, size)]


@pytest.mark.parametrize("prompt", [1, 1000, 2**24, MAX_TOKENS])
@pytest.mark.parametrize("beyond", [0, 1])
def test_the_border_is_exact(prompt: int, beyond: int) -> None:
    prompts, lengths = filled(MOST_TOKEN_ROUNDS + beyond, prompt)
    assert sum(volume(p, d) for p, d in zip(prompts, lengths, strict=True)) == MOST_TOKEN_ROUNDS + beyond
    if not beyond:
        assert instance_of(prompts, lengths).kv_volume.sum() == MOST_TOKEN_ROUNDS
        return
    with pytest.raises(InvalidInputError, match=r"^requests\.decode_tokens\[\d+\]: request 'r\d+': expected at most"):
        instance_of(prompts, lengths)


@pytest.mark.parametrize("prompt", [1, 1000, 2**24, MAX_TOKENS])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_plans_at_the_border_against_fractions(prompt: int, limits: dict[str, int]) -> None:
    instance = instance_of(*filled(MOST_TOKEN_ROUNDS, prompt), **limits)
    d, slots = instance.requests.decode_tokens, limits.get("slots")
    stages = batches(instance.n, 2)
    made = [Stage(batch, None if slots is None else list(range(len(batch))), int(d[batch].max())) for batch in stages]
    measures = evaluate(instance, Plan.of(instance, "hand", [made])).measures
    done = exact_completions(instance, stages)
    peak = max(
        sum(int(instance.requests.prefill_tokens[i]) + min(int(d[i]), int(d[j])) for i in batch if d[i] >= d[j])
        for batch in stages
        for j in batch
    )
    assert measures.makespan == pytest.approx(float(max(done)), rel=1e-13)
    assert measures.total_completion == pytest.approx(float(sum(done)), rel=1e-13)
    assert measures.decode_rounds == sum(int(d[batch].max()) for batch in stages)
    assert measures.kv_peak == peak


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
@pytest.mark.parametrize("prompt", [1, 2**24, MAX_TOKENS])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_bounds_and_replay_at_the_border(prompt: int, objective: str, limits: dict[str, int]) -> None:
    instance = instance_of(*filled(MOST_TOKEN_ROUNDS, prompt), objective, **limits)
    outcome = replay(instance, "fcfs")
    value = outcome.measures.objective(objective)
    plan = outcome.to_plan(instance, "fcfs")
    evaluation = evaluate(instance, plan)
    assert evaluation.feasible
    assert evaluation.measures.objective(objective) == pytest.approx(value, rel=1e-9)
    with clock.counting():
        found = compute(instance.with_objective(objective), Budget(0.02))
    for bound in found:
        assert 0 < bound.value <= value * (1 + 1e-9), bound


def test_rounds_of_the_volume_bound_are_exact_at_the_border() -> None:
    prompts, lengths = filled(MOST_TOKEN_ROUNDS, 1000)
    peak = max(p + d for p, d in zip(prompts, lengths, strict=True))
    instance = instance_of(prompts, lengths, kv_capacity=peak)
    bound = BOUNDS["kv_volume"](instance, Budget())
    assert bound is not None and bound.certificate["rounds"] == -(-MOST_TOKEN_ROUNDS // peak)


def test_several_workers_at_the_border() -> None:
    one = instance_of(*filled(MOST_TOKEN_ROUNDS, 2**24))
    prefill = LevelPrefill((2**25, MAX_TOKENS), (0.1, 5.0))
    workers = (
        replace(one.workers[0], slots=MOST_LIMIT, kv_capacity=MOST_LIMIT),
        Worker("w1", prefill, DECODE, MOST_LIMIT, MOST_LIMIT, MOST_LIMIT),
        Worker("w2", AffinePrefill(0.0, 0.001), DecodeTime(0.02)),
    )
    instance = replace(one, workers=workers)
    for objective in ("makespan", "total_completion"):
        with clock.counting():
            result = solve(instance.with_objective(objective), time_limit_s=0.05)
        assert result.plan.claims.bound is not None and result.plan.claims.value is not None
        assert 0 < result.plan.claims.bound <= result.plan.claims.value * (1 + 1e-9)


def test_bins_beyond_all_sizes_are_one() -> None:
    sizes = np.full(1000, MAX_TOKENS)
    assert bins_needed(sizes, MOST_LIMIT) == 1
    assert bins_needed(sizes, 2 * MAX_TOKENS) == 500


def test_a_million_long_requests_pass() -> None:
    n = 1_000_000
    requests = Requests([str(i) for i in range(n)], np.full(n, 100_000), np.full(n, 50_000))
    worker = Worker("w0", AffinePrefill(0.043, 0.000213), DECODE, 256, 10_000_000)
    instance = Instance("long", requests, (worker,))
    assert BOUNDS["kv_volume"](instance, Budget()).certificate["rounds"] == n * volume(100_000, 50_000) // 10_000_000


@pytest.mark.parametrize("name", ["long_requests", "huge_products"])
def test_cases_beyond_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InvalidInputError, match="KV token-rounds") as error:
        read_instance(CASES / f"{name}.json")
    assert str(error.value).startswith(str(CASES / f"{name}.json: requests.decode_tokens["))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["auto", "full"])
def test_limits_that_never_bind_are_no_coefficients(method: str) -> None:
    result = solve(read_instance(CASES / "huge_slots.json"), method=method, time_limit_s=60)
    assert result.plan.claims.status == "optimal"
    assert result.plan.claims.value == pytest.approx(107.33183390056108, rel=1e-9)


@pytest.mark.parametrize(
    ("worker", "columns", "field"),
    [
        (Worker("w", AffinePrefill(0, 0), DecodeTime(1e300)), {}, "workers[0].decode_time: expected at most 1e+100 s"),
        (Worker("w", AffinePrefill(1e99, 0), DecodeTime(1)), {}, "workers[0].prefill_time: expected at most 1e+100 s"),
        (Worker("w", AffinePrefill(0, 0), DecodeTime(1, 0, 1e308)), {}, "workers[0].decode_time: expected"),
        (
            Worker("w", AffinePrefill(0, 0), DecodeTime(1)),
            {"arrival_s": [0.0] * 19 + [1e101]},
            "requests.arrival_s[19]",
        ),
        (Worker("w", AffinePrefill(0, 0), DecodeTime(1)), {"weight": [1e308] * 20}, "requests.weight[0]: expected"),
        (Worker("w", AffinePrefill(0, 0), DecodeTime(1), 2**63), {}, f"workers[0].slots: expected at most {2**62}"),
        (Worker("w", AffinePrefill(0, 0), DecodeTime(1), 2.5), {}, "workers[0].slots: expected an integer"),  # type: ignore[arg-type]
    ],
)
def test_times_and_limits_out_of_range(worker: Worker, columns: dict[str, list[float]], field: str) -> None:
    ids = [f"r{i}" for i in range(20)]
    with pytest.raises(InvalidInputError) as error:
        Instance("large", Requests(ids, [10] * 20, [10] * 20, **columns), (worker,))
    assert str(error.value).startswith(field)
