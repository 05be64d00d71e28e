"""A plan as values of the stage-indexed model's integer columns, for a start solution."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import FloatArray

if TYPE_CHECKING:
    from llmsched_mip.models.stage_indexed import StageRows


class Opened(NamedTuple):
    """A stage: rounds run before it, its place among those that begin there, and who is prefilled in it."""

    before: int
    iteration: int
    requests: list[int]


def values_of(rows: StageRows, starts: list[Start]) -> FloatArray | None:
    """Values of the integer columns, shape (columns,); None where the model has too few stages for the plan."""
    values = np.zeros(rows.form.columns)
    for w in range(len(rows.stages)):
        opened = _opened(rows, [start for start in starts if start.worker == w])
        if len(opened) > rows.stages[w]:
            return None
        _fill(rows, values, w, opened)
    return values


def _opened(rows: StageRows, starts: list[Start]) -> list[Opened]:
    """The stages: a new one where a batch starts, and where a request completes while others go on."""
    d = rows.instance.requests.decode_tokens
    stages = [
        Opened(t - 1, q, [start.request for start in batch])
        for (t, q), batch in groupby(sorted(starts), key=lambda start: (start.round, start.iteration))
    ]
    ends = {start.round - 1 + int(d[start.request]) for start in starts}
    splits = ends - {stage.before for stage in stages} - {max(ends, default=0)}
    return sorted([*stages, *(Opened(before, 0, []) for before in splits)])


def _fill(rows: StageRows, values: FloatArray, w: int, opened: list[Opened]) -> None:
    i, worker, k = rows.places
    mine = np.flatnonzero(worker == w)
    request, stage = i[mine], k[mine]
    d = rows.instance.requests.decode_tokens
    place = {member: number for number, own in enumerate(opened) for member in own.requests}
    before = np.array([own.before for own in opened], dtype=np.int64)
    last = max((before[number] + int(d[member]) for member, number in place.items()), default=0)
    first_stage = np.full(rows.instance.n, rows.stages[w], dtype=np.int64)
    ends = np.zeros(rows.instance.n, dtype=np.int64)
    for member, number in place.items():
        first_stage[member], ends[member] = number, before[number] + d[member]
    began = np.append(before, np.full(rows.stages[w] - len(before), last))
    values[rows.y[mine]] = stage == first_stage[request]
    values[rows.active[mine]] = (stage >= first_stage[request]) & (began[stage] < ends[request])
    numbers = rows.stage_row(w, np.arange(len(before)))
    values[rows.rho[numbers]] = np.diff(np.append(before, last))
    values[rows.used[numbers]] = 1.0
    on = rows.on.get(w)
    if on is not None:
        tokens = np.array([int(rows.p[own.requests].sum()) for own in opened], dtype=np.int64)
        level = np.searchsorted(on.tokens, tokens)
        runs = np.flatnonzero(tokens > 0)
        values[on.columns[runs, level[runs]]] = 1.0
