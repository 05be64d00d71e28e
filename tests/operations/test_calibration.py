"""Calibration: known coefficients come back, measured tables are met, and what is wrong with a table is said."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from llmsched_mip.cli import main
from llmsched_mip.io.files import read_worker
from llmsched_mip.mixed_engine import Collective, IterationTime, TokenTable
from llmsched_mip.operations.calibration import EngineLimits, calibrate
from llmsched_mip.operations.timing_tables import Timings, TimingTable

DECODE = IterationTime(0.012, per_sequence_s=4e-5, per_kv_token_s=1.2e-7)
MIXED = IterationTime(0.015, 5e-5, 3e-9, 9e-5, 3e-7)
CONCAVE = IterationTime(
    per_attention_s=3e-9,
    per_sequence_s=2e-5,
    per_kv_token_s=3e-7,
    table=TokenTable((1, 32, 128, 512, 2048), (0.010, 0.030, 0.050, 0.075, 0.150)),
)
"""As of a mixture of experts: the first tokens touch most of the experts."""
PARTS = ("base_s", "per_token_s", "per_attention_s", "per_sequence_s", "per_kv_token_s")
HEADER = "prefill_chunk,kv_prefill,n_decode,kv_decode,iteration_ms\n"


def grid(decode=DECODE, mixed=MIXED, factor=1.0, noise=0.0, outliers=0.0, seed=0):
    """A table of these times, as powers of two; `outliers` of the rows take three to ten times as long."""
    rows = [(c, x, b, kv) for c, x, b, kv in product((0, 16, 64, 128, 256, 512, 1024, 2048), (0, 256, 1024, 4096),
            (0, 1, 4, 16, 64, 128), (0, 64, 256, 1024, 4096))
            if c + b and (c or not x) and bool(b) == bool(kv)]  # fmt: skip
    chunk, context, decodes, kv_each = np.array(rows, dtype=float).T
    attention = chunk * (context + chunk / 2)
    seconds = np.where(
        chunk > 0,
        mixed.seconds(chunk, attention, decodes, decodes * kv_each),
        decode.seconds(0, 0, decodes, decodes * kv_each),
    )
    rng = np.random.default_rng(seed)
    seconds = factor * seconds * np.exp(noise * rng.standard_normal(len(seconds)))
    late = rng.random(len(seconds)) < outliers
    seconds = np.where(late, seconds * rng.uniform(3, 10, len(seconds)), seconds)
    return Timings(chunk, context, decodes, kv_each, seconds)


def fitted(timings, **limits):
    return calibrate([TimingTable("t.csv", timings, ())], "w", EngineLimits(token_budget=4096, **limits))


def coefficients(time):
    return [getattr(time, part) for part in PARTS]


@pytest.mark.parametrize(
    ("noise", "outliers", "close"), [(0, 0, 1e-6), (0.02, 0, 0.15), (0.02, 0.05, 0.2)], ids=["exact", "noise", "late"]
)
def test_known_coefficients_come_back(noise, outliers, close):
    engine = fitted(grid(noise=noise, outliers=outliers)).worker.engine
    assert engine.decode.table is None and engine.mixed.table is None
    assert coefficients(engine.decode) == pytest.approx(coefficients(DECODE), rel=close)
    assert coefficients(engine.mixed) == pytest.approx(coefficients(MIXED), rel=close)


def test_times_scale(factor=1e-3):
    """Law: all times by a factor, all coefficients by that factor."""
    one, other = (fitted(grid(mixed=CONCAVE, noise=0.01, factor=f)).worker for f in (1.0, factor))
    assert other.engine.mixed.table.tokens == one.engine.mixed.table.tokens
    for a, b in ((one.engine.decode, other.engine.decode), (one.engine.mixed, other.engine.mixed)):
        assert coefficients(b) == pytest.approx([factor * value for value in coefficients(a)], rel=1e-4, abs=1e-15)
    seconds = [factor * value for value in one.engine.mixed.table.seconds]
    assert other.engine.mixed.table.seconds == pytest.approx(seconds, rel=1e-4)
    assert other.prefill_time.per_token_s == pytest.approx(factor * one.prefill_time.per_token_s, rel=1e-4)


@pytest.mark.parametrize("outliers", [0, 0.05])
def test_a_mixture_of_experts_gets_a_table(outliers):
    found = fitted(grid(mixed=CONCAVE, noise=0.01, outliers=outliers))
    decode, mixed = found.regimes
    assert decode.fit.time.table is None and mixed.fit.time.table is not None
    assert mixed.fit.error < mixed.fit.affine_error
    true = grid(mixed=CONCAVE)
    rows = true.take((true.chunk > 0) & (true.tokens >= 128))
    said = mixed.fit.time.seconds(rows.chunk, rows.attention, rows.decodes, rows.kv_tokens)
    assert np.median(np.abs(said / rows.seconds - 1)) < 0.02


def test_collectives_are_added_to_both_forms():
    plain, added = fitted(grid()).worker, fitted(grid(), collective=Collective(0.002, 1e-6)).worker
    assert added.engine.decode.collective == added.engine.mixed.collective == Collective(0.002, 1e-6)
    tokens = np.array([1.0, 64.0])
    longer = added.engine.decode.seconds(0, 0, tokens, 0) - plain.engine.decode.seconds(0, 0, tokens, 0)
    assert longer == pytest.approx(0.002 + 1e-6 * tokens)
    assert added.decode_time.round_seconds(64, 0) - plain.decode_time.round_seconds(64, 0) == pytest.approx(0.002064)
    assert added.prefill_time.seconds(1000) - plain.prefill_time.seconds(1000) == pytest.approx(0.003)


def test_rows_that_cannot_occur_are_left_out():
    whole = grid()
    found = calibrate([TimingTable("t.csv", whole, ())], "w", EngineLimits(16, 8192, 1024))
    for regime, rows in zip(found.regimes, (whole.take(whole.chunk == 0), whole.take(whole.chunk > 0)), strict=True):
        held = rows.kv_tokens + rows.context + rows.chunk
        possible = (rows.decodes <= 16) & (held <= 8192) & (rows.tokens <= 1024)
        assert (len(regime.fit.timings), regime.dropped) == (possible.sum(), len(rows) - possible.sum())


def test_what_varies_together_and_what_is_not_reached_is_said():
    rows = grid()
    rows = rows.take((rows.kv_each == 1024) | (rows.decodes == 0))
    decode, mixed = (one.warnings for one in fitted(rows, slots=512, kv_capacity=10**6).regimes)
    assert any("per_sequence_s and per_kv_token_s are collinear" in warning for warning in decode)
    assert any("reach 128 requests in decode, the limit is 512" in warning for warning in mixed)
    assert any("KV tokens of decodes, the limit is 1000000" in warning for warning in decode)


MEASURED = {
    "rtx4090": (EngineLimits(256, 41408, 2048), (0.01, 0.05), 256, 1.5),
    "rtxpro6000": (EngineLimits(128, 585248, 2048), (0.01, 0.15), None, 1.5),
}
"""Limits; most median errors; a kink of the time by tokens; the least factor of a decode's KV token beside prompts."""


