"""Instance and plan files: what is written is read back, and fits the published JSON schema."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import feasible_plan, instances

from llmsched_mip import evaluate, read_instance, read_plan, write_instance, write_plan
from llmsched_mip.errors import UnreadableFileError
from llmsched_mip.io.documents import DOCUMENTS
from llmsched_mip.io.files import instance_pieces, json_schema, plan_document
from llmsched_mip.io.storage import write_bytes
from llmsched_mip.relaxations.fluid.duals import capacity_duals
from llmsched_mip.workload import generate
from llmsched_mip.workload.deployments import FOLDER

LIBRARY = sorted(p for p in (ROOT / "instances").rglob("*.json") if p.parent.name != "plans")
BEST_PLANS = sorted((ROOT / "instances").glob("*/plans/*.json"))


def validator(kind: str) -> Draft202012Validator:
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@settings(max_examples=60)
@given(instances(), st.sampled_from(("case.json", "case.json.gz")))
def test_instance_round_trip(folder, instance, name):
    write_instance(instance, folder / name)
    again = read_instance(folder / name)
    assert again.digest == instance.digest
    assert (again.name, again.objective) == (instance.name, instance.objective)
    assert again.workers == instance.workers
    validator("instance").validate(json.loads("".join(instance_pieces(again))))


@settings(max_examples=60)
@given(instances(), st.integers(0, 10**6), st.sampled_from(("plan.json", "plan.json.gz")))
def test_plan_round_trip(folder, instance, seed, name):
    plan = feasible_plan(instance, seed)
    value = evaluate(instance, plan).measures.objective(plan.objective)
    plan = replace(plan.with_claims(value, {"area": 0.9 * value}, 1.5), duals=capacity_duals(instance))
    write_plan(plan, instance, folder / name)
    again = read_plan(folder / name, instance)
    assert again.duals == plan.duals
    document = plan_document(again, instance)
    assert document == plan_document(plan, instance)
    assert evaluate(instance, again).violations == []
    validator("plan").validate(document)


def test_optional_columns_round_trip(tmp_path):
    instance = generate("azure-conv", 30, 1, rate=2.0, intervals=3.0)
    requests = replace(instance.requests, weight=np.linspace(0.5, 2, 30))
    instance = instance.with_requests(requests)
    write_instance(instance, tmp_path / "case.json")
    again = read_instance(tmp_path / "case.json")
    for name in ("arrival_s", "weight", "decode_lower", "decode_upper", "prefill_tokens", "decode_tokens"):
        assert getattr(again.requests, name).tolist() == getattr(requests, name).tolist()
    assert again.digest == instance.digest != generate("azure-conv", 30, 1, rate=2.0).digest


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_library_fits_the_schema(path):
    validator("instance").validate(json.loads(path.read_text()))


def test_best_plans_fit_the_schema():
    schema = validator("plan")
    for path in BEST_PLANS:
        schema.validate(json.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_deployments_fit_the_schema(path):
    validator("worker").validate(json.loads(path.read_text()))


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_schema_refuses_what_the_reader_refuses(kind):
    check = validator(kind)
    assert check.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert check.schema["additionalProperties"] is False
    for wrong in ({}, [], {"format": "x"}, 3):
        assert not check.is_valid(wrong)


def test_schema_refuses_changed_files():
    good = json.loads((ROOT / "instances" / "tiny" / "slots.json").read_text())
    check = validator("instance")
    assert check.is_valid(good)
    wrong = [
        {**good, "comment": 1},
        {**good, "version": 2},
        {**good, "format": "llmsched-plan"},
        {**good, "workers": []},
        {**good, "objective": "sum"},
        {**good, "requests": {**good["requests"], "prefill_tokens": [1, 2, 0]}},
        {**good, "requests": {**good["requests"], "prefill_tokens": [1, 2, 2.5]}},
        {**good, "requests": {**good["requests"], "weight": [1, 1, 0]}},
        {**good, "workers": [{**good["workers"][0], "slots": 0}]},
    ]
    assert [check.is_valid(document) for document in wrong] == [False] * len(wrong)


def test_digest_is_of_canonical_json_of_workers_requests_and_semantics():
    path = ROOT / "instances" / "tiny" / "arrivals.json"
    written = json.loads(path.read_text())
    columns = {"decode_lower": None, "decode_upper": None, **written["requests"]}
    document = {"requests": columns, "semantics": "exclusive", "workers": written["workers"]}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    instance = read_instance(path)
    assert instance.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    renamed = replace(instance, name="other", description="x", source="y", objective="total_completion")
    assert renamed.digest == instance.digest


def test_digest_does_not_depend_on_defaults_being_written(tmp_path):
    path = ROOT / "instances" / "tiny" / "slots.json"
    document = json.loads(path.read_text())
    for name in ("arrival_s", "weight"):
        del document["requests"][name]
    for name in ("kv_capacity", "prefill_token_cap"):
        del document["workers"][0][name]
    document["workers"][0]["decode_time"] = {"base_s": 1}
    (tmp_path / "short.json").write_text(json.dumps(document))
    assert read_instance(tmp_path / "short.json").digest == read_instance(path).digest


def test_gzip_is_the_same_bytes_each_time(tmp_path):
    instance = generate("gsm8k-small")
    for name in ("a.json.gz", "b.json.gz"):
        write_instance(instance, tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()).startswith(b"{")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "case.json"
    write_bytes(target, b"old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnreadableFileError, match="cannot be written: No space left on device"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["case.json"]


def test_writing_where_it_is_not_possible(tmp_path):
    with pytest.raises(UnreadableFileError, match="cannot be written: No such file or directory"):
        write_bytes(tmp_path / "none" / "case.json", b"x")
    with pytest.raises(UnreadableFileError, match="cannot be written: Is a directory"):
        write_bytes(tmp_path, b"x")
