"""Families against the published moments, and what a seed promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.workload import FAMILIES, generate

SEEDS = range(12)
PUBLISHED = {
    # family: column: mean, std, median, 95th percentile, maximum (None: not published)
    "gsm8k-65b": {
        "prefill_tokens": (68.43, 25.04, 64, 115, 191),
        "decode_tokens": (344.83, 187.99, None, None, 512),
    },
    "gsm8k-opt66b-a100": {"prefill_tokens": (68.43, 25.04, 64, 115, 191)},
    "gsm8k-small": {"decode_tokens": (344.83, 187.99, None, None, 512)},
    "azure-conv": {
        "prefill_tokens": (1154.7, 1108.8, 1020, 4083, 14050),
        "decode_tokens": (211.1, 162.9, 129, 451, 1000),
    },
    "azure-code": {
        "prefill_tokens": (2047.8, 1973.9, 1469, 7303, 7437),
        "decode_tokens": (27.9, 59.9, 13, 90, 1899),
    },
    "arxiv-summarization": {
        "prefill_tokens": (2588.1, 944.7, 2730, 3813, 4054),
        "decode_tokens": (291.4, 530.5, 167, 736, 4056),
    },
    "mooncake-conv": {
        "prefill_tokens": (12035.1, 15800.3, 6909, 39552, 126195),
        "decode_tokens": (342.6, 249.9, 350, 698, 2000),
    },
    "lmsys-chat": {
        "prefill_tokens": (40.6, None, 11, None, None),
        "decode_tokens": (85.3, None, 45, None, None),
    },
}
COLUMNS = [(family, column) for family, columns in PUBLISHED.items() for column in columns]


def pooled(family: str, column: str, count: int = 1319) -> np.ndarray:
    return np.concatenate([getattr(generate(family, count, seed).requests, column) for seed in SEEDS])


@pytest.mark.parametrize(("family", "column"), COLUMNS)
def test_published_moments(family, column):
    mean, std, median, p95, most = PUBLISHED[family][column]
    values = pooled(family, column)
    n = len(values)
    allowed = 4 * values.std() / math.sqrt(n) + 0.005 * mean
    assert abs(values.mean() - mean) < allowed
    if std is not None:
        fourth = np.mean((values - values.mean()) ** 4)
        error_of_std = math.sqrt(max(fourth / values.var() - values.var(), 0.0) / n) / 2
        assert abs(values.std() - std) < 4 * error_of_std + 0.01 * std
    for share, published in ((0.5, median), (0.95, p95)):
        if published is not None:
            below = np.mean(values < published), np.mean(values <= published)
            assert below[0] - 0.012 < share < below[1] + 0.012
    if most is not None:
        assert values.max() <= most
    assert values.min() >= 1


def test_decode_at_the_cap_is_the_inferred_share():
    values = pooled("gsm8k-65b", "decode_tokens")
    at_cap = np.mean(values == 512)
    assert abs(at_cap - 0.547) < 4 * math.sqrt(0.547 * 0.453 / len(values))
    below = values[values < 512]
    assert abs(below.mean() - 143) < 4 * 60 / math.sqrt(len(below))
    assert abs(below.std() - 60) < 3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_an_instance(family):
    first, again, other = generate(family, seed=3), generate(family, seed=3), generate(family, seed=4)
    assert first.digest == again.digest
    assert first.digest != other.digest
    assert first.name != other.name
    assert "Published" in first.source
    assert "nferred" in first.source
    assert FAMILIES[family].name == family
    assert FAMILIES[family].summary


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ("arxiv-summarization", "mixture")])
def test_fewer_requests_are_the_first_of_more(family):
    few, many = generate(family, 20, seed=1), generate(family, 50, seed=1)
    assert few.n == 20
    assert many.take(range(20)).requests.decode_tokens.tolist() == few.requests.decode_tokens.tolist()
    assert many.take(range(20)).requests.prefill_tokens.tolist() == few.requests.prefill_tokens.tolist()


def test_gsm8k_families_share_their_requests():
    calibrated, measured = generate("gsm8k-65b", seed=2), generate("gsm8k-opt66b-a100", seed=2)
    small = generate("gsm8k-small", seed=2)
    assert calibrated.n == measured.n == 1319
    assert calibrated.requests.decode_tokens.tolist() == measured.requests.decode_tokens.tolist()
    assert calibrated.requests.prefill_tokens.tolist() == measured.requests.prefill_tokens.tolist()
    assert small.requests.decode_tokens.tolist() == calibrated.requests.decode_tokens[:60].tolist()
    assert [i.workers[0].slots for i in (calibrated, measured, small)] == [200, 200, 8]
    assert measured.workers[0].kv_capacity == 78_496


def test_arxiv_requests_stay_within_their_total():
    for seed in SEEDS:
        requests = generate("arxiv-summarization", 500, seed).requests
        assert (requests.prefill_tokens + requests.decode_tokens).max() <= 4096


def test_kv_uniform_is_as_in_the_papers():
    sizes, capacities = [], []
    for seed in range(60):
        instance = generate("kv-uniform", seed=seed)
        worker, requests = instance.workers[0], instance.requests
        sizes.append(instance.n)
        capacities.append(worker.kv_capacity)
        assert worker.slots is None
        assert worker.prefill_time.seconds(10) == 0
        assert worker.decode_time.round_seconds(7, 99) == 1
        assert instance.objective == "total_completion"
        assert set(requests.prefill_tokens.tolist()) <= set(range(1, 6))
        assert (requests.prefill_tokens + requests.decode_tokens).max() <= worker.kv_capacity
        assert requests.arrival_s.max() == 0
    assert (min(sizes), max(sizes)) == (40, 60)
    assert min(capacities) == 30
    assert max(capacities) == 50


def test_mixture_has_short_and_long_requests():
    requests = generate("mixture", 2000, seed=0).requests
    assert 0.15 < np.mean(requests.prefill_tokens > 1000) < 0.25
    assert np.median(requests.prefill_tokens) < 60


def test_worker_and_slots_in_place_of_those_of_the_family():
    instance = generate("azure-conv", 50, worker="llama2-70b-a100-tp4", slots=7, seed=1)
    assert instance.workers[0].slots == 7
    assert "7 slots" in instance.source
    assert generate("azure-conv", 50, slots=1).workers[0].slots == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "x"}, "family: unknown 'x', expected one of gsm8k-65b, "),
        ({"requests": 0}, "requests: expected an integer ≥ 1, got 0"),
        ({"requests": -3}, "requests: expected an integer ≥ 1, got -3"),
        ({"seed": -1}, "seed: expected an integer ≥ 0, got -1"),
        ({"worker": "x"}, "worker: unknown deployment 'x', expected one of llama-65b-calibrated, "),
        ({"slots": 0}, "workers[0].slots: expected an integer ≥ 1 or null, got 0"),
        ({"rate": 0.0}, "rate: expected a finite number > 0, got 0.0"),
        ({"rate": math.nan}, "rate: expected a finite number > 0, got nan"),
        ({"rate": 1.0, "cv": -1.0}, "cv: expected a finite number > 0, got -1.0"),
        ({"intervals": 0.5}, "intervals: expected a finite ratio ≥ 1, got 0.5"),
        ({"intervals": math.inf}, "intervals: expected a finite ratio ≥ 1, got inf"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InvalidInputError) as error:
        generate(**{"family": "gsm8k-small", **arguments})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
