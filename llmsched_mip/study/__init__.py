"""Studies: many cases, one ledger (docs/studies.md).  What runs them is imported by the command that does."""

from llmsched_mip.study.layout import LedgerError
from llmsched_mip.study.reader import read_head, read_ledger

__all__ = ["LedgerError", "read_head", "read_ledger"]
