"""List scheduling: prefill as soon as a slot is free, in the order of a queue."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.parts.ranking import Ranking, Renewal
from llmsched_mip.policies.protocol import Decision, Decode, WorkerView, decode_or_wait


class ListScheduling(BacklogPolicy):
    """Prefill as soon as a slot is free; stop at the first request of the queue that does not fit.

    Parameters
    ----------
    backlog : Backlog
    ranking : Ranking, optional
        Orders all waiting requests together before a choice.
    overtaking : bool
        Whether a request that arrives may stand in front of those that wait.
    least : int
        Requests that have to fit before there is a prefill, unless nothing is active or no more are waiting.  Where
        slots bind that is a threshold of idle slots, where KV binds, of room for so many requests.
    """

    def __init__(
        self, backlog: Backlog, ranking: Ranking | Renewal | None = None, overtaking: bool = True, least: int = 1
    ):
        self.backlog, self.ranking, self.overtaking, self.least = backlog, ranking, overtaking, least

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The queue, ordered anew where that is due."""
        if self.ranking is not None:
            self.ranking.refresh(self.backlog.queue)
        return self.backlog.queue

    def decide(self, view: WorkerView) -> Decision:
        """Prefill what fits, else decode until the next completion or until the first of the queue fits."""
        backlog = self.backlog
        if self.ranking is not None and view.free_slots:
            self.ranking.refresh(backlog.queue)
        batch = backlog.choose(view, self.least)
        if batch:
            return backlog.take(batch)
        # Behind one that does not fit no arrival may start, but on another worker.
        wake = view.free_slots > 0 and (self.overtaking or not backlog.queue or len(backlog.admission) > 1)
        rounds = backlog.until_the_first_fits(view)
        return decode_or_wait(view, wake) if rounds is None else Decode(rounds, wake)


def least_batch(option: str | None) -> int:
    """The requests to wait for that an option says, 1 without one; raises `InvalidInputError`."""
    if option is None:
        return 1
    if not option.isascii() or not option.isdigit() or not 1 <= int(option[:10]) < 10**9:
        raise InvalidInputError("policy", f"expected a number of requests to wait for, at least 1, got {option!r}")
    return int(option)
