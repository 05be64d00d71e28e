"""Columns that are held and written in pieces say what they say when they are whole, in little memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import Instance, Requests, requests
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.files import instance_pieces, write_instance
from llmsched_mip.text_column import TextColumn
from llmsched_mip.worker import worker_document
from llmsched_mip.workload import Columns, csv_traces, deployment, import_csv

NAMES = ("arrival_s", "prefill_tokens", "decode_tokens", "decode_lower", "decode_upper", "weight")


@given(st.lists(st.text(max_size=3), max_size=12), st.randoms())
def test_a_column_of_texts_is_a_list_of_texts(texts, random):
    column = TextColumn(texts)
    assert column == texts == list(column) and column == TextColumn(tuple(texts)) == pickle.loads(pickle.dumps(column))
    assert [column[k] for k in range(-len(texts), len(texts))] == texts * 2
    assert column[1:-1] == texts[1:-1] and column != [*texts, "x"] and column != ["x", *texts]
    order = random.choices(range(len(texts)), k=5) if texts else []
    assert column.take(order) == [texts[k] for k in order]
    assert column.repeated() == next((k for k, text in enumerate(texts) if text in texts[:k]), None)
    with pytest.raises(IndexError):
        column[len(texts)]


def test_ids_of_a_column_are_checked():
    for ids, message in ((["a", "b", "a"], "request 'a': ids must be unique"), (["a", ""], "must not be empty")):
        with pytest.raises(InvalidInputError, match=message):
            Requests(TextColumn(ids), [1] * len(ids), [1] * len(ids))


@given(instances(), st.booleans())
def test_pieces_make_the_whole(instance, blocks):
    """Against the document in one go: the file's layout, and the canonical JSON of the digest."""
    if blocks:
        lists = [list(range(k % 4)) for k in range(instance.n)]
        instance = instance.with_requests(replace(instance.requests, prefix_blocks=lists))
    r = instance.requests
    columns = {"id": list(r.id)} | {n: None if (c := getattr(r, n)) is None else c.tolist() for n in NAMES}
    columns |= {"prefix_blocks": [ids.tolist() for ids in r.prefix_blocks]} if blocks else {}
    workers = [json.loads(json.dumps(worker_document(worker))) for worker in instance.workers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "PIECE", 2)
        text, digest = "".join(instance_pieces(instance)), instance.fresh_digest()
    lines = ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in columns.items() if v is not None)
    assert text.endswith(f' "requests": {{\n  {lines}}}\n}}\n')
    document = json.loads(text)
    assert document["workers"] == workers and document["requests"].keys() == {k for k, v in columns.items() if v}
    priceless = [{k: v for k, v in worker.items() if k != "cost"} for worker in workers]
    whole = {"requests": columns, "semantics": instance.semantics, "workers": priceless}
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert digest == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def test_a_file_is_written_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "PIECE", 1 << 10)
    n, made = 30_000, np.random.default_rng(1)
    columns = (made.integers(1, 999, n), made.integers(1, 999, n), made.random(n))
    instance = Instance(
        "large", Requests(TextColumn(f"request {k}" for k in range(n)), *columns), (deployment("unit-round"),)
    )
    for name in ("x.json", "x.json.gz"):
        tracemalloc.start()
        write_instance(instance, tmp_path / name)
        instance.fresh_digest()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (tmp_path / "x.json").stat().st_size / 2
    packed = (tmp_path / "x.json.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "x.json").read_bytes()
    assert packed[4:8] == bytes(4), "no time of writing"


def test_a_trace_ends_where_an_instance_may(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_traces, "MOST_REQUESTS", 5)
    monkeypatch.setattr(csv_traces, "CHUNK_ROWS", 2)
    path = tmp_path / "t.csv"
    rows = [f"q{k},{k},{k + 1},{k + 2}\n" for k in range(5)]
    path.write_text("id,arrival_s,prefill_tokens,decode_tokens\n" + "".join(rows))
    whole = import_csv(path, "unit-round").requests
    assert whole.id == tuple(f"q{k}" for k in range(5)) and whole.decode_tokens.tolist() == [2, 3, 4, 5, 6]
    path.write_text("arrival_s,prefill_tokens,decode_tokens\n" + "0,1,1\n" * 7)
    with pytest.raises(InvalidInputError, match="line 7: more than 5 requests; --limit N takes the first N"):
        import_csv(path, "unit-round", Columns())
    assert len(import_csv(path, "unit-round", limit=5).requests) == 5
