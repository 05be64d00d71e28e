"""The CSV importer: what it reads, and the one line it prints for what it cannot."""

from __future__ import annotations

import csv
import gzip
import os

import numpy as np
import pytest

from llmsched_mip.errors import InfeasibleInstanceError, SchedulingError
from llmsched_mip.workload import Columns, deployment, import_csv

HEADER = "arrival_s,prefill_tokens,decode_tokens"
GOOD = f"{HEADER}\n0.0,10,5\n1.5,20,6\n"


def write(tmp_path, content, name="trace.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_columns_become_requests(tmp_path):
    instance = import_csv(write(tmp_path, GOOD), "llama2-70b-a100-tp4")
    assert instance.name == "trace"
    assert instance.requests.id == ("r0", "r1")
    assert instance.requests.arrival_s.tolist() == [0.0, 1.5]
    assert instance.requests.prefill_tokens.tolist() == [10, 20]
    assert instance.requests.decode_tokens.tolist() == [5, 6]
    assert instance.workers == (deployment("llama2-70b-a100-tp4"),)


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\n\n"),
        GOOD.rstrip("\n"),
        GOOD.replace("10,5", '"10", 5.0'),
        GOOD.replace("10,5", "1e1,5"),
    ],
)
def test_spellings_of_the_same_table(tmp_path, content):
    instance = import_csv(write(tmp_path, content), "unit-round")
    assert instance.requests.prefill_tokens.tolist() == [10, 20]
    assert instance.requests.decode_tokens.tolist() == [5, 6]


def test_options(tmp_path):
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(b"who,p,d,when\na,1,2,0\nb,3,4,1\nc,x,y,z\n"))
    instance = import_csv(
        path,
        deployment("llama2-70b-a100-tp4"),
        Columns("p", "d", arrival="when", id="who"),
        name="mine",
        limit=2,
        slots=9,
    )
    assert (instance.name, instance.requests.id, instance.workers[0].slots) == ("mine", ("a", "b"), 9)
    backlog = import_csv(path, "unit-round", Columns("p", "d", arrival=None), limit=2)
    assert backlog.requests.arrival_s.tolist() == [0.0, 0.0]
    assert backlog.name == "trace"


def bad(rows, header=HEADER):
    return f"{header}\n{rows}\n"


