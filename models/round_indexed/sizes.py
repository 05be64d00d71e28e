"""Size of the round-indexed model before anything is built; the rows stand in `rows` and `times`."""

from __future__ import annotations

import numpy as np

from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.round_indexed.sets import Sets
from llmsched_mip.models.windows import completion_windows
from llmsched_mip.timing import FloatArray, IntArray


def estimate(s: Sets) -> dict[str, int]:
    """Columns and nonzeros of the model, from the sets K, W and Q alone and slightly too many; nothing is built.

    Returns
    -------
    dict
        ``columns`` and ``nonzeros``.
    """
    types, columns, nonzeros = s.types, 0, 0
    for w, (worker, form) in enumerate(zip(s.instance.workers, s.prefill, strict=True)):
        rounds = int(s.horizon[w])
        # As floats: rounds times lengths may pass int64, and an estimate need not be exact.
        span = np.where(types.fits[:, w], np.maximum(rounds - types.d + 1, 0), 0).astype(np.float64)
        starts = int(span.sum())
        repeat = 1 + form.iterations if form.iterations > 1 else 1
        iterations = rounds * form.iterations * (len(form.seconds) if form.switched else 0)
        columns += starts * repeat + iterations + rounds
        rows_of_round = (worker.slots is not None) + (worker.kv_capacity is not None) + (s.timed * 1)
        nonzeros += int((span * types.d).sum()) * rows_of_round + starts * (1 + 5 * repeat * form.switched)
        nonzeros += 4 * iterations + 2 * starts
        if s.options.completions and worker.kv_capacity is not None:
            nonzeros += _of_windows(types.p, types.d, worker.kv_capacity, span)
        if s.timed or not s.completion:
            kept = rounds
            if not s.timed and len(s.horizon) == 1:
                kept = max(0, rounds - least_rounds(s.instance))
            last = np.where(span > 0, np.minimum(kept, rounds), 0)
            nonzeros += int((span * last).sum()) if s.options.covers else 3 * starts
    return {"columns": columns, "nonzeros": nonzeros}


def _of_windows(p: IntArray, d: IntArray, capacity: int, span: FloatArray) -> int:
    """Nonzeros of `windows` with `span` starts of every type."""
    windows = completion_windows(p, d, capacity, (1,))[-1:]
    return sum(int((span * np.maximum(window.before + window.after, 0)).sum()) for window in windows)
