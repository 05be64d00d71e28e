"""An order that was handed over is that of the plan, and no line of a batch file is lost, doubled or changed."""

from __future__ import annotations

import csv
import io
import json
import random

import numpy as np
import pytest

from llmsched_mip.cli import main
from llmsched_mip.instance import Instance, Requests
from llmsched_mip.io.files import write_instance, write_plan
from llmsched_mip.methods.executed import executed
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.worker import Worker, copies

WORKER = Worker("gpu", AffinePrefill(0.05, 0.0003), DecodeTime(0.04), 32, 20_000)


def planned(requests: int, workers: int):
    """An instance and the plan that an online rule makes of it."""
    rng = np.random.default_rng(5)
    ids = [f"request-{i}" for i in range(requests)]
    columns = Requests(ids, rng.integers(5, 400, requests), rng.integers(1, 90, requests), np.zeros(requests))
    instance = Instance("batch", columns, copies(WORKER, workers))
    return instance, executed(instance, "fcfs", IdleThreshold(Problem.of(instance, "known"), None)).plan


def line(name: str, k: int) -> bytes:
    """A line as people write them: spaces, other signs, escapes, and an end of line of another system."""
    text = f'{{ "custom_id":"{name}",  "body": {{"messages": [{{"content": "é \\u65e5 {k}"}}], "max_tokens": {k}}}}}'
    return text.encode() + (b"\r\n" if k % 3 else b"\n")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A folder with an instance of 5,000 requests on 4 workers, its plan, and a shuffled batch file."""
    folder = tmp_path_factory.mktemp("batch")
    instance, plan = planned(5000, 4)
    lines = [line(name, k) for k, name in enumerate(instance.requests.id)]
    random.Random(3).shuffle(lines)
    write_instance(instance, folder / "i.json")
    write_plan(plan, instance, folder / "p.json")
    (folder / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + b"".join(lines).rstrip(b"\r\n"))
    order = {stages.name: [instance.requests.id[i] for i in stages.requests.tolist()] for stages in plan.workers}
    return folder, order, lines


def hand_over(folder, *more):
    return main(["handover", str(folder / "p.json"), "--instance", str(folder / "i.json"), *map(str, more)])


def test_batch_files_have_every_line_byte_for_byte_in_the_order_of_the_plan(batch, tmp_path):
    folder, order, lines = batch
    assert hand_over(folder, "--format", "openai-batch", "--input", folder / "b.jsonl", "-o", tmp_path / "out") == 0
    read = {path.stem: path.read_bytes().splitlines(keepends=True) for path in (tmp_path / "out").iterdir()}
    assert {name: [json.loads(one)["custom_id"] for one in kept] for name, kept in read.items()} == order
    assert len(order) == 4 and all(order.values())
    last = lines[-1].rstrip(b"\r\n") + b"\n"
    assert sorted(one for kept in read.values() for one in kept) == sorted([*lines[:-1], last])


def test_csv_and_priorities_read_back_to_the_order_of_the_plan(batch, tmp_path, capsys):
    folder, order, _ = batch
    assert hand_over(folder, "--format", "csv", "-o", "-") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    rows.sort(key=lambda row: (row["worker"], float(row["planned_start_s"]), int(row["position"])))
    found = {name: [row["id"] for row in rows if row["worker"] == name] for name in order}
    assert found == order
    assert all(
        float(r["planned_start_s"]) < float(r["planned_first_token_s"]) <= float(r["planned_end_s"]) for r in rows
    )
    for name in ("v.jsonl", "v.json"):
        assert hand_over(folder, "--format", "vllm", "-o", tmp_path / name) == 0
    lines = [json.loads(one) for one in (tmp_path / "v.jsonl").read_text().splitlines()]
    lines.sort(key=lambda entry: entry["priority"])
    assert {name: [e["id"] for e in lines if e["worker"] == name] for name in order} == order
    by_id = json.loads((tmp_path / "v.json").read_text())
    assert by_id == {e["id"]: {"worker": e["worker"], "priority": e["priority"]} for e in lines}


BAD_LINES = {
    "unknown": (b'{"custom_id": "nobody"}', "line 3: custom_id: 'nobody' is not in the plan"),
    "doubled": (b'{"custom_id": "request-1"}', "line 3: custom_id: 'request-1' stands in line 2 too"),
    "no json": (b'{"custom_id": ', "line 3: not JSON"),
    "no object": (b"[1]", "line 3: expected a JSON object, got list"),
    "no id": (b'{"id": "request-2"}', "line 3: custom_id: missing"),
    "a number": (b'{"custom_id": 2}', "line 3: custom_id: expected a string, got 2"),
    "missing": (b"", "custom_id: no line for request"),
}


@pytest.mark.parametrize("what", BAD_LINES)
def test_a_line_that_is_wrong_is_one_clear_line(what, tmp_path, capsys):
    instance, plan = planned(3, 2)
    write_instance(instance, tmp_path / "i.json")
    write_plan(plan, instance, tmp_path / "p.json")
    lines = [b'{"custom_id": "request-0"}', b'{"custom_id": "request-1"}', BAD_LINES[what][0]]
    (tmp_path / "b.jsonl").write_bytes(b"\n".join(lines))
    out = tmp_path / "out"
    assert hand_over(tmp_path, "--format", "openai-batch", "--input", tmp_path / "b.jsonl", "-o", out) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and BAD_LINES[what][1] in error
    assert not out.exists()
