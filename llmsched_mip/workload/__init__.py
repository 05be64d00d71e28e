"""Workloads: families that generate instances, importers of trace files, named deployments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.workload.arrivals import with_arrivals
    from llmsched_mip.workload.csv_traces import import_csv
    from llmsched_mip.workload.deployments import deployment
    from llmsched_mip.workload.family import Family
    from llmsched_mip.workload.generation import Setting, generate
    from llmsched_mip.workload.importer import Columns, Importer
    from llmsched_mip.workload.predictions import (
        PREDICTIONS,
        with_biased_intervals,
        with_intervals,
        with_lognormal_predictions,
        with_predictions,
        with_wrong_intervals,
    )

    __all__ = [
        "DEPLOYMENTS",
        "FAMILIES",
        "IMPORTERS",
        "PREDICTIONS",
        "Columns",
        "Setting",
        "deployment",
        "generate",
        "import_csv",
        "with_arrivals",
        "with_biased_intervals",
        "with_intervals",
        "with_lognormal_predictions",
        "with_predictions",
        "with_wrong_intervals",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "arrivals": ["with_arrivals"],
            "deployments": ["deployment"],
            "generation": ["Setting", "generate"],
            "importer": ["Columns"],
            "csv_traces": ["import_csv"],
            "predictions": [
                "PREDICTIONS",
                "with_biased_intervals",
                "with_intervals",
                "with_lognormal_predictions",
                "with_predictions",
                "with_wrong_intervals",
            ],
        },
    )

FAMILIES: Registry[Family] = Registry(
    __name__,
    {
        "gsm8k-65b": "gsm8k:GSM8K_65B",
        "gsm8k-opt66b-a100": "gsm8k:GSM8K_OPT66B_A100",
        "gsm8k-small": "gsm8k:GSM8K_SMALL",
        "azure-conv": "published:AZURE_CONV",
        "azure-code": "published:AZURE_CODE",
        "arxiv-summarization": "published:ARXIV_SUMMARIZATION",
        "lmsys-chat": "published:LMSYS_CHAT",
        "kv-uniform": "kv_uniform:KV_UNIFORM",
        "mixture": "mixture:MIXTURE",
    },
)

IMPORTERS: Registry[Importer] = Registry(__name__, {"csv": "csv_traces:import_csv"})

DEPLOYMENTS: tuple[str, ...] = tuple(
    sorted(path.stem for path in (Path(__file__).resolve().parent.parent / "deployments").glob("*.json"))
)
