"""Workloads: families that generate instances, importers of trace files, named deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from llmsched_mip.names import DEPLOYMENTS
from llmsched_mip.workload.registry import FAMILIES, IMPORTERS

if TYPE_CHECKING:
    from llmsched_mip.workload.arrivals import with_arrivals
    from llmsched_mip.workload.deployments import deployment, deployment_file
    from llmsched_mip.workload.fleet import Fleet, unfit_note
    from llmsched_mip.workload.generation import Setting, generate
    from llmsched_mip.workload.importer import Columns, Reading
    from llmsched_mip.workload.new_worker import NewWorker, new_worker
    from llmsched_mip.workload.predictions import (
        PREDICTIONS,
        with_biased_intervals,
        with_intervals,
        with_lognormal_predictions,
        with_predictions,
        with_wrong_intervals,
    )
    from llmsched_mip.workload.traces import Imported, import_csv, import_trace

    __all__ = [
        "DEPLOYMENTS",
        "FAMILIES",
        "IMPORTERS",
        "PREDICTIONS",
        "Columns",
        "Fleet",
        "Imported",
        "NewWorker",
        "Reading",
        "Setting",
        "deployment",
        "deployment_file",
        "generate",
        "import_csv",
        "import_trace",
        "new_worker",
        "unfit_note",
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
            "deployments": ["deployment", "deployment_file"],
            "generation": ["Setting", "generate"],
            "fleet": ["Fleet", "unfit_note"],
            "new_worker": ["NewWorker", "new_worker"],
            "importer": ["Columns", "Reading"],
            "traces": ["Imported", "import_csv", "import_trace"],
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
