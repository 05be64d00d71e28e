"""Every format of traces on a small file in its documented layout, against the numbers written in it."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmsched_mip.cli import main
from llmsched_mip.errors import SchedulingError
from llmsched_mip.io.files import instance_pieces, json_schema, read_instance, write_instance
from llmsched_mip.workload import IMPORTERS, Columns, Fleet, Reading, deployment, generate, import_trace
from llmsched_mip.workload.mooncake import expanded

TRACES = Path(__file__).parent / "traces"
TP4 = Fleet("llama2-70b-a100-tp4")


def taken(file, **reading):
    done = import_trace(TRACES / file, TP4, reading=Reading(**reading))
    r = done.instance.requests
    return done, r.prefill_tokens.tolist(), r.decode_tokens.tolist(), r.arrival_s.tolist()


@pytest.mark.parametrize(
    ("file", "format", "prefill", "decode", "arrival"),
    [
        ("azure_2023.csv", "azure", [374, 396, 879], [44, 109, 55], [0.0, 4.314579, 4.541877]),
        ("azure_2024.csv", "azure", [2162, 2399, 2376], [5, 6, 15], [0.0, 0.007405, 1.49007]),
        ("burstgpt.csv", "burstgpt", [472, 1087, 417], [18, 230, 276], [0.0, 40.0, 113.0]),
        ("mooncake.jsonl", "mooncake", [1050, 1100, 40], [52, 26, 7], [0.0, 3.053, 3.053]),
        ("vllm.json", "vllm", [10, 20, 30], [4, 5, 6], [0.0, 0.5, 1.5]),
        ("sglang.jsonl", "sglang", [10, 20], [4, 5], [0.0, 0.0]),
        ("openai_batch.jsonl", "openai-batch", [6, 4, 3], [100, 7, 10], [0.0, 0.0, 0.0]),
    ],
)
def test_a_format_is_found_and_read(file, format, prefill, decode, arrival):
    done, *columns = taken(file)
    assert (done.format, *columns) == (format, prefill, decode, pytest.approx(arrival, abs=1e-9))
    assert format in IMPORTERS
    again = import_trace(TRACES / file, TP4, format, Reading(limit=1, backlog=True)).instance
    assert again.requests.arrival_s.tolist() == [0.0]


def test_what_is_left_out_ignored_or_assumed_is_said():
    def notes(file, **reading):
        return "\n".join(taken(file, **reading)[0].notes)

    assert "1 request without prompt or output is left out (line 4)" in notes("azure_2024.csv")
    assert "ignored: Model, Total tokens, Log Type" in notes("burstgpt.csv")
    assert "1 requests that failed" in notes("vllm.json")
    assert "the last of 2 runs" in notes("sglang.jsonl") and "all requests arrive at 0" in notes("sglang.jsonl")
    batch = notes("openai_batch.jsonl", decode_quantile=0.5)
    for words in ("characters / 4", "0.5 x max_tokens", "1 parts of messages that are no text"):
        assert words in batch


def test_semicolons_dates_decimal_commas_and_optional_columns():
    columns = Columns("prompt", "output", "when")
    done, *found = taken("plain.csv", columns=columns)
    assert found == [[10, 20], [3, 4], [0.0, 1.5]]
    r = done.instance.requests
    assert (r.id, r.weight.tolist()) == (("x", "y"), [0.5, 2.0])
    assert (r.decode_lower.tolist(), r.decode_upper.tolist()) == ([1, 2], [9, 8])
    assert "ignored: who" in done.notes


def test_a_tab_and_standard_input_gzipped(monkeypatch):
    text = b"prefill_tokens\tdecode_tokens\n5\t6\n"

    class Stream:
        buffer = io.BytesIO(gzip.compress(text))

    monkeypatch.setattr("sys.stdin", Stream())
    instance = import_trace("-", TP4, reading=Reading(backlog=True)).instance
    assert (instance.name, instance.requests.decode_tokens.tolist()) == ("standard input", [6])


def test_mooncake_blocks_are_expanded():
    blocks = taken("mooncake.jsonl")[0].instance.requests.prefix_blocks
    assert [len(ids) for ids in blocks] == [1050 // 16, 1100 // 16, 40 // 16]
    first, second, third = (ids.tolist() for ids in blocks)
    assert first[:64] == second[:64] == [32 * 46 + k for k in range(32)] + [32 * 47 + k for k in range(32)]
    assert not set(first[64:]) & set(second) and third == [9 * 32, 9 * 32 + 1]
    assert taken("mooncake.jsonl", prefix_blocks=False)[0].instance.requests.prefix_blocks is None


@pytest.mark.parametrize(("tokens", "to_tokens"), [(512, 16), (512, 24), (16, 16), (16, 32), (512, 1024)])
def test_expanded_blocks_are_equal_where_the_prompts_are(tokens, to_tokens):
    rng = np.random.default_rng(0)
    texts = [np.concatenate([np.zeros(same, int), rng.integers(1, 9, 3000 - same)]) for same in (0, 700, 1024, 2999)]
    known: dict[tuple[int, ...], int] = {}
    prefix_blocks = []
    for text in texts:
        ends = [*range(tokens, len(text), tokens), len(text)]
        ids = np.array([known.setdefault(tuple(text[:end]), len(known)) for end in ends])
        prefix_blocks.append(expanded(ids, len(text), tokens, to_tokens).tolist())
    for a, mine in zip(texts, prefix_blocks, strict=True):
        assert len(mine) == len(a) // to_tokens
        for b, other in zip(texts, prefix_blocks, strict=True):
            for k in range(len(mine)):
                # Blocks that end inside one trace block may look different though they are equal, never the reverse.
                same = (a[: (k + 1) * to_tokens] == b[: (k + 1) * to_tokens]).all()
                whole = -(-(k + 1) * to_tokens // tokens) * tokens
                if (a[:whole] == b[:whole]).all():
                    assert mine[k] == other[k]
                assert same or mine[k] != other[k]


def test_prefix_blocks_are_in_file_and_digest_only_where_present(tmp_path):
    plain = generate("gsm8k-small", 3)
    assert "prefix_blocks" not in "".join(instance_pieces(plain))
    blocks = plain.with_requests(replace(plain.requests, prefix_blocks=[[1, 2], [], [1]]))
    assert blocks.digest != plain.digest
    path = tmp_path / "x.json"
    write_instance(blocks, path)
    again = read_instance(path)
    assert again.digest == blocks.digest
    assert [ids.tolist() for ids in again.take([2, 0]).requests.prefix_blocks] == [[1], [1, 2]]
    assert "prefix_blocks" in json_schema("instance")["$defs"]["RequestsDocument"]["properties"]
    for wrong in ([[1]], [[1], [2], ["a"]], [[1], [2], [-1]]):
        with pytest.raises(SchedulingError, match=r"requests\.prefix_blocks"):
            replace(plain.requests, prefix_blocks=wrong)


MOON = '{"timestamp": 1, "input_length": 5, "output_length": 2, "hash_ids": [1]}\n'
CHAT = '{"custom_id": "a", "body": {"messages": [{"content": "x"}], "max_tokens": 5}}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MOON + "{\n", "line 2: not valid JSON"),
        (MOON + "\n[1]\n", "line 3: expected a JSON object"),
        (MOON + MOON.replace("5", "5.5"), "line 2, field 'input_length': expected an integer from 0"),
        (MOON + MOON.replace("[1]", "[1, 2]"), "line 2, field 'hash_ids': expected 1 ids of 512 tokens"),
        (MOON + MOON.replace("1,", '"1",', 1), "line 2, field 'timestamp': expected a number of milliseconds"),
        (CHAT + CHAT, "line 2, field 'custom_id': expected a unique text"),
        (CHAT.replace("messages", "file"), "line 1, field 'body': expected messages"),
        (CHAT.replace(', "max_tokens": 5', ""), "line 1, field 'body.max_tokens': missing; --max-tokens N"),
        (CHAT.replace("5", "0"), "line 1, field 'body.max_tokens': expected an integer from 1"),
        ('{"input_lens": [1, 2], "output_lens": [1]}', "field 'output_lens': expected 2 values"),
        ('{"completed": 3}', "field 'input_lens': missing; it is there after vllm bench serve"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 1,2,3\n", "line 2, column 'TIMESTAMP': expected a fin"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16,2,3\nsoon,1,1\n", "line 3, column 'TIMESTAMP'"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16,0,3\n", "no request with a prompt and an output"),
        ('{"format": "llmsched-plan"}', "is a file of llmsched, not a trace"),
        ('{"a": 1}', "JSON of no known layout"),
        ("", "empty file, expected a trace"),
    ],
)  # fmt: skip
def test_a_malformed_line_says_number_and_reason(tmp_path, text, message):
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(SchedulingError) as error:
        import_trace(path, TP4)
    assert str(error.value).startswith(f"{path}: {message}") and error.value.exit_code == 2


def test_openai_lengths_by_quantile_or_field(tmp_path):
    done, _, decode, _ = taken("openai_batch.jsonl", decode_quantile=0.25)
    assert decode == [25, 2, 3]
    assert done.instance.requests.decode_lower.tolist() == [1, 1, 1]
    assert done.instance.requests.decode_upper.tolist() == [100, 7, 10]
    path = tmp_path / "b.jsonl"
    path.write_text(CHAT.replace('"body"', '"meta": {"out": 4}, "body"'))
    assert import_trace(path, TP4, reading=Reading(decode_field="meta.out")).instance.requests.decode_tokens[0] == 4


def test_intervals_from_a_quantile(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("prefill_tokens,decode_tokens\n" + "".join(f"5,{d}\n" for d in range(1, 101)))
    done = import_trace(path, TP4, reading=Reading(backlog=True, interval_quantile=0.9))
    assert set(done.instance.requests.decode_lower.tolist()) == {10}
    assert set(done.instance.requests.decode_upper.tolist()) == {90}


def test_caps_workers_and_what_does_not_fit(tmp_path, capsys):
    path, out = tmp_path / "t.csv", tmp_path / "i.json"
    path.write_text("id,prefill_tokens,decode_tokens\na,3000,5\nb,41000,5\nc,41407,1\nd,41400,9\n")
    base = ["import", str(path), "--backlog", "--worker", "llama31-8b-rtx4090", "-o", str(out)]
    assert main(base) == 1
    assert main([*base, "--drop-unfit", "--workers", "2", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["unfit"] == ["d"]
    assert "1 of 4 requests fit no worker and are left out: d" in captured.err
    instance = read_instance(out)
    assert [w.name for w in instance.workers] == ["llama31-8b-rtx4090-1", "llama31-8b-rtx4090-2"]
    assert {w.prefill_token_cap for w in instance.workers} == {41407}, "the longest prompt that the KV cache admits"
    assert main([*base, "--drop-unfit", "--prefill-cap", "3000", "--kv-capacity", "none"]) == 0
    instance = read_instance(out)
    assert (instance.requests.id, instance.workers[0].kv_capacity) == (("a",), None)
    assert main([*base, "--kv-capacity", "90000", "--prefill-cap", "none"]) == 0
    assert read_instance(out).workers[0].prefill_token_cap is None


def test_generated_instances_keep_the_published_setting():
    drawn = generate("azure-conv", 20)
    assert drawn.workers[0].prefill_token_cap is None
    assert generate("azure-conv", 20, worker="opt-66b-a100-tp4").workers == (
        deployment("opt-66b-a100-tp4", published=True),
    )
    capped = generate("azure-conv", 20, prefill_cap="engine", workers=3)
    assert [w.prefill_token_cap for w in capped.workers] == [max(8192, drawn.requests.prefill_tokens.max())] * 3
    with pytest.raises(SchedulingError):
        generate("mooncake-conv", 50, kv_capacity=20_000)
    assert 0 < generate("mooncake-conv", 50, kv_capacity=20_000, drop_unfit=True).n < 50


def test_real_prefix_blocks(shared_data):
    path = shared_data / "prefix_blocks_rtx4090_llama31_8b.jsonl"
    requests = import_trace(path, Fleet("llama31-8b-rtx4090")).instance.requests
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    assert [ids.tolist() for ids in requests.prefix_blocks] == [row["hash_ids"] for row in rows]
    assert requests.arrival_s[1] == pytest.approx(0.265091)
