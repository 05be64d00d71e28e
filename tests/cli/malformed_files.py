"""Files with one thing wrong: every field of instances, plans, workers, studies and ledgers times wrong values."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from typing import Any

REMOVED = object()
HUGE = "9" * 5000
WORKER = {
    "name": "w0",
    "slots": 2,
    "kv_capacity": 100,
    "prefill_token_cap": None,
    "prefill_time": {"kind": "affine", "base_s": 1, "per_token_s": 0.1},
    "decode_time": {"base_s": 1, "per_sequence_s": 0.1, "per_kv_token_s": 0.0},
}
INSTANCE = {
    "format": "llmsched-instance",
    "version": 1,
    "name": "good",
    "description": "",
    "source": "",
    "semantics": "exclusive",
    "objective": "makespan",
    "workers": [WORKER],
    "requests": {
        "id": ["a", "b"],
        "arrival_s": [0, 1],
        "prefill_tokens": [3, 4],
        "decode_tokens": [5, 6],
        "decode_lower": [4, 4],
        "decode_upper": [8, 8],
        "weight": [1, 2],
    },
}
PLAN = {
    "format": "llmsched-plan",
    "version": 1,
    "instance": "good",
    "instance_digest": "sha256:0",
    "objective": "makespan",
    "method": "test",
    "status": "feasible",
    "value": 10.0,
    "bound": None,
    "gap": None,
    "bounds": {"area": 1.0},
    "seconds": 0.1,
    "workers": [{"name": "w0", "stages": [{"requests": ["a", "b"], "slots": [0, 1], "rounds": 6}]}],
}
STUDY = """name = "good"
objectives = ["makespan"]
time_limits = [1.0]
gap = 0.5
threads = 1
keep_plans = false

[[instances]]
family = "gsm8k-small"
requests = 3
slots = 2
seeds = [0]

