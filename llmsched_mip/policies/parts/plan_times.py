"""What a policy takes from an offline plan: the order of its starts, and the rounds at which they are due."""

from __future__ import annotations

from bisect import bisect_right
from itertools import takewhile

import numpy as np

from llmsched_mip.plan import Plan
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.protocol import WorkerView
from llmsched_mip.timing import IntArray


def start_rounds(plan: Plan) -> tuple[IntArray, IntArray]:
    """Requests as the plan writes them, and the decode round at which the stage of each starts: two of shape (m,)."""
    none: IntArray = np.zeros(0, dtype=np.int64)
    requests, begins = [none], [none]
    for worker_plan in plan.workers:
        before: IntArray = np.cumsum(worker_plan.rounds) - worker_plan.rounds
        requests.append(worker_plan.requests)
        begins.append(np.repeat(before, np.diff(worker_plan.offsets)))
    flat, begin = np.concatenate(requests), np.concatenate(begins)
    return flat[flat >= 0], begin[flat >= 0]


def start_order(plan: Plan, n: int) -> list[int]:
    """Place of each of the `n` requests: by the decode round at which its stage starts, then as written; `n` for one
    that the plan does not name."""
    requests, begin = start_rounds(plan)
    place = np.full(n, n, dtype=np.int64)
    place[requests[np.argsort(begin, kind="stable")]] = np.arange(len(requests))
    order: list[int] = place.tolist()
    return order


class PlanTimes:
    """Prefills of a plan, due at its rounds: for one worker and known lengths.

    Parameters
    ----------
    plan : Plan
    backlog : Backlog
        In the order of the plan.
    """

    def __init__(self, plan: Plan, backlog: Backlog):
        self.backlog = backlog
        due: IntArray = np.zeros(len(backlog.prompts), dtype=np.int64)
        requests, begin = start_rounds(plan)
        due[requests] = begin
        self.due: list[int] = due.tolist()
        self.starts = sorted(self.due)
        self.ends = sorted(r + backlog.estimator.length(i) for i, r in enumerate(self.due))

    def choose(self, view: WorkerView, multiplier: float, fixed_s: float) -> tuple[list[int], int]:
        """What to prefill now, and the rounds until the next prefill of the plan is due; something has to wait.

        That is what the plan has due; before that only where idle time that the plan did not foresee, until the next
        prefill is due and at `multiplier` seconds per slot-second, is worth more than a stall of `fixed_s`.
        """
        backlog, due, rounds = self.backlog, self.due, view.rounds
        next_due = due[backlog.queue.first]
        # Where nothing is active the next prefill of the plan runs at once, whenever it is due.
        now = rounds if view.started else max(rounds, next_due)
        ahead = next_due - now
        idle = min(view.free_slots - self._planned_idle(view), len(backlog.queue))
        round_s = float(view.worker.decode_time.round_seconds(view.active, view.kv_held))
        early = multiplier * max(0, idle) * ahead * round_s > fixed_s
        if not view.free_slots or (ahead > 0 and not early):
            return [], ahead
        waiting = backlog.candidates(view)
        ready = waiting if early else takewhile(lambda i: due[i] <= now, waiting)
        return backlog.admission[view.index].batch(view, ready, backlog.skip), ahead

    def _planned_idle(self, view: WorkerView) -> int:
        """Slots that the plan leaves idle at this round."""
        if view.slots is None:
            return 0
        return view.slots - bisect_right(self.starts, view.rounds) + bisect_right(self.ends, view.rounds)
