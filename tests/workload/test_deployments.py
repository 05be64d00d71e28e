"""Named deployments are the published figures."""

from __future__ import annotations

import csv
import json

import pytest

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.workload import DEPLOYMENTS, deployment
from llmsched_mip.workload.deployments import FOLDER

# ms: decode base, per sequence, per KV token; prefill base, per token; KV tokens
PUBLISHED = {
    "llama-65b-calibrated": (70, 0, 0, 1.5, 0.236, None),
    "llama2-70b-a100-tp2": (64.73, 0.1985, 1.001e-4, 49.01, 0.3272, 50_859),
    "llama2-70b-a100-tp4": (43.16, 0.1367, 5.44e-5, 38.37, 0.1810, 522_718),
    "llama31-8b-rtx4090": (16.88, 0.0420, 1.493e-4, 14.97, 0.0621, 41_408),
    "opt-66b-a100-tp4": (39.58, 0.1358, 6.95e-4, 42.97, 0.2129, 78_496),
    "unit-round": (1000, 0, 0, 0, 0, None),
}


def test_every_deployment_is_listed():
    assert set(PUBLISHED) == set(DEPLOYMENTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_coefficients(name):
    base, per_sequence, per_kv, prefill, per_token, kv_capacity = PUBLISHED[name]
    worker = deployment(name)
    assert worker.name == name
    assert worker.kv_capacity == kv_capacity
    found = [
        worker.decode_time.base_s,
        worker.decode_time.per_sequence_s,
        worker.decode_time.per_kv_token_s,
        worker.prefill_time.base_s,
        worker.prefill_time.per_token_s,
    ]
    expected = [base, per_sequence, per_kv, prefill, per_token]
    assert [1000 * value for value in found] == pytest.approx(expected, rel=8e-4)
    text = json.loads((FOLDER / f"{name}.json").read_text())["source"]
    assert any(word in text for word in ("Measured", "Inferred", "definition"))


def test_opt66b_has_the_digits_of_the_fit(shared_data):
    with open(shared_data / "timing_distserve_a100_opt.csv", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["engine"], row["model"], row["tp"]) == ("vllm", "facebook/opt-66b", "4")
        ]
    (row,) = rows
    worker = deployment("opt-66b-a100-tp4")
    assert 1000 * worker.decode_time.base_s == pytest.approx(float(row["dec_small_a"]), rel=1e-15)
    assert 1000 * worker.decode_time.per_sequence_s == pytest.approx(float(row["dec_small_c_per_req"]), rel=1e-15)
    assert 1000 * worker.decode_time.per_kv_token_s == pytest.approx(float(row["dec_small_b_per_kvtok"]), rel=1e-15)
    assert 1000 * worker.prefill_time.base_s == pytest.approx(float(row["pf_a_ms"]), rel=1e-15)
    assert 1000 * worker.prefill_time.per_token_s == pytest.approx(float(row["pf_b_per_tok"]), rel=1e-15)
    assert worker.kv_capacity == int(row["max_num_tokens"])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInputError) as error:
        deployment("gpt")
    for name in DEPLOYMENTS:
        assert name in str(error.value)


def test_a_file_of_the_same_form(tmp_path):
    document = json.loads((FOLDER / "unit-round.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**document, "name": "mine", "slots": 3}))
    assert deployment(str(path)).slots == 3
    path.write_text(json.dumps({**document, "slots": 0}))
    with pytest.raises(InvalidInputError) as error:
        deployment(str(path))
    assert str(error.value).startswith(f"{path}: slots: ")