TOKENS = "expected an integer from 1 to 2147483647, got "
SECONDS = "expected a finite number of seconds ≥ 0, got "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file, expected a header line with column names"),
        ("\n\n", "empty file, expected a header line with column names"),
        (HEADER + "\n", "line 2: no rows, expected one request a row"),
        (
            "arrival_s,prefill_tokens,out\n0,1,2\n",
            "line 1, column 'decode_tokens': missing; the columns are arrival_s, prefill_tokens, out",
        ),
        (
            "prefill_tokens,decode_tokens\n1,2\n",
            "line 1, column 'arrival_s': missing; the columns are prefill_tokens, decode_tokens",
        ),
        (
            "arrival_s,prefill_tokens,decode_tokens,decode_tokens\n0,1,2,3\n",
            "line 1, column 'decode_tokens': stands 2 times; "
            "the columns are arrival_s, prefill_tokens, decode_tokens, decode_tokens",
        ),
        (bad("0,1,2\n0,x,2"), f"line 3, column 'prefill_tokens': {TOKENS}'x'"),
        (bad("0,1,2\n\n\n0,1,2.5"), f"line 5, column 'decode_tokens': {TOKENS}'2.5'"),
        (bad("0,1,nan"), f"line 2, column 'decode_tokens': {TOKENS}'nan'"),
        (bad("0,1,inf"), f"line 2, column 'decode_tokens': {TOKENS}'inf'"),
        (bad("0,1,1e999"), f"line 2, column 'decode_tokens': {TOKENS}'1e999'"),
        (bad("0,1,"), f"line 2, column 'decode_tokens': {TOKENS}''"),
        (bad("0,1,0"), f"line 2, column 'decode_tokens': {TOKENS}'0'"),
        (bad("0,1,-4"), f"line 2, column 'decode_tokens': {TOKENS}'-4'"),
        (bad("0,1,1_000"), f"line 2, column 'decode_tokens': {TOKENS}'1_000'"),
        (bad("0,1,99999999999"), f"line 2, column 'decode_tokens': {TOKENS}'99999999999'"),
        (bad("-0.5,1,1"), f"line 2, column 'arrival_s': {SECONDS}'-0.5'"),
        (bad("NaN,1,1"), f"line 2, column 'arrival_s': {SECONDS}'NaN'"),
        (bad("soon,1,1"), f"line 2, column 'arrival_s': {SECONDS}'soon'"),
        (bad("0,1,2\n0,1"), "line 3: expected 3 fields as in the header, got 2"),
        (bad("0,1,2\n0,1,2,3"), "line 3: expected 3 fields as in the header, got 4"),
        (bad("0;1;2"), "line 2: expected 3 fields as in the header, got 1"),
        (bad('0,1,"2'), "line 2: not valid CSV: unexpected end of data"),
        (bad("0,1,2").encode() + b"0,1,\xff\n", "line 3: not UTF-8 text"),
        (bad("0,1," + "9" * 80), f"line 2, column 'decode_tokens': {TOKENS}'{'9' * 37}...'"),
    ],
)
def test_one_line_says_where(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(SchedulingError) as error:
        import_csv(path, "llama2-70b-a100-tp4")
    assert str(error.value) == f"{path}: {message}"
    assert error.value.exit_code == 2


def test_ids(tmp_path):
    path = write(tmp_path, "id,arrival_s,prefill_tokens,decode_tokens\na,0,1,1\nb,0,1,1\na,0,1,1\n")
    with pytest.raises(SchedulingError) as error:
        import_csv(path, "unit-round", Columns(id="id"))
    assert str(error.value) == f"{path}: line 4, column 'id': expected a unique id, got 'a'"
    path = write(tmp_path, "id,arrival_s,prefill_tokens,decode_tokens\n,0,1,1\n")
    with pytest.raises(SchedulingError) as error:
        import_csv(path, "unit-round", Columns(id="id"))
    assert str(error.value) == f"{path}: line 2, column 'id': expected a unique id, got ''"


def test_a_request_that_does_not_fit(tmp_path):
    path = write(tmp_path, bad("0,1,2\n0,50000,2000"))
    with pytest.raises(InfeasibleInstanceError) as error:
        import_csv(path, "llama31-8b-rtx4090")
    assert str(error.value).startswith(f"{path}: requests[1]: request 'r1': fits no worker: needs 50000 ")
    assert error.value.exit_code == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_limit(tmp_path, limit):
    with pytest.raises(SchedulingError, match=f"limit: expected an integer ≥ 1, got {limit}"):
        import_csv(write(tmp_path, GOOD), "unit-round", limit=limit)


def test_no_file_and_folder(tmp_path):
    with pytest.raises(SchedulingError) as error:
        import_csv(tmp_path / "none.csv", "unit-round")
    assert str(error.value) == f"{tmp_path / 'none.csv'}: no such file"
    with pytest.raises(SchedulingError) as error:
        import_csv(tmp_path, "unit-round")
    assert str(error.value) == f"{tmp_path}: is a directory, expected a file"


@pytest.mark.parametrize(
    ("name", "decode_column"),
    [
        ("gsm8k_test_lengths", "decode_175b_verification"),
        ("azure_conv_2023", "decode_tokens"),
        ("vtc_arena_clients", "decode_tokens"),
        ("vidur_arxiv_summarization", "decode_tokens"),
        ("vllm_run_rtx4090_llama31_8b", "decode_tokens"),
    ],
)
def test_real_workloads(shared_data, name, decode_column):
    path = shared_data / f"{name}.csv"
    instance = import_csv(path, "llama2-70b-a100-tp4", Columns(decode=decode_column))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    requests = instance.requests
    assert instance.n == len(rows)
    assert requests.prefill_tokens.tolist() == [int(row["prefill_tokens"]) for row in rows]
    assert requests.decode_tokens.tolist() == [int(row[decode_column]) for row in rows]
    assert np.array_equal(requests.arrival_s, [float(row["arrival_s"]) for row in rows])
    assert os.path.basename(path) in instance.source
