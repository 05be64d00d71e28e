"""From the rounds in which requests start on one worker to the worker's stages, for any number of requests."""

from __future__ import annotations

import numpy as np
from numba import njit

from llmsched_mip.plan import WorkerPlan
from llmsched_mip.timing import IntArray
from llmsched_mip.worker import Worker


def worker_plan(worker: Worker, requests: IntArray, starts: IntArray, decode_tokens: IntArray) -> WorkerPlan:
    """The stages in which requests start after so many rounds; all that start together share a prefill iteration.

    Parameters
    ----------
    worker : Worker
    requests : int array, shape (m,)
        Their indices in the instance.
    starts, decode_tokens : int arrays, shape (m,)
        Rounds that the worker has run when each starts, and rounds that each runs for; no round may be idle.
    """
    order = np.argsort(starts, kind="stable")
    begins, first = np.unique(starts[order], return_index=True)
    last = int((starts + decode_tokens).max())
    slots = None
    if worker.slots is not None:
        ends = starts[order] + decode_tokens[order]
        slots = np.empty(len(order), dtype=np.int64)
        _color(starts[order], ends, np.argsort(ends, kind="stable"), slots)
    return WorkerPlan(
        worker.name,
        requests[order],
        np.append(first, len(order)).astype(np.int64),
        np.diff(np.append(begins, last)),
        slots,
    )


@njit(cache=True)
def _color(starts, ends, by_end, slots):  # type: ignore[no-untyped-def]
    """Give intervals, by rising start, the slot that was free last, or a new one."""
    free = np.empty(len(starts), np.int64)
    count, used, ended = 0, 0, 0
    for i in range(len(starts)):
        while ends[by_end[ended]] <= starts[i]:
            free[count] = slots[by_end[ended]]
            count += 1
            ended += 1
        if count > 0:
            count -= 1
            slots[i] = free[count]
        else:
            slots[i] = used
            used += 1
