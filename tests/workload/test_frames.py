"""Instances from DataFrames and back: what is read, what is refused with column and row, what is ignored."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from strategies import instances

from llmsched_mip import Instance, deployment
from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError
from llmsched_mip.names import DEPLOYMENTS
from llmsched_mip.worker import base_name, copies
from llmsched_mip.workload import Fleet, Reading, import_trace
from llmsched_mip.workload.frames import ALIASES

WORKER = "llama2-70b-a100-tp2"
GOOD = {"prefill_tokens": [3, 4, 5], "decode_tokens": [7, 8, 9]}


def made(columns, worker=WORKER, workers=1, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Instance.from_frame(pd.DataFrame(columns, **options), worker, workers)


@settings(max_examples=25)
@given(instances())
def test_a_frame_gives_the_instance_back(instance):
    frame = instance.to_frame()
    again = Instance.from_frame(frame, instance.workers, name=instance.name, objective=instance.objective)
    assert again.digest == instance.digest and again.workers == instance.workers
    pd.testing.assert_frame_equal(again.to_frame(), frame)


def test_intervals_and_weights_come_back():
    frame = pd.DataFrame({**GOOD, "decode_lower": [1, 1, 9], "decode_upper": [7, 20, 9], "weight": [1.0, 2.5, 0.5]})
    again = Instance.from_frame(frame, WORKER).to_frame()
    pd.testing.assert_frame_equal(again[list(frame.columns)], frame)


@pytest.mark.parametrize("column", ["id", "prefill_tokens", "decode_tokens", "arrival_s"])
def test_names_of_others_are_taken_and_ours_go_first(column):
    whole = {"id": ["a", "b", "c"], "arrival_s": [0.0, 1.0, 2.5], **GOOD}
    digest = made(whole).digest
    for alias in ALIASES[column]:
        assert made({alias if name == column else name: values for name, values in whole.items()}).digest == digest
    alias = ALIASES[column][0]
    with pytest.warns(UserWarning, match=f"^columns ignored: {alias}, model$") as caught:
        assert Instance.from_frame(pd.DataFrame({alias: 1, **whole, "model": "m"}), WORKER).digest == digest
    assert caught[0].filename == __file__


def test_kinds_of_columns_that_pandas_makes_of_integers():
    whole = made(GOOD).digest
    for dtype in ("float64", "Int64", "int16", "object", "category", "float32", "uint64"):
        assert made({name: pd.Series(values).astype(dtype) for name, values in GOOD.items()}).digest == whole
    assert made({**GOOD, "id": ["r0", "r1", "r2"]}, index=[5, 5, 7]).digest == whole
    indexed = pd.DataFrame({**GOOD, "request_id": [7, 8, 9]}).set_index("request_id")
    assert Instance.from_frame(indexed, WORKER).requests.id == ("7", "8", "9")


def test_arrivals_as_points_in_time_and_durations():
    seconds = [2.0, 0.0, 90.5]
    for arrivals in (
        seconds,
        pd.to_timedelta(seconds, unit="s"),
        pd.Timestamp("2024-05-10 23:59:00") + pd.to_timedelta(seconds, unit="s"),
        pd.Timestamp("2024-05-10 23:59:00", tz="Europe/Berlin") + pd.to_timedelta(seconds, unit="s"),
    ):
        np.testing.assert_allclose(made({**GOOD, "arrival_s": arrivals}).requests.arrival_s, seconds, rtol=1e-12)


def test_workers_one_kind_many_and_a_list():
    engine = deployment(WORKER)
    assert made(GOOD).workers == (engine,) == made(GOOD, engine).workers
    names = [worker.name for worker in made(GOOD, engine, workers=3).workers]
    assert names == [f"{WORKER}-1", f"{WORKER}-2", f"{WORKER}-3"]
    mixed = made(GOOD, [engine, "opt-66b-a100-tp4", replace(engine, slots=9)]).workers
    assert [worker.name for worker in mixed] == [f"{WORKER}-1", "opt-66b-a100-tp4", f"{WORKER}-2"]
    assert mixed[2].slots == 9


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_frame_makes_the_workers_that_an_import_makes(name, count, tmp_path):
    """Prompts below, at and above the prefill caps of the deployments."""
    frame = pd.DataFrame({"prefill_tokens": [5, 2048, 9000, 14000], "decode_tokens": [1, 7, 300, 2]})
    frame.to_csv(tmp_path / "trace.csv", index=False)
    imported = import_trace(tmp_path / "trace.csv", Fleet(name, count), reading=Reading(backlog=True)).instance
    instance = Instance.from_frame(frame, name, count)
    assert instance.workers == imported.workers and instance.digest == imported.digest
    assert base_name(instance.workers) == name


def test_base_names_are_those_of_copies_alone():
    one = deployment(WORKER)
    assert [worker.name for worker in copies(one, 2)] == [f"{WORKER}-1", f"{WORKER}-2"]
    for names, base in (("g-1", "g-1"), ("g-1 g-2", "g"), ("g-1-1 g-1-2", "g-1"), ("g-1 g-3", "g-1"), ("a b", "a")):
        assert base_name([replace(one, name=name) for name in names.split()]) == base


TIME = pd.Timestamp("2024-01-01")
WRONG = {
    "missing": ({"decode_tokens": [1]}, {}, "column 'prefill_tokens': missing, nor is there prompt_tokens or input_to"),
    "no rows": ({"prefill_tokens": [], "decode_tokens": []}, {}, "frame: no rows, expected one request a row"),
    "nan": ({**GOOD, "decode_tokens": [1, np.nan, 2]}, {}, "column 'decode_tokens', row 1: expected an integer from 1"),
    "fraction": ({**GOOD, "decode_tokens": [1, 2, 2.5]}, {}, "column 'decode_tokens', row 2: expected an integer from"),
    "text": (
        {**GOOD, "decode_tokens": [1, "12", 2]},
        {},
        "column 'decode_tokens', row 1: expected an integer from 1 to",
    ),
    "true": ({**GOOD, "decode_tokens": [True] * 3}, {}, "column 'decode_tokens', row 0: expected an integer from 1 to"),
    "huge": ({**GOOD, "decode_tokens": [1, 10**400, 2]}, {}, "column 'decode_tokens', row 1: expected an integer from"),
    "zero": ({"ContextTokens": [1, 0], "decode_tokens": 1}, {}, "column 'ContextTokens', row 1: expected an integer"),
    "index": (
        {**GOOD, "weight": [1, 1, -1]},
        {"index": list("xyz")},
        "column 'weight', row 2 (index 'z'): expected a f",
    ),
    "arrival": (
        {**GOOD, "arrival_s": [0, -1, 0]},
        {},
        "column 'arrival_s', row 1: expected a number of seconds ≥ 0, a",
    ),
    "NaT": (
        {**GOOD, "arrival_s": [TIME, None, TIME]},
        {},
        "column 'arrival_s', row 1: expected a point in time, got NaT",
    ),
    "id twice": (
        {**GOOD, "id": [1, "1", 2]},
        {},
        "column 'id', row 1: expected an id of its own, '1' is that of row 0",
    ),
    "id": ({**GOOD, "id": ["a", None, "b"]}, {}, "column 'id', row 1: expected a text that is not empty or an integer"),
    "half an interval": ({**GOOD, "decode_lower": 1}, {}, "column 'decode_upper': missing; decode_lower and decode_up"),
    "interval": (
        {**GOOD, "decode_lower": 3, "decode_upper": [3, 2, 3]},
        {},
        "column 'decode_upper', row 1: expected at least decode_lower, got 2",
    ),
    "which": (
        {"prompt_tokens": [1], "input_tokens": [1], "decode_tokens": [1]},
        {},
        "column 'prefill_tokens': which of prompt_tokens, input_tokens is it?",
    ),
    "worker": (GOOD, {"worker": "gpu"}, "worker: unknown deployment 'gpu'"),
    "worker type": (GOOD, {"worker": [3]}, "worker: expected a deployment's name, a Worker or a list of these, got 3"),
    "no worker": (GOOD, {"worker": []}, "workers: expected at least one worker"),
    "count": (GOOD, {"workers": 0}, "workers: expected an integer from 1 to 100000, got 0"),
    "count of several": (
        GOOD,
        {"worker": [WORKER] * 2, "workers": 2},
        "workers: goes with one worker, got 2 and a list",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_frame_is_one_line(case):
    columns, options, message = WRONG[case]
    with pytest.raises(InvalidInputError) as error:
        made(columns, **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_other_wrong_things():
    with pytest.raises(InvalidInputError, match=r"^frame: expected a DataFrame, got list$"):
        Instance.from_frame([1, 2], WORKER)
    twice = pd.DataFrame([[1, 2, 3]], columns=["prefill_tokens", "prefill_tokens", "decode_tokens"])
    with pytest.raises(InvalidInputError, match=r"^column 'prefill_tokens': expected once, stands 2 times$"):
        Instance.from_frame(twice, WORKER)
    with pytest.raises(InfeasibleInstanceError, match=r"^requests\[2\]: request 'r2': fits no worker"):
        made({**GOOD, "prefill_tokens": [1, 1, 60000]})
