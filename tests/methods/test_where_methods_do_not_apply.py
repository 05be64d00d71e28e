"""A single method that does not apply says so and goes on as `auto`: it never ends early far above the optimum."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, methods, read_instance
from llmsched_mip.result import Result

CASES = Path(__file__).parents[1] / "cases"


def solved(instance: Instance, method: str, objective: str) -> tuple[Result, list[str]]:
    notes: list[str] = []
    result = methods.solve(
        instance.with_objective(objective),
        method=method,
        time_limit_s=600,
        log=lambda event: notes.append(event.source),
    )
    return result, notes


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
@pytest.mark.parametrize("method", ["branch-and-bound", "unit-round", "pattern"])
def test_several_workers_are_solved(method: str, objective: str) -> None:
    instance = read_instance(CASES / "several_workers.json")
    proven, _ = solved(instance, "full", objective)
    result, notes = solved(instance, method, objective)
    assert proven.plan.claims.status == result.plan.claims.status == "optimal"
    assert result.plan.claims.value == pytest.approx(proven.plan.claims.value, rel=1e-6)
    assert method == "pattern" or any(note.startswith(f"{method} left out: ") for note in notes)


def test_pattern_for_total_completion_says_that_it_is_left_out() -> None:
    worker = Worker("w", AffinePrefill(0.1, 0.01), DecodeTime(0.1), slots=2)
    instance = Instance("two", Requests(["a", "b", "c"], [3, 4, 5], [2, 3, 2]), (worker,))
    result, notes = solved(instance, "pattern", "total_completion")
    assert result.plan.claims.status == "optimal"
    assert "pattern left out: it takes the makespan; going on with auto" in notes


def test_too_many_tokens_for_neighbourhoods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("llmsched_mip.methods.large_neighbourhood"), "MOST_TOKENS", 5)
    worker = Worker("w", AffinePrefill(0.1, 0.01), DecodeTime(0.1), slots=2)
    instance = Instance("two", Requests(["a", "b", "c"], [3, 4, 5], [2, 3, 2]), (worker,))
    result, notes = solved(instance, "large-neighbourhood", "makespan")
    assert result.plan.claims.status == "optimal"
    assert (
        any(note.startswith("large-neighbourhood left out: 7 output tokens") for note in notes)
        or result.plan.method == "fcfs"
    )
