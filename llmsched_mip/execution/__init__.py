"""Replay: execute a policy on an instance, event by event."""

from llmsched_mip.execution.executor import Executor
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.execution.run_policy import replay
from llmsched_mip.execution.slot_timetable import SlotTimetable

__all__ = ["Executor", "Outcome", "SlotTimetable", "replay"]