[[rows]]
label = "one"
policy = "fcfs"
lengths = ["known"]
"""
TRACE = "arrival_s,prefill_tokens,decode_tokens,id\n0,3,4,a\n1.5,5,6,b\n"

NO_TEXT: list[Any] = [5, None, True, [], {}]
NO_LIMIT: list[Any] = [0, -1, 1.5, "3", True, [], {}, 2**62 + 1, 10**400]
NO_SECONDS: list[Any] = [-1, "x", None, True, [], {}, float("nan"), float("inf")]
NO_OBJECT: list[Any] = [5, None, "x", []]
NO_COUNTS: list[Any] = [
    None,
    5,
    "x",
    {},
    [],
    [3],
    [3, 0],
    [3, -1],
    [3, 1.5],
    [3, "4"],
    [3, None],
    [3, True],
    [3, 2**31],
]
NO_SECONDS_COLUMN: list[Any] = [5, "x", {}, [], [1], [1, -1], [1, "4"], [1, None], [1, True], [1, float("nan")]]
W, R, S = ("workers", 0), "requests", ("workers", 0, "stages", 0)
P, D = (*W, "prefill_time"), (*W, "decode_time")

INSTANCE_FIELDS: dict[tuple[Any, ...], list[Any]] = {
    ("format",): [REMOVED, "llmsched-plan", *NO_TEXT],
    ("version",): [REMOVED, 2, 1.0, "1", True, None],
    ("name",): [REMOVED, "", *NO_TEXT],
    ("description",): NO_TEXT,
    ("source",): NO_TEXT,
    ("semantics",): ["serial", *NO_TEXT],
    ("objective",): ["sum", *NO_TEXT],
    ("workers",): [REMOVED, {}, *NO_OBJECT, [WORKER, WORKER]],
    ("nonsense",): [1],
    W: NO_OBJECT,
    (*W, "nonsense"): [1],
    (*W, "name"): [REMOVED, "", *NO_TEXT],
    (*W, "slots"): NO_LIMIT,
    (*W, "kv_capacity"): NO_LIMIT,
    (*W, "prefill_token_cap"): NO_LIMIT,
    P: [REMOVED, {}, {"kind": "x"}, {"kind": "levels"}, {"kind": "levels", "levels": []}, *NO_OBJECT],
    (*P, "base_s"): [REMOVED, *NO_SECONDS],
    (*P, "per_token_s"): [REMOVED, *NO_SECONDS],
    D: [REMOVED, {}, *NO_OBJECT],
    (*D, "base_s"): [REMOVED, *NO_SECONDS],
    (*D, "per_sequence_s"): NO_SECONDS,
    (*D, "per_kv_token_s"): NO_SECONDS,
    (R,): [REMOVED, {}, *NO_OBJECT],
    (R, "nonsense"): [[1, 2]],
    (R, "id"): [REMOVED, None, 5, [], ["a"], ["a", "a"], ["", "b"], [1, 2], "ab", ["a", None]],
    (R, "arrival_s"): NO_SECONDS_COLUMN,
    (R, "prefill_tokens"): [REMOVED, *NO_COUNTS],
    (R, "decode_tokens"): [REMOVED, *NO_COUNTS],
    (R, "decode_lower"): [[9, 9], *NO_COUNTS],
    (R, "decode_upper"): [[1, 1], *NO_COUNTS],
    (R, "weight"): [[1, 0], *NO_SECONDS_COLUMN],
}
LEVELS: list[Any] = [
    [{"tokens": 0, "seconds": 1}],
    [{"tokens": 4, "seconds": -1}],
    [{"tokens": 4}],
    [{"tokens": 4, "seconds": 2}, {"tokens": 4, "seconds": 3}],
    [{"tokens": 4, "seconds": 2}, {"tokens": 8, "seconds": 2}],
    [{"tokens": 2**31, "seconds": 1}],
    [5],
]
PLAN_FIELDS: dict[tuple[Any, ...], list[Any]] = {
    ("format",): [REMOVED, "llmsched-instance", *NO_TEXT],
    ("version",): [REMOVED, 2, "1", True],
    ("instance",): [REMOVED, *NO_TEXT],
    ("instance_digest",): [REMOVED, *NO_TEXT],
    ("objective",): [REMOVED, *NO_TEXT],
    ("method",): [REMOVED, *NO_TEXT],
    ("status",): [REMOVED, *NO_TEXT],
    ("value",): [REMOVED, "x", True, [], float("nan"), float("inf")],
    ("bound",): ["x", True, float("nan")],
    ("gap",): ["x", {}, float("inf")],
    ("bounds",): [None, [], {"area": "x"}, {"area": None}, {"area": float("nan")}],
    ("seconds",): NO_SECONDS,
    ("workers",): [REMOVED, {}, None, 5, [5], [None]],
    ("nonsense",): [1],
    (*W, "name"): [REMOVED, *NO_TEXT],
    (*W, "stages"): [REMOVED, {}, None, [5]],
    (*S, "requests"): [REMOVED, None, "ab", [1, 2]],
    (*S, "slots"): [5, ["0", "1"], [0.5, 1], [True, 1]],
    (*S, "rounds"): [REMOVED, None, "6", 1.5, True, 2**31, 10**400],
    (*S, "not_before_s"): ["x", True, float("nan")],
    (*S, "nonsense"): [1],
}
"""Fields of a plan with values that no reader takes."""
PLAN_AGAINST_INSTANCE: dict[tuple[Any, ...], list[Any]] = {
    (*S, "slots"): [[0], [0, 1, 2], [2**62, 1]],
}
"""Values that are found out where the stages are read."""
ENTRY = ("entries", 0)
POLICY = {
    "format": "llmsched-policy",
    "version": 1,
    "entries": [
        {
            "family": "gsm8k-small",
            "objective": "makespan",
            "lengths": "unknown",
            "likeness": [1.0, 0.5, -2.0, 3.0],
            "start": "fcfs",
            "parameters": {
                **dict.fromkeys(("length", "machine_time", "volume", "prompt", "weight", "uncertainty", "tail"), 0.5),
                **dict.fromkeys(("place", "age", "endgame", "endgame_spread", "idle_price", "idle_price_kv"), 0.5),
                **dict.fromkeys(("least", "growth", "reserve", "relief", "ramp_start", "ramp"), 0.5),
                **dict.fromkeys(("lot_size", "refill"), 0.5),
            },
        }
    ],
}
POLICY_FIELDS: dict[tuple[Any, ...], list[Any]] = {
    ("format",): [REMOVED, "llmsched-plan", *NO_TEXT],
    ("version",): [REMOVED, 2, "1", True],
    ("entries",): [REMOVED, {}, None, [], [5]],
    ("nonsense",): [1],
    (*ENTRY, "nonsense"): [1],
    (*ENTRY, "family"): [REMOVED, "", *NO_TEXT],
    (*ENTRY, "objective"): [REMOVED, "sum", *NO_TEXT],
    (*ENTRY, "lengths"): [REMOVED, "all", *NO_TEXT],
    (*ENTRY, "likeness"): [REMOVED, [], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, "4"], [1.0, 2.0, 3.0, float("nan")], None],
    (*ENTRY, "parameters"): [REMOVED, {}, *NO_OBJECT],
    (*ENTRY, "parameters", "length"): [REMOVED, 11, -11, "x", None, True, float("nan"), float("inf")],
    (*ENTRY, "parameters", "ramp_start"): [0, -1, 1.5],
    (*ENTRY, "parameters", "in_progress"): [-3.5, 6],
    (*ENTRY, "parameters", "nonsense"): [1],
    (*ENTRY, "curve"): [None, [5]],
    (*ENTRY, "validation"): [5, {}],
}
STUDY_CHANGES: list[tuple[str, str]] = [
    ('name = "good"', ""),
    ('name = "good"', 'name = ""'),
    ('name = "good"', "name = 5"),
    ('name = "good"', "name = 1979-05-27"),
    ('name = "good"', 'name = "a"\nname = "b"'),
    ('name = "good"', f"name = {HUGE}"),
    ('name = "good"', f'name = "good"\nnonsense = {HUGE}'),
    ('name = "good"', 'name = "good'),
    ('name = "good"', 'name = "good"\nnonsense = 1'),
    ('"makespan"', '"speed"'),
    ('["makespan"]', "[]"),
    ('["makespan"]', '"makespan"'),
    ("[1.0]", "[]"),
    ("[1.0]", "[-1.0]"),
    ("[1.0]", "[nan]"),
    ("[1.0]", "[inf]"),
    ("[1.0]", '["1"]'),
    ("[1.0]", f"[{HUGE}]"),
    ("gap = 0.5", "gap = 1.0"),
    ("gap = 0.5", "gap = -0.1"),
    ("gap = 0.5", "gap = nan"),
    ("gap = 0.5", 'gap = "x"'),
    ("threads = 1", "threads = 0"),
    ("threads = 1", "threads = 1.5"),
    ("threads = 1", "threads = 1000000000000"),
    ("keep_plans = false", "keep_plans = 0"),
    ("[[instances]]", "[instances]"),
    ('family = "gsm8k-small"', 'family = "nonsense"'),
    ('family = "gsm8k-small"', ""),
    ('family = "gsm8k-small"', 'files = ["none.json"]'),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', 'files = ["none.json"]'),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', "files = []"),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', f'files = ["{"n" * 300}.json"]'),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', 'files = ["a\\u0000b"]'),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', 'files = ["folder"]'),
    ('family = "gsm8k-small"\nrequests = 3\nslots = 2', 'files = ["***"]'),
    ("requests = 3", "requests = 0"),
    ("requests = 3", "requests = -3"),
    ("requests = 3", "requests = 1000000000000000"),
    ("requests = 3", "requests = 3.5"),
    ("slots = 2", "slots = 0"),
    ("slots = 2", "slots = 4611686018427387905"),
    ("slots = 2", 'worker = "nonsense"'),
    ("slots = 2", "rate = 0.0"),
    ("slots = 2", "rate = inf"),
    ("slots = 2", "rate = 1e-320"),
    ("slots = 2", "intervals = 0.5"),
    ("slots = 2", "intervals = nan"),
    ("slots = 2", 'predictions = "nonsense"'),
    ("slots = 2", 'predictions = "lognormal:-1"'),
    ("slots = 2", 'predictions = "wrong:2:7"'),
    ("slots = 2", 'predictions = "intervals:2"\nintervals = 2.0'),
    ("seeds = [0]", "seeds = []"),
    ("seeds = [0]", "seeds = [-1]"),
    ("seeds = [0]", "seeds = [0.5]"),
    ("seeds = [0]", "seeds = [99999999999999999999]"),
    ("seeds = [0]", "seed_range = {count = 0}"),
    ("seeds = [0]", "seed_range = {count = 1000000000000000}"),
    ("seeds = [0]", "seed_range = {nonsense = 1}"),
    ("seeds = [0]", "seeds = [0]\nseed_range = {count = 1}"),
    ('policy = "fcfs"', ""),
    ('policy = "fcfs"', 'policy = "nonsense"'),
    ('policy = "fcfs"', 'policy = "fcfs:0.1"'),
    ('policy = "fcfs"', 'policy = "sorted-f:zzz"'),
    ('policy = "fcfs"', 'policy = "mc-sf:nan"'),
    ('policy = "fcfs"', 'policy = "mc-sf:"'),
    ('policy = "fcfs"', 'policy = "lagrangian-stochastic:0.9"'),
    ('policy = "fcfs"', 'policy = "learned:none.json"'),
    ('policy = "fcfs"', 'policy = "fcfs"\nmethod = "lists"'),
    ('policy = "fcfs"', 'policy = "plan"'),
    ('policy = "fcfs"', 'policy = "fcfs"\nplan = "nonsense"'),
    ('policy = "fcfs"', 'policy = "fcfs"\nplan_lengths = "known"'),
    ('policy = "fcfs"', 'method = "nonsense"'),
    ('policy = "fcfs"\nlengths = ["known"]', 'method = "lists"\nlengths = ["interval"]'),
    ('lengths = ["known"]', 'lengths = ["all"]'),
    ('lengths = ["known"]', "lengths = []"),
    ('lengths = ["known"]', 'lengths = ["interval"]'),
    ("[[instances]]", 'policies = ["sorted-f:zzz"]\n[[instances]]'),
    ("[[instances]]", 'policies = ["mc-sf:1"]\n[[instances]]'),
    ("[[instances]]", 'methods = ["nonsense"]\n[[instances]]'),
    ("[[rows]]", '[[rows]]\nlabel = "one"\npolicy = "fcfs"\n[[rows]]'),
]
TRACES: dict[str, str] = {
    "empty": "",
    "header alone": "arrival_s,prefill_tokens,decode_tokens\n",
    "no column": "arrival_s,prefill,decode\n0,3,4\n",
    "column twice": "arrival_s,prefill_tokens,prefill_tokens,decode_tokens\n0,3,3,4\n",
    "too few": "arrival_s,prefill_tokens,decode_tokens\n0,3\n",
    "too many": "arrival_s,prefill_tokens,decode_tokens\n0,3,4,5\n",
    "quote": 'arrival_s,prefill_tokens,decode_tokens\n0,"3,4\n',
    "null": "arrival_s,prefill_tokens,decode_tokens\n0,3,\0\n",
    "long field": "arrival_s,prefill_tokens,decode_tokens\n0,3," + "1" * 200_000 + "\n",
    **{
        f"{place} {value!r}": TRACE.replace(old, old[0] + value + old[-1], 1)
        for place, old in (("arrival", "\n0,"), ("prefill", ",3,"), ("decode", ",4,"))
        for value in ("", "x", "-1", "nan", "inf", "1e999", "1_0", "0x3", HUGE)
    },
    "decode 0": TRACE.replace(",4,", ",0,"),
    "decode 1.5": TRACE.replace(",4,", ",1.5,"),
    "decode 2**31": TRACE.replace(",4,", ",2147483648,"),
    "does not fit": TRACE.replace(",4,", ",2147483647,"),
}


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at the path."""
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is REMOVED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def wrong_values(document: Any, fields: dict[tuple[Any, ...], list[Any]]) -> Iterator[tuple[str, bytes]]:
    """Every field with every wrong value: what is wrong, and the file."""
    for path, values in fields.items():
        for value in values:
            name = ".".join(map(str, path))
            shown = "removed" if value is REMOVED else json.dumps(value)[:40]
            yield f"{name} {shown}", json.dumps(changed(document, path, value)).encode()


