"""The end of a study: a line for each row, with means over the cases."""

from __future__ import annotations

from pathlib import Path

import pandas

from llmsched_mip.study.layout import FAILED
from llmsched_mip.study.reader import read_ledger

ROW = ["row", "lengths", "objective", "time_limit_s"]
MEANS = ["value", "gap", "utilization", "seconds"]


def summary(folder: Path) -> pandas.DataFrame:
    """Results, failures, and means over the cases of every row, objective and time limit, in the ledger's order.

    Returns
    -------
    pandas.DataFrame
        Columns ``row``, ``lengths``, ``objective``, ``time_limit_s``; ``results`` and ``failed`` (counts); means of
        ``value`` (s), ``gap`` and ``utilization`` (shares) and ``seconds``, NaN where no case has one.

    Raises
    ------
    LedgerError, InvalidInputError
        As `read_ledger`.
    """
    ledger = read_ledger(folder, decode=False)
    numbers = {name: pandas.to_numeric(ledger[name], errors="coerce") for name in MEANS}
    rows = ledger.assign(failed=ledger["status"] == FAILED, **numbers).groupby(ROW, sort=False)
    counts = rows.agg(results=("status", "count"), failed=("failed", "sum"))
    return counts.join(rows[MEANS].mean()).reset_index()
