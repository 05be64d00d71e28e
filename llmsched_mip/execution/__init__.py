"""Replay: execute a policy on an instance, event by event."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.execution.executor import Executor
    from llmsched_mip.execution.mixed_executor import MixedExecutor
    from llmsched_mip.execution.mixed_replay import is_mixed
    from llmsched_mip.execution.outcome import Outcome
    from llmsched_mip.execution.run_policy import replay
    from llmsched_mip.execution.slot_timetable import SlotTimetable

    __all__ = [
        "Executor",
        "MixedExecutor",
        "Outcome",
        "SlotTimetable",
        "is_mixed",
        "replay",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "executor": ["Executor"],
            "mixed_executor": ["MixedExecutor"],
            "mixed_replay": ["is_mixed"],
            "outcome": ["Outcome"],
            "run_policy": ["replay"],
            "slot_timetable": ["SlotTimetable"],
        },
    )
