"""From a plan to those who run it, and from measured engines to workers: handover, sizing, cost, calibration."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.mixed_engine import Collective
    from llmsched_mip.operations.calibration import REGIMES, EngineLimits, calibrate
    from llmsched_mip.operations.fit_quality import REGIONS
    from llmsched_mip.operations.timing_tables import read_timings

    __all__ = ["REGIMES", "REGIONS", "Collective", "EngineLimits", "calibrate", "read_timings"]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "calibration": ["REGIMES", "Collective", "EngineLimits", "calibrate"],
            "fit_quality": ["REGIONS"],
            "timing_tables": ["read_timings"],
        },
    )
