"""One million requests: made, written, read and imported (`scripts/benchmark time_limits` says how fast)."""

from __future__ import annotations

import pytest

from llmsched_mip import read_instance, write_instance
from llmsched_mip.workload import generate, import_csv

N = 1_000_000


@pytest.fixture(scope="module")
def instance():
    return generate("azure-conv", N, seed=1, rate=5.5, slots=256)


def test_instance_file(instance, tmp_path):
    path = tmp_path / "million.json"
    write_instance(instance, path)
    again = read_instance(path)
    assert again.n == N
    assert again.digest == instance.digest


def test_csv(instance, tmp_path):
    path = tmp_path / "million.csv"
    r = instance.requests
    rows = zip(r.arrival_s.tolist(), r.prefill_tokens.tolist(), r.decode_tokens.tolist(), strict=True)
    with open(path, "w") as file:
        file.write("arrival_s,prefill_tokens,decode_tokens\n")
        file.writelines(f"{a},{p},{d}\n" for a, p, d in rows)
    again = import_csv(path, instance.workers[0])
    assert again.digest == instance.digest
