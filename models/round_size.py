"""Size of the round-indexed model before anything is built; the blocks stand in `round_rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.models import completion_rows
from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.prefill_form import PrefillForm
from llmsched_mip.models.request_types import RequestTypes
from llmsched_mip.timing import IntArray
from llmsched_mip.unit_rounds import times_are_rounds

if TYPE_CHECKING:
    from llmsched_mip.models.round_indexed import Options


def estimate(instance: Instance, objective: str, horizon: IntArray, options: Options) -> dict[str, int]:
    """Columns and nonzeros of the model, from its sets alone and slightly too many; nothing is built.

    Returns
    -------
    dict
        ``columns`` and ``nonzeros``.
    """
    completion = objective == "total_completion"
    arrival = instance.requests.arrival_s
    timed = not times_are_rounds(instance) and (completion or bool((arrival > arrival.min()).any()))
    own = RequestTypes.of(instance, options.types and not timed, completion)
    columns = nonzeros = 0
    for w, worker in enumerate(instance.workers):
        count = np.where(own.fits[:, w], own.count, 0)
        served = int(count.sum()) if worker.slots is None else min(worker.slots, int(count.sum()))
        form = PrefillForm.of(worker, own.p, count, own.arrival_s, served)
        # As floats: rounds times lengths may pass int64, and an estimate need not be exact.
        span = np.where(own.fits[:, w], np.maximum(int(horizon[w]) - own.d + 1, 0), 0).astype(np.float64)
        starts, rounds = int(span.sum()), int(horizon[w])
        repeat = 1 + form.iterations if form.iterations > 1 else 1
        iterations = rounds * form.iterations * (len(form.seconds) if form.switched else 0)
        columns += starts * repeat + iterations + rounds
        rows_of_round = (worker.slots is not None) + (worker.kv_capacity is not None) + (timed * 1)
        nonzeros += int((span * own.d).sum()) * rows_of_round + starts * (1 + 5 * repeat * form.switched)
        nonzeros += 4 * iterations + 2 * starts
        if options.completions and worker.kv_capacity is not None:
            nonzeros += completion_rows.nonzeros(own.p, own.d, worker.kv_capacity, span)
        if timed or not completion:
            kept = rounds
            if not timed and len(horizon) == 1:
                kept = max(0, rounds - least_rounds(instance))
            last = np.where(span > 0, np.minimum(kept, rounds), 0)
            nonzeros += int((span * last).sum()) if options.covers else 3 * starts
    return {"columns": columns, "nonzeros": nonzeros}
