"""One million requests: made, written, read and imported in seconds (the limits are generous)."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from llmsched_mip import read_instance, write_instance
from llmsched_mip.workload import generate, import_csv

N = 1_000_000


@contextmanager
def within(seconds: float):
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < seconds


@pytest.fixture(scope="module")
def instance():
    with within(15):
        return generate("azure-conv", N, seed=1, rate=5.5, slots=256)


def test_instance_file(instance, tmp_path):
    path = tmp_path / "million.json"
    write_instance(instance, path)
    with within(15):
        again = read_instance(path)
    assert again.n == N
    with within(10):
        assert again.digest == instance.digest


def test_csv(instance, tmp_path):
    path = tmp_path / "million.csv"
    r = instance.requests
    rows = zip(r.arrival_s.tolist(), r.prefill_tokens.tolist(), r.decode_tokens.tolist(), strict=True)
    with open(path, "w") as file:
        file.write("arrival_s,prefill_tokens,decode_tokens\n")
        file.writelines(f"{a},{p},{d}\n" for a, p, d in rows)
    with within(30):
        again = import_csv(path, instance.workers[0])
    assert again.digest == instance.digest
