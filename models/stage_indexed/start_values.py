"""A plan as values of the stage-indexed model's integer columns, for a start solution."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np

from llmsched_mip.models.stage_indexed.sets import Columns, Formulation, Sets
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import FloatArray, IntArray


class Opened(NamedTuple):
    """A stage: rounds run before it, its place among those that begin there, and who is prefilled in it."""

    before: int
    iteration: int
    requests: list[int]


def values_of(model: Formulation, starts: list[Start]) -> FloatArray | None:
    """Values of the integer columns, shape (columns,); None where the model has too few stages for the plan."""
    s, v, form = model
    values = np.zeros(form.columns)
    for w, most in enumerate(s.K.tolist()):
        opened = _opened(s.d, [start for start in starts if start.worker == w])
        if len(opened) > most:
            return None
        _fill(s, v, values, w, opened)
    return values


def _opened(d: IntArray, starts: list[Start]) -> list[Opened]:
    """The stages: a new one where a batch starts, and where a request completes while others go on."""
    stages = [
        Opened(t - 1, q, [start.request for start in batch])
        for (t, q), batch in groupby(sorted(starts), key=lambda start: (start.round, start.iteration))
    ]
    ends = {start.round - 1 + int(d[start.request]) for start in starts}
    splits = ends - {stage.before for stage in stages} - {max(ends, default=0)}
    return sorted([*stages, *(Opened(before, 0, []) for before in splits)])


def _fill(s: Sets, v: Columns, values: FloatArray, w: int, opened: list[Opened]) -> None:
    here = s.on_worker(w)
    request, stage = s.places.i[here], s.places.k[here]
    place = {member: number for number, at in enumerate(opened) for member in at.requests}
    before = np.array([at.before for at in opened], dtype=np.int64)
    last = max((before[number] + int(s.d[member]) for member, number in place.items()), default=0)
    first_stage = np.full(s.instance.n, s.K[w], dtype=np.int64)
    ends = np.zeros(s.instance.n, dtype=np.int64)
    for member, number in place.items():
        first_stage[member], ends[member] = number, before[number] + s.d[member]
    began = np.append(before, np.full(s.K[w] - len(before), last))
    values[v.y[here]] = stage == first_stage[request]
    values[v.decodes[here]] = (stage >= first_stage[request]) & (began[stage] < ends[request])
    numbers = s.stage_row(w, np.arange(len(before)))
    values[v.rho[numbers]] = np.diff(np.append(before, last))
    values[v.used[numbers]] = 1.0
    if w in v.on:
        tokens = np.array([int(s.p[at.requests].sum()) for at in opened], dtype=np.int64)
        level = np.searchsorted(s.prefill[w].tokens, tokens)
        runs = np.flatnonzero(tokens > 0)
        values[v.on[w][runs, level[runs]]] = 1.0
