"""Ledgers of small studies for the tests of the report: the layout written by hand, the results from real replays."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from llmsched_mip import Instance, write_plan
from llmsched_mip.execution import replay
from llmsched_mip.methods import solve
from llmsched_mip.plan import relative_gap
from llmsched_mip.workload import generate

LAYOUT = """
CREATE TABLE study(name TEXT, digest TEXT, definition TEXT, command TEXT, created TEXT, layout INTEGER);
CREATE TABLE cases(key TEXT PRIMARY KEY, position INTEGER, instance TEXT, family TEXT, file TEXT, seed INTEGER,
    row TEXT, method TEXT, policy TEXT, lengths TEXT, objective TEXT, time_limit_s REAL, options TEXT);
CREATE TABLE results(key TEXT PRIMARY KEY, status TEXT, instance TEXT, instance_digest TEXT, value REAL, bound REAL,
    bound_name TEXT, gap REAL, bounds TEXT, seconds REAL, makespan REAL, total_completion REAL, mean_latency REAL,
    p99_latency REAL, utilization REAL, prefill_iterations INTEGER, decode_rounds INTEGER, evictions INTEGER,
    kv_peak INTEGER, trace TEXT, plan TEXT, versions TEXT, error TEXT, host TEXT, started TEXT, finished TEXT);
"""
RESULT = (
    "key", "status", "instance", "instance_digest", "value", "bound", "bound_name", "gap", "bounds", "seconds",
    "makespan", "total_completion", "mean_latency", "p99_latency", "utilization", "prefill_iterations",
    "decode_rounds", "evictions", "kv_peak", "trace", "plan", "versions", "error", "host", "started", "finished",
)  # fmt: skip
CASE = (
    "key", "position", "instance", "family", "file", "seed", "row", "method", "policy", "lengths", "objective",
    "time_limit_s", "options",
)  # fmt: skip
ROWS = (("fcfs", "fcfs", False), ("offline only", "plan", True), ("online only", "lagrangian", False), ("hybrid", "lagrangian", True))  # fmt: skip  # noqa: E501
VERSIONS = {"llmsched_mip": "0.1.0", "highspy": "1.2.3"}


class LedgerWriter:
    """A ledger that is filled result by result."""

    def __init__(self, folder: Path, name: str = "small study", command: str = "llmsched study small.toml --out out"):
        self.folder, self.position = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
            database.executescript(LAYOUT)
            study = (name, "sha256:0", 'name = "small"', command, "2026-01-02T03:04:05+00:00", 1)
            database.execute("INSERT INTO study VALUES (?, ?, ?, ?, ?, ?)", study)
            database.commit()

    def add(self, case: dict[str, Any], result: dict[str, Any] | None) -> str:
        """Add a case, and its result unless that is missing; returns its key."""
        key = hashlib.sha256(str(self.position).encode()).hexdigest()
        case = {"key": key, "position": self.position, "lengths": "known", "time_limit_s": 1.0, "options": "{}", **case}
        self.position += 1
        with closing(sqlite3.connect(self.folder / "ledger.sqlite")) as database:
            self._insert(database, "cases", CASE, case)
            if result is not None:
                self._insert(database, "results", RESULT, {"key": key, **result})
            database.commit()
        return key

    @staticmethod
    def _insert(database: sqlite3.Connection, table: str, columns: tuple[str, ...], values: dict[str, Any]) -> None:
        assert set(values) <= set(columns), set(values) - set(columns)
        marks = ", ".join("?" * len(columns))
        database.execute(f"INSERT INTO {table} VALUES ({marks})", [values.get(name) for name in columns])


def four_rows(folder: Path, seeds: int, requests: int = 40, slots: int = 6, plans: int = 1) -> Path:
    """A study of `seeds` small instances with the rows fcfs, offline only, online only and hybrid."""
    writer = LedgerWriter(folder)
    (folder / "plans").mkdir(exist_ok=True)
    for seed in range(seeds):
        instance = generate("gsm8k-65b", requests, seed, slots=slots)
        _case(writer, instance, seed, {"requests": requests, "slots": slots}, keep=seed < plans)
    return folder


def _case(writer: LedgerWriter, instance: Instance, seed: int, options: dict[str, Any], keep: bool) -> None:
    trace: list[list[float | None]] = []
    plan = solve(
        instance,
        method="lists",
        time_limit_s=0.5,
        log=lambda event: trace.append([event.seconds, event.incumbent, event.bound]),
    ).plan
    bounds, bound = plan.claims.bounds, plan.claims.bound
    assert bound is not None
    for label, policy, planned in ROWS:
        outcome = replay(instance, policy, plan=plan if planned else None)
        value = outcome.measures.makespan
        claimed = outcome.to_plan(instance, label).with_claims(value, bounds, outcome.seconds)
        name = f"{label.replace(' ', '-')}-{seed}.json" if keep else None
        if name:
            write_plan(claimed, instance, writer.folder / "plans" / name)
        measures = outcome.measures.as_dict()
        writer.add(
            {
                "instance": instance.name, "family": "gsm8k-65b", "seed": seed, "row": label, "policy": policy,
                "options": json.dumps(options),
            },
            {
                "status": claimed.claims.status, "value": value,
                "instance": instance.name, "instance_digest": instance.digest,
                "bound": claimed.claims.bound, "bound_name": max(bounds, key=lambda name: bounds[name]),
                "gap": relative_gap(value, bound), "bounds": json.dumps(bounds), "seconds": outcome.seconds,
                "evictions": 0, "trace": json.dumps(trace if label == "offline only" else []), "plan": name,
                "versions": json.dumps(VERSIONS), "host": "host", "started": "2026-01-02T03:04:05+00:00",
                "finished": "2026-01-02T03:04:06+00:00",
                **{k: measures[k] for k in RESULT if k in measures},
            },
        )  # fmt: skip
