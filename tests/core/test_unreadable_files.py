"""Every bad file gives one line that names the file, the field, the request where there is one, and what was
expected; never a traceback, never a second line."""

from __future__ import annotations

import copy
import gzip
import json
import os

import pytest

from llmsched_mip import read_instance, read_plan
from llmsched_mip.errors import SchedulingError, UnreadableFileError

GOOD = {
    "format": "llmsched-instance",
    "version": 1,
    "name": "case",
    "workers": [
        {
            "name": "w0",
            "slots": 2,
            "kv_capacity": 100,
            "prefill_time": {"kind": "affine", "base_s": 1, "per_token_s": 0.1},
            "decode_time": {"base_s": 1},
        }
    ],
    "requests": {"id": ["a", "b"], "prefill_tokens": [3, 4], "decode_tokens": [5, 6]},
}
PLAN = {
    "format": "llmsched-plan",
    "version": 1,
    "instance": "case",
    "instance_digest": "sha256:0",
    "objective": "makespan",
    "method": "test",
    "status": "feasible",
    "value": 8.7,
    "bound": None,
    "gap": None,
    "bounds": {},
    "seconds": 0.1,
    "workers": [{"name": "w0", "stages": [{"requests": ["a", "b"], "slots": [0, 1], "rounds": 6}]}],
}
REMOVED = object()
P, D = ("requests", "prefill_tokens"), ("requests", "decode_tokens")
W, DECODE, PREFILL = ("workers", 0), ("workers", 0, "decode_time"), ("workers", 0, "prefill_time")
LEVELS = {"kind": "levels", "levels": [{"tokens": 4, "seconds": 1}, {"tokens": 8, "seconds": 2}]}
STAGE = ("workers", 0, "stages", 0)


def changed(document, path, value):
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is REMOVED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def levels(k, name, value):
    return changed(LEVELS, ("levels", k, name), value)


