"""Replay: execute a policy on an instance, event by event."""

from llmsched_mip.replay.executor import Executor, replay
from llmsched_mip.replay.outcome import Outcome

__all__ = ["Executor", "Outcome", "replay"]