def keys_twice(document: Any) -> Iterator[tuple[str, bytes]]:
    """Every key once more, in the same object."""
    text = json.dumps(document)
    keys = [part.rpartition('"')[2] for part in text.split('":')[:-1]]
    for key in dict.fromkeys(keys):
        mark = f'"{key}":'
        yield f"{key} twice", text.replace(mark, f"{mark} null, {mark}", 1).encode()


def damaged(document: Any) -> Iterator[tuple[str, bytes]]:
    """Files that are not JSON objects in UTF-8."""
    text = json.dumps({"version": 1, "list": [], **document})
    for share in (1, 10, 50, 90, 99):
        yield f"cut after {share} %", text[: max(1, len(text) * share // 100)].encode()
    yield "empty", b""
    yield "spaces", b" \n\t"
    yield "zeros", bytes(100)
    yield "every byte", bytes(range(256))
    yield "a list", b"[1, 2]"
    yield "a number", b"7"
    yield "null", b"null"
    yield "more after it", text.encode() + b"{}"
    yield "a comma too much", text.replace("]", ",]", 1).encode()
    yield "single quotes", text.replace('"', "'").encode()
    yield "utf-16", text.encode("utf-16")
    yield "latin-1", text.replace("good", "caf\xe9").encode("latin-1")
    yield "half a surrogate", text.replace("good", "\\ud800").encode()
    yield "a control sign", text.replace("good", "a\x01b").encode()
    yield "nested", b"[" * 100_000
    yield "nested key", text.replace('"good"', '{"a":' * 3000 + "1" + "}" * 3000).encode()
    yield "5000 digits", text.replace('"version": 1', f'"version": {HUGE}').encode()
    yield "gzip cut", gzip.compress(text.encode(), mtime=0)[:-9]
    yield "gzip of nothing", gzip.compress(b"", mtime=0)
    yield "gzip head", b"\x1f\x8b\x08\x00junk"
    yield "gzip of junk", gzip.compress(b"junk", mtime=0)
    packed = bytearray(gzip.compress(text.encode(), mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    yield "gzip flipped", bytes(packed)
