"""Workloads: families that generate instances, importers of trace files, named deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from llmsched_mip.names import DEPLOYMENTS
from llmsched_mip.workload.registry import FAMILIES, IMPORTERS

if TYPE_CHECKING:
    from llmsched_mip.workload.arrivals import with_arrivals
    from llmsched_mip.workload.csv_traces import import_csv
    from llmsched_mip.workload.deployments import deployment
    from llmsched_mip.workload.generation import Setting, generate
    from llmsched_mip.workload.importer import Columns
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
    __all__ += ["DEPLOYMENTS", "FAMILIES", "IMPORTERS"]
