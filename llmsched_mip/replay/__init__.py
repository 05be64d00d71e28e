"""Replay: execute a policy on an instance, event by event."""

from llmsched_mip.replay.executor import Executor, replay
from llmsched_mip.replay.outcome import Outcome
from llmsched_mip.replay.slot_timetable import SlotTimetable

__all__ = ["Executor", "Outcome", "SlotTimetable", "replay"]
