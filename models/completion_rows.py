"""Valid inequalities from `completion_windows`, in the letters of `round_indexed`.

    windows[w,t]   Σ x[k,w,τ] over the starts whose window covers round t ≤ 1

Of the families of windows there only the one with m = 1 and the longest reach is stated: HiGHS was slower with all.

The lemma speaks of rounds in which a request decodes from its first to its last without a break; such are the rounds of
a worker here too, whatever time passes between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.models.completion_windows import Windows, completion_windows
from llmsched_mip.models.linear import Terms
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray

if TYPE_CHECKING:
    from llmsched_mip.models.round_rows import RoundRows


def state(rows: RoundRows) -> None:
    """State the rows of every worker with a KV capacity."""
    own, (k, w, t, _) = rows.types, rows.starts
    for v, worker in enumerate(rows.instance.workers):
        if worker.kv_capacity is None:
            continue
        mine = np.flatnonzero(w == v)
        last, rounds = t[mine] + own.d[k[mine]] - 1, int(rows.horizon[v])
        for window in _windows(own.p, own.d, worker.kv_capacity):
            first = np.maximum(last - window.before[k[mine]], 0) + 1
            until = np.minimum(last + window.after[k[mine]], rounds)
            span = np.maximum(until - first + 1, 0)
            start = np.repeat(np.arange(len(mine)), span)
            inside = within(span)
            covered, place = np.unique(first[start] + inside, return_inverse=True)
            name = rows.worker_labels[v]
            labels = [(name, f"t{round_}") for round_ in covered.tolist()]
            terms = Terms().add(place, rows.x[mine[start]])
            rows.form.add_rows(f"windows_{name}", labels, terms, upper=float(window.share))


def _windows(p: IntArray, d: IntArray, capacity: int) -> list[Windows]:
    return completion_windows(p, d, capacity, (1,))[-1:]


def nonzeros(p: IntArray, d: IntArray, capacity: int, span: FloatArray) -> int:
    """Nonzeros of these rows with `span` starts of every type, slightly too many."""
    return sum(int((span * np.maximum(window.before + window.after, 0)).sum()) for window in _windows(p, d, capacity))
