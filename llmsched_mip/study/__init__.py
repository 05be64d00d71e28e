"""Studies: many cases, one ledger (docs/studies.md)."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.study.cases import read_study
    from llmsched_mip.study.export import export_study
    from llmsched_mip.study.layout import LedgerError
    from llmsched_mip.study.reader import read_head, read_ledger
    from llmsched_mip.study.run import run_study
    from llmsched_mip.study.summary import summary

    __all__ = [
        "LedgerError",
        "export_study",
        "read_head",
        "read_ledger",
        "read_study",
        "run_study",
        "summary",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "cases": ["read_study"],
            "export": ["export_study"],
            "layout": ["LedgerError"],
            "reader": ["read_head", "read_ledger"],
            "run": ["run_study"],
            "summary": ["summary"],
        },
    )
