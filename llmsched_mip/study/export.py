"""A ledger as Parquet and CSV."""

from __future__ import annotations

import io
from pathlib import Path

from llmsched_mip.io.storage import write_bytes
from llmsched_mip.study.layout import CASE_COLUMNS, RESULT_COLUMNS
from llmsched_mip.study.reader import read_head, read_ledger

KINDS = {"TEXT": "string", "INTEGER": "Int64", "REAL": "float64"}


def export_study(folder: Path) -> list[Path]:
    """Write ``results.parquet`` and ``results.csv`` into a study's folder, each whole or not at all.

    The columns are those of `read_ledger`; JSON columns stay text.

    Raises
    ------
    LedgerError, InvalidInputError, UnreadableFileError
        The ledger can't be read, or a file can't be written.
    """
    read_head(folder)
    frame = read_ledger(folder, decode=False)
    columns = {**RESULT_COLUMNS, **CASE_COLUMNS}
    frame = frame.astype({name: KINDS[columns[name].split()[0]] for name in frame.columns})
    parquet = io.BytesIO()
    frame.to_parquet(parquet, index=False)
    paths = [folder / "results.parquet", folder / "results.csv"]
    write_bytes(paths[0], parquet.getvalue())
    write_bytes(paths[1], frame.to_csv(index=False).encode())
    return paths