def error_of(tmp_path, content, read=read_instance, name="case.json"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SchedulingError) as error:
        read(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: "), error.value.exit_code


def test_the_good_file_is_good(tmp_path):
    path = tmp_path / "case.json"
    path.write_text(json.dumps(GOOD))
    instance = read_instance(path)
    path.write_text(json.dumps(PLAN))
    assert read_plan(path, instance).claims.value == 8.7


@pytest.mark.parametrize("column", ["prefill_tokens", "decode_tokens"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "expected an integer, got true"),
        ("3", 'expected an integer, got "3"'),
        (None, "expected an integer, got null"),
        (2.5, "expected an integer, got 2.5"),
        (2.0, "expected an integer, got 2.0"),
        (float("nan"), "expected an integer, got NaN"),
        (float("inf"), "expected an integer, got Infinity"),
        ([1], "expected an integer, got a list"),
        ({}, "expected an integer, got an object"),
        (0, "expected at least 1, got 0"),
        (-7, "expected at least 1, got -7"),
        (2**31, "expected at most 2147483647, got 2147483648"),
        (2**70, f"expected at most 2147483647, got {2**70}"),
    ],
)
def test_token_counts(tmp_path, column, value, expected):
    document = changed(GOOD, ("requests", column, 1), value)
    assert error_of(tmp_path, json.dumps(document)) == (f"requests.{column}[1]: request 'b': {expected}", 2)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("arrival_s", True, "expected a number, got true"),
        ("arrival_s", "0", 'expected a number, got "0"'),
        ("arrival_s", None, "expected a number, got null"),
        ("arrival_s", -0.5, "expected at least 0, got -0.5"),
        ("arrival_s", float("nan"), "expected a finite number, got NaN"),
        ("arrival_s", float("inf"), "expected a finite number, got Infinity"),
        ("weight", 0, "expected more than 0, got 0"),
        ("weight", -1, "expected more than 0, got -1"),
        ("weight", float("nan"), "expected a finite number, got NaN"),
        ("weight", "1", 'expected a number, got "1"'),
    ],
)
def test_optional_columns(tmp_path, column, value, expected):
    document = changed(GOOD, ("requests", column), [1, value])
    assert error_of(tmp_path, json.dumps(document)) == (f"requests.{column}[1]: request 'b': {expected}", 2)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("format",), "llmsched-plan", "format: expected 'llmsched-instance', got \"llmsched-plan\""),
        (("format",), REMOVED, "format: missing"),
        (("version",), 2, "version: expected 1, got 2"),
        (("version",), "1", 'version: expected 1, got "1"'),
        (("version",), True, "version: expected 1, got true"),
        (("version",), 1.0, "version: expected 1, got 1.0"),
        (("name",), "", 'name: expected a text that is not empty, got ""'),
        (("name",), 5, "name: expected a text, got 5"),
        (("objective",), "sum", "objective: expected 'makespan' or 'total_completion', got \"sum\""),
        (("semantics",), "serial", "semantics: expected 'exclusive' or 'mixed', got \"serial\""),
        (("comment",), "x", "comment: unknown key"),
        (("requests", "prefil_tokens"), [1, 2], "requests.prefil_tokens: unknown key"),
        ((*W, "slot"), 2, "workers[0].slot: unknown key"),
        ((*DECODE, "base"), 2, "workers[0].decode_time.base: unknown key"),
        ((*PREFILL, "levels"), [], "workers[0].prefill_time.levels: unknown key"),
        (PREFILL, levels(1, "ms", 3), "workers[0].prefill_time.levels[1].ms: unknown key"),
        (("workers",), REMOVED, "workers: missing"),
        (("workers",), [], "workers: expected at least 1 entry, got an empty list"),
        (("workers",), {}, "workers: expected a list, got an object"),
        (("requests",), REMOVED, "requests: missing"),
        (("requests",), [], "requests: expected an object, got an empty list"),
        (
            ("requests",),
            {"id": [], "prefill_tokens": [], "decode_tokens": []},
            "requests: expected at least one request",
        ),
        (D, REMOVED, "requests.decode_tokens: missing"),
        (D, [5], "requests.decode_tokens: expected 2 values as in requests.id, got 1"),
        (P, [3, 4, 5], "requests.prefill_tokens: expected 2 values as in requests.id, got 3"),
        (P, 3, "requests.prefill_tokens: expected a list, got 3"),
        (("requests", "weight"), [1.0], "requests.weight: expected 2 values as in requests.id, got 1"),
        (("requests", "id", 1), "a", "requests.id: request 'a': ids must be unique, this one stands twice"),
        (("requests", "id", 1), "", 'requests.id[1]: expected a text that is not empty, got ""'),
        (("requests", "id", 1), 7, "requests.id[1]: expected a text, got 7"),
        (
            ("requests", "decode_lower"),
            [1, 1],
            "requests.decode_upper: decode_lower and decode_upper go together",
        ),
        ((*W, "slots"), 0, "workers[0].slots: expected at least 1, got 0"),
        ((*W, "slots"), 1.5, "workers[0].slots: expected an integer, got 1.5"),
        ((*W, "slots"), True, "workers[0].slots: expected an integer, got true"),
        ((*W, "kv_capacity"), "9", 'workers[0].kv_capacity: expected an integer, got "9"'),
        ((*W, "kv_capacity"), float("inf"), "workers[0].kv_capacity: expected an integer, got Infinity"),
        ((*W, "prefill_token_cap"), -1, "workers[0].prefill_token_cap: expected at least 1, got -1"),
        ((*W, "name"), REMOVED, "workers[0].name: missing"),
        ((*DECODE, "base_s"), True, "workers[0].decode_time.base_s: expected a number, got true"),
        ((*DECODE, "base_s"), -1, "workers[0].decode_time.base_s: expected at least 0, got -1"),
        ((*DECODE, "base_s"), REMOVED, "workers[0].decode_time.base_s: missing"),
        (
            (*DECODE, "per_kv_token_s"),
            float("nan"),
            "workers[0].decode_time.per_kv_token_s: expected a finite number, got NaN",
        ),
        (PREFILL, 3, "workers[0].prefill_time: expected an object, got 3"),
        ((*PREFILL, "kind"), REMOVED, "workers[0].prefill_time.kind: missing"),
        (
            (*PREFILL, "kind"),
            "cubic",
            "workers[0].prefill_time.kind: expected 'affine' or 'levels', got \"cubic\"",
        ),
        ((*PREFILL, "base_s"), None, "workers[0].prefill_time.base_s: expected a number, got null"),
        (
            PREFILL,
            {"kind": "levels", "levels": []},
            "workers[0].prefill_time.levels: expected at least 1 entry, got an empty list",
        ),
        (
            PREFILL,
            levels(1, "tokens", 4),
            "workers[0].prefill_time.levels[1].tokens: expected more than 4, got 4: "
            "levels increase in tokens and in seconds",
        ),
        (
            PREFILL,
            levels(1, "seconds", 0.5),
            "workers[0].prefill_time.levels[1].seconds: expected more than 1.0, got 0.5: "
            "levels increase in tokens and in seconds",
        ),
        (
            PREFILL,
            levels(0, "tokens", "4"),
            'workers[0].prefill_time.levels[0].tokens: expected an integer, got "4"',
        ),
    ],
)
def test_fields(tmp_path, path, value, expected):
    assert error_of(tmp_path, json.dumps(changed(GOOD, path, value))) == (expected, 2)