@pytest.mark.parametrize("name", MEASURED)
def test_measured_tables(name, shared_data, tmp_path, capsys):
    limits, most, kink, dearer = MEASURED[name]
    path = tmp_path / "w.json"
    call = ["calibrate", str(shared_data / f"timing_{name}_llama31_8b.csv"), "-o", str(path), "--json",
            "--slots", str(limits.slots), "--kv-capacity", str(limits.kv_capacity)]  # fmt: skip
    assert main(call) == 0
    document = json.loads(capsys.readouterr().out)
    errors = [regime["median_error"] for regime in document["regimes"]]
    assert all(error <= bound for error, bound in zip(errors, most, strict=True)), errors
    worker = read_worker(path)
    assert (worker.slots, worker.kv_capacity, worker.prefill_token_cap) == (limits.slots, limits.kv_capacity, 2048)
    assert worker.engine.mixed.per_kv_token_s > dearer * worker.engine.decode.per_kv_token_s
    if kink is not None:
        # Above 256 tokens the matrix products need another wave: the time jumps.
        assert kink in worker.engine.mixed.table.tokens


def test_vidur_tables(shared_data, tmp_path, capsys):
    parts = [str(shared_data / f"timing_vidur_a100_llama2_70b_tp2_{part}.csv") for part in ("decode", "prefill")]
    assert main(["calibrate", *parts, "-o", str(tmp_path / "w.json"), "--slots", "128"]) == 0
    assert "what a decode costs is taken from iterations without prompt tokens" in capsys.readouterr().err
    worker = read_worker(tmp_path / "w.json")
    assert worker.decode_time.round_seconds(64, 64 * 1024) == pytest.approx(0.0840, rel=0.02)
    assert worker.engine.mixed.per_kv_token_s == worker.engine.decode.per_kv_token_s


BAD = {
    "empty": ("", "t.csv: empty file"),
    "no rows": (HEADER, "t.csv: line 2: no rows"),
    "columns": ("prefill_chunk,n_decode\n1,1\n", "line 1: missing columns kv_prefill, kv_decode, iteration_ms"),
    "splitwise": ("model,prompt_size,token_time_ms\nx,1,1\n", "line 1: missing columns"),
    "twice": (HEADER.replace("kv_decode", "n_decode") + "0,0,1,1,1\n", "column 'n_decode': stands 2 times"),
    "text": (HEADER + "0,0,1,16,1\n0,0,x,16,1\n", "line 3, column 'n_decode': expected an integer from 0"),
    "half": (HEADER + "0,0,1.5,16,1\n", "line 2, column 'n_decode': expected an integer from 0"),
    "negative": (HEADER + "-1,0,1,16,1\n", "line 2, column 'prefill_chunk': expected an integer from 0"),
    "infinite": (HEADER + "0,0,1,inf,1\n", "line 2, column 'kv_decode': expected an integer from 0"),
    "no time": (HEADER + "0,0,1,16,0\n", "line 2, column 'iteration_ms': expected milliseconds above 0"),
    "nan": (HEADER + "0,0,1,16,nan\n", "line 2, column 'iteration_ms': expected milliseconds above 0"),
    "nothing": (HEADER + "0,16,0,0,1\n", "line 2: expected prefill_chunk or n_decode of at least 1"),
    "short": (HEADER + "0,0,1\n", "line 2: expected 5 fields as in the header, got 3"),
    "no prompts": (HEADER + "0,0,1,16,1\n0,0,2,16,2\n0,0,2,32,3\n", "0 rows of iterations with prompt tokens"),
    "no decodes": (HEADER + "16,0,1,16,1\n", "0 rows of iterations without prompt tokens"),
}


@pytest.mark.parametrize("what", BAD)
def test_one_line_on_what_is_wrong(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content, expected = BAD[what]
    (tmp_path / "t.csv").write_text(content)
    assert main(["calibrate", "t.csv", "-o", "w.json"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and expected in error, error
    assert not (tmp_path / "w.json").exists()
