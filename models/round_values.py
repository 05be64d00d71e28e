"""A plan as values of the round-indexed model's integer columns, for a start solution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import FloatArray, IntArray

if TYPE_CHECKING:
    from llmsched_mip.models.round_rows import RoundRows


def values_of(rows: RoundRows, starts: list[Start]) -> FloatArray | None:
    """Values of the integer columns, shape (columns,); None where the plan has no place in the model."""
    type_of = np.empty(rows.instance.n, dtype=np.int64)
    for k, members in enumerate(rows.types.members):
        type_of[members] = k
    own = sorted(_canonical(rows, starts))
    k = type_of[np.array([start.request for start in own])]
    w = np.array([start.worker for start in own])
    t = _with_waits(rows, k, w, np.array([start.round for start in own]))
    free = np.array([not form.switched and form.iterations == 1 for form in rows.prefill])
    q = np.where(free[w], 0, np.array([start.iteration for start in own]))
    if np.any(q >= np.array([form.iterations for form in rows.prefill])[w]):
        return None
    values = np.zeros(rows.form.columns)
    columns = _columns(rows, k, w, t)
    if columns is None:
        return None
    np.add.at(values, rows.x[columns], 1.0)
    if rows.has_z:
        first = np.searchsorted(rows.member_start, columns)
        np.add.at(values, rows.z[first + q], 1.0)
    _iterations(rows, values, k, w, t, q)
    if rows.has_used:
        last = np.zeros(len(rows.horizon), dtype=np.int64)
        np.maximum.at(last, w, t + rows.types.d[k] - 1)
        round_w, round_t = rows.rounds()
        values[rows.used] = np.maximum(round_t <= last[round_w], rows.used_fixed)
    return values


def _canonical(rows: RoundRows, starts: list[Start]) -> list[Start]:
    """Identical workers by falling number of requests, identical requests by start, as `symmetry` wants them."""
    if not rows.options.symmetry:
        return starts
    own = starts
    if not (rows.timed and rows.types.identical()):
        own = _workers_by_load(rows, own)
    if not rows.timed:
        return own
    groups: dict[tuple[float, ...], list[int]] = {}
    r = rows.types
    for k, members in enumerate(r.members):
        key = (int(r.p[k]), int(r.d[k]), float(r.arrival_s[k]), float(r.weight[k]))
        groups.setdefault(key, []).append(members[0])
    by_request = {start.request: start for start in own}
    renamed = []
    for members in groups.values():
        ordered = sorted((by_request[i] for i in members), key=lambda start: (start.worker, start.round))
        renamed += [start._replace(request=i) for start, i in zip(ordered, sorted(members), strict=True)]
    return renamed


def _workers_by_load(rows: RoundRows, starts: list[Start]) -> list[Start]:
    count = np.bincount([start.worker for start in starts], minlength=len(rows.horizon))
    to = np.arange(len(rows.horizon))
    groups = np.zeros(len(to), dtype=np.int64)
    for v in range(1, len(to)):
        alike = rows.instance.workers[v - 1].kind == rows.instance.workers[v].kind
        groups[v] = groups[v - 1] + (not alike or rows.horizon[v - 1] != rows.horizon[v])
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        to[members[np.argsort(-count[members], kind="stable")]] = members
    return [start._replace(worker=int(to[start.worker])) for start in starts]


def _with_waits(rows: RoundRows, k: IntArray, w: IntArray, t: IntArray) -> IntArray:
    """Rounds counted with the empty ones in which unit rounds wait for arrivals; input sorted by (w, t)."""
    if not (rows.grid and rows.arrivals):
        return t
    bases = np.array([worker.decode_time.base_s for worker in rows.instance.workers])
    earliest = np.rint((rows.types.arrival_s[k] - rows.shift) / bases[w]).astype(np.int64) + 1
    delayed = t.copy()
    for v in range(len(rows.horizon)):
        own = np.flatnonzero(w == v)
        delayed[own] += np.maximum.accumulate(np.maximum(earliest[own] - t[own], 0))
    together: dict[tuple[int, int], int] = {}
    for j in range(len(t)):
        key = (int(w[j]), int(t[j]))
        together[key] = max(together.get(key, 0), int(delayed[j]))
    return np.array([together[int(w[j]), int(t[j])] for j in range(len(t))], dtype=np.int64)


def _columns(rows: RoundRows, k: IntArray, w: IntArray, t: IntArray) -> IntArray | None:
    """Columns of starts among `rows.starts`, which are sorted by (k, w, t)."""
    span = int(rows.horizon.max()) + 2
    keys = (rows.starts[0] * len(rows.horizon) + rows.starts[1]) * span + rows.starts[2]
    wanted = (k * len(rows.horizon) + w) * span + np.minimum(t, span - 1)
    found = np.searchsorted(keys, wanted)
    if np.any(found >= len(keys)) or np.any(keys[np.minimum(found, len(keys) - 1)] != wanted):
        return None
    return found


def _iterations(rows: RoundRows, values: FloatArray, k: IntArray, w: IntArray, t: IntArray, q: IntArray) -> None:
    """Each iteration that runs at its first level with enough tokens."""
    tokens = np.zeros(int(rows.iteration_first[-1]))
    np.add.at(tokens, rows.iteration_row(w, t, q), rows.types.p[k])
    held = tokens[rows.on_of]
    fits = (held > 0) & (held <= rows.on_tokens)
    first = np.concatenate(([True], rows.on_of[1:] != rows.on_of[:-1])) if len(rows.on_of) else fits
    group = np.cumsum(first) - 1
    seen = np.cumsum(fits)
    before: IntArray = seen - fits
    start: IntArray = before[np.flatnonzero(first)][group] if len(group) else before
    values[rows.on] = (fits & (before == start)).astype(np.float64)