def test_two_workers_of_one_name(tmp_path):
    document = changed(GOOD, ("workers",), GOOD["workers"] * 2)
    expected = "workers[1].name: names must be unique, 'w0' stands twice"
    assert error_of(tmp_path, json.dumps(document)) == (expected, 2)


def test_upper_end_below_the_lower(tmp_path):
    requests = {**GOOD["requests"], "decode_lower": [3, 3], "decode_upper": [3, 2]}
    expected = "requests.decode_upper[1]: request 'b': expected decode_upper ≥ decode_lower, got 2"
    assert error_of(tmp_path, json.dumps({**GOOD, "requests": requests})) == (expected, 2)


@pytest.mark.parametrize(
    ("path", "value", "limit"),
    [
        ((*W, "kv_capacity"), 9, "kv_capacity 9, prefill tokens in one iteration no limit"),
        ((*W, "prefill_token_cap"), 3, "kv_capacity 100, prefill tokens in one iteration 3"),
        (PREFILL, levels(1, "tokens", 8) | {"levels": LEVELS["levels"][:1]}, None),
    ],
)
def test_request_that_fits_no_worker(tmp_path, path, value, limit):
    document = changed(GOOD, path, value)
    if limit is None:
        document = changed(document, (*P, 1), 5)
        limit = "kv_capacity 100, prefill tokens in one iteration 4"
    needs = document["requests"]["prefill_tokens"][1]
    expected = (
        f"requests[1]: request 'b': fits no worker: needs {needs} prefill tokens in one iteration "
        f"and {needs + 6} KV tokens; worker 'w0' holds {limit}"
    )
    assert error_of(tmp_path, json.dumps(document)) == (expected, 1)


def test_request_that_fits_only_the_second_worker_is_accepted(tmp_path):
    small = changed(GOOD, (*W, "kv_capacity"), 3)["workers"][0]
    path = tmp_path / "case.json"
    path.write_text(json.dumps({**GOOD, "workers": [{**small, "name": "w1"}, *GOOD["workers"]]}))
    assert read_instance(path).fits_worker.tolist() == [[False, True], [False, True]]


TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file, expected a JSON object"),
        (b" \n ", "empty file, expected a JSON object"),
        (TEXT[:-1], "not valid JSON: EOF while parsing an object at line 1 column "),
        (TEXT[:100], "not valid JSON: EOF while parsing "),
        (TEXT + "}", "not valid JSON: trailing characters at line 1 column "),
        (TEXT.replace("100", "1e999"), "workers[0].kv_capacity: expected an integer, got Infinity"),
        (
            TEXT.replace("[3, 4]", "[3, 1e999]"),
            "requests.prefill_tokens[1]: request 'b': expected an integer",
        ),
        (TEXT.replace("[3, 4]", "[3, 4"), "not valid JSON: "),
        (b"\x89PNG\r\n\x1a\n\x00\x01", "not UTF-8 text at byte 0"),
        (bytes(range(32)), "not valid JSON: expected value at line 1 column 1"),
        (TEXT.replace("case", "caf\xe9").encode("latin-1"), "not UTF-8 text at byte "),
        (TEXT.encode("utf-16"), "not UTF-8 text at byte 0"),
        ("[]", "expected a JSON object, an llmsched-instance file, got an empty list"),
        ("[1]", "expected a JSON object, an llmsched-instance file, got a list"),
        ("3", "expected a JSON object, an llmsched-instance file, got 3"),
        ('"x"', 'expected a JSON object, an llmsched-instance file, got "x"'),
        ("null", "expected a JSON object, an llmsched-instance file, got null"),
        ("[" * 100_000, "not valid JSON: recursion limit exceeded at line 1 column "),
        ('{"requests":' * 100_000, "not valid JSON: recursion limit exceeded at line 1 column "),
        (json.dumps(PLAN), "format: expected 'llmsched-instance', got \"llmsched-plan\""),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "damaged or truncated gzip file"),
        (gzip.compress(TEXT.encode(), mtime=0)[:5], "damaged or truncated gzip file"),
        (b"\x1f\x8b" + b"x" * 50, "damaged or truncated gzip file"),
    ],
)
def test_contents(tmp_path, content, expected):
    text, code = error_of(tmp_path, content)
    assert text.startswith(expected)
    assert code == 2


