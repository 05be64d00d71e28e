"""Layout 1 of a study's ledger: its files, tables and columns."""

from __future__ import annotations

import sqlite3

from llmsched_mip.errors import SchedulingError

LAYOUT = 1
FILE, LOCK, PLANS = "ledger.sqlite", "ledger.lock", "plans"
BUSY_SECONDS = 10.0
FAILED, NO_PLAN = "failed", "no plan"
"""Statuses of rows without a plan, beside those of plans."""

STUDY_COLUMNS = {
    "name": "TEXT",
    "digest": "TEXT",
    "definition": "TEXT",
    "command": "TEXT",
    "created": "TEXT",
    "layout": "INTEGER",
}
CASE_COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "position": "INTEGER",
    "instance": "TEXT",
    "family": "TEXT",
    "file": "TEXT",
    "seed": "INTEGER",
    "row": "TEXT",
    "method": "TEXT",
    "policy": "TEXT",
    "lengths": "TEXT",
    "objective": "TEXT",
    "time_limit_s": "REAL",
    "options": "TEXT",
}
RESULT_COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "status": "TEXT",
    "instance": "TEXT",
    "instance_digest": "TEXT",
    "value": "REAL",
    "bound": "REAL",
    "bound_name": "TEXT",
    "gap": "REAL",
    "bounds": "TEXT",
    "seconds": "REAL",
    "makespan": "REAL",
    "total_completion": "REAL",
    "mean_latency": "REAL",
    "p99_latency": "REAL",
    "utilization": "REAL",
    "prefill_iterations": "INTEGER",
    "decode_rounds": "INTEGER",
    "evictions": "INTEGER",
    "kv_peak": "INTEGER",
    "trace": "TEXT",
    "plan": "TEXT",
    "versions": "TEXT",
    "error": "TEXT",
    "host": "TEXT",
    "started": "TEXT",
    "finished": "TEXT",
}
TABLES = {"study": STUDY_COLUMNS, "cases": CASE_COLUMNS, "results": RESULT_COLUMNS}
JSON_COLUMNS = {"bounds": dict, "trace": list, "versions": dict, "options": dict}
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""A damaged file may hold names that are not UTF-8, which then are in the message."""


class LedgerError(SchedulingError):
    """A ledger that is locked, damaged, of another study, or on a full disk; one line."""