def test_places(tmp_path):
    with pytest.raises(UnreadableFileError) as error:
        read_instance(tmp_path)
    assert str(error.value) == f"{tmp_path}: is a directory, expected a file"
    with pytest.raises(UnreadableFileError) as error:
        read_instance(tmp_path / "none.json")
    assert str(error.value) == f"{tmp_path / 'none.json'}: no such file"
    with pytest.raises(UnreadableFileError, match="cannot be read: Not a directory"):
        (tmp_path / "file").write_text("{}")
        read_instance(tmp_path / "file" / "case.json")
    with pytest.raises(UnreadableFileError, match="cannot be read: "):
        read_instance("a\0b")
    assert error_of(tmp_path, TEXT, name="case.json.gz") == ("is not a gzip file", 2)


def test_unreadable(tmp_path):
    path = tmp_path / "case.json"
    path.write_text(TEXT)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads any file, whatever its permissions")
    with pytest.raises(UnreadableFileError) as error:
        read_instance(path)
    assert str(error.value) == f"{path}: cannot be read: Permission denied"


def test_refused_by_the_system(tmp_path, monkeypatch):
    path = tmp_path / "case.json"
    path.write_text(TEXT)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(UnreadableFileError) as error:
        read_instance(path)
    assert str(error.value) == f"{path}: cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("format",), "llmsched-instance", "format: expected 'llmsched-plan', got \"llmsched-instance\""),
        (("version",), 3, "version: expected 1, got 3"),
        (("value",), "8", 'value: expected a number, got "8"'),
        (("value",), float("nan"), "value: expected a finite number, got NaN"),
        (("bound",), float("inf"), "bound: expected a finite number, got Infinity"),
        (("bounds",), {"area": None}, "bounds.area: expected a number, got null"),
        (("seconds",), -1, "seconds: expected at least 0, got -1"),
        (("gap",), True, "gap: expected a number, got true"),
        (("notes",), "x", "notes: unknown key"),
        ((*STAGE, "round"), 1, "workers[0].stages[0].round: unknown key"),
        ((*STAGE, "rounds"), REMOVED, "workers[0].stages[0].rounds: missing"),
        ((*STAGE, "rounds"), 1.5, "workers[0].stages[0].rounds: expected an integer, got 1.5"),
        ((*STAGE, "rounds"), 2**63, f"workers[0].stages[0].rounds: expected at most 2147483647, got {2**63}"),
        ((*STAGE, "requests"), ["a", 2], "workers[0].stages[0].requests[1]: expected a text, got 2"),
        ((*STAGE, "slots"), [0], "workers[0].stages[0].slots: expected 2 slots, one a request, got 1"),
        ((*STAGE, "slots"), [0, 2**62], "workers[0].stages[0].slots: slot number out of range"),
        ((*STAGE, "slots"), [0, True], "workers[0].stages[0].slots[1]: expected an integer, got true"),
        (
            (*STAGE, "not_before_s"),
            float("nan"),
            "workers[0].stages[0].not_before_s: expected a finite number, got NaN",
        ),
        (("workers", 0, "stages"), {}, "workers[0].stages: expected a list, got an object"),
    ],
)
def test_plan_fields(tmp_path, path, value, expected):
    (tmp_path / "instance.json").write_text(TEXT)
    instance = read_instance(tmp_path / "instance.json")
    content = json.dumps(changed(PLAN, path, value))
    assert error_of(tmp_path, content, lambda file: read_plan(file, instance)) == (expected, 2)
