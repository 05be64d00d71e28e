"""A plan as values of the round-indexed model's integer columns, for a start solution."""

from __future__ import annotations

import numpy as np

from llmsched_mip.models.round_indexed.columns import Formulation
from llmsched_mip.models.round_indexed.sets import Sets
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import FloatArray, IntArray


def values_of(model: Formulation, starts: list[Start]) -> FloatArray | None:
    """Values of the integer columns, shape (columns,); None where the plan has no place in the model."""
    s, v, form = model
    type_of = np.empty(s.instance.n, dtype=np.int64)
    for number, members in enumerate(s.types.members):
        type_of[members] = number
    ordered = sorted(_canonical(s, starts))
    k = type_of[np.array([start.request for start in ordered])]
    w = np.array([start.worker for start in ordered])
    t = _with_waits(s, k, w, np.array([start.round for start in ordered]))
    merged = np.array([not prefill.switched and prefill.iterations == 1 for prefill in s.prefill])
    q = np.where(merged[w], 0, np.array([start.iteration for start in ordered]))
    place = _places(s, k, w, t)
    if np.any(q >= s.Q[w]) or place is None:
        return None
    values = np.zeros(form.columns)
    np.add.at(values, v.x[place], 1.0)
    if s.split:
        np.add.at(values, v.z[np.searchsorted(s.members.start, place) + q], 1.0)
    values[v.on] = _levels(s, k, w, t, q)
    if len(v.used):
        values[v.used] = _used(s, k, w, t)
    return values


def _canonical(s: Sets, starts: list[Start]) -> list[Start]:
    """Identical workers by falling number of requests, identical requests by start, as `symmetry` wants them."""
    if not s.options.symmetry:
        return starts
    if not (s.timed and s.types.identical()):
        starts = _workers_by_load(s, starts)
    if not s.timed:
        return starts
    groups: dict[tuple[float, ...], list[int]] = {}
    types = s.types
    for k, members in enumerate(types.members):
        key = (int(types.p[k]), int(types.d[k]), float(types.arrival_s[k]), float(types.weight[k]))
        groups.setdefault(key, []).append(members[0])
    by_request = {start.request: start for start in starts}
    renamed = []
    for members in groups.values():
        ordered = sorted((by_request[i] for i in members), key=lambda start: (start.worker, start.round))
        renamed += [start._replace(request=i) for start, i in zip(ordered, sorted(members), strict=True)]
    return renamed


def _workers_by_load(s: Sets, starts: list[Start]) -> list[Start]:
    count = np.bincount([start.worker for start in starts], minlength=len(s.horizon))
    to = np.arange(len(s.horizon))
    groups = np.zeros(len(to), dtype=np.int64)
    for w in range(1, len(to)):
        alike = s.instance.workers[w - 1].kind == s.instance.workers[w].kind
        groups[w] = groups[w - 1] + (not alike or s.horizon[w - 1] != s.horizon[w])
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        to[members[np.argsort(-count[members], kind="stable")]] = members
    return [start._replace(worker=int(to[start.worker])) for start in starts]


def _with_waits(s: Sets, k: IntArray, w: IntArray, t: IntArray) -> IntArray:
    """Rounds counted with the empty ones in which unit rounds wait for arrivals; input sorted by (w, t)."""
    if not (s.grid and s.arrivals):
        return t
    earliest = np.rint((s.types.arrival_s[k] - s.shift_s) / s.round_s[w]).astype(np.int64) + 1
    delayed = t.copy()
    for v in range(len(s.horizon)):
        here = np.flatnonzero(w == v)
        delayed[here] += np.maximum.accumulate(np.maximum(earliest[here] - t[here], 0))
    # Requests of one round start together: with the last of them.
    _, together = np.unique(np.stack([w, t]), axis=1, return_inverse=True)
    latest = np.zeros(len(t), dtype=np.int64)
    np.maximum.at(latest, together.ravel(), delayed)
    return latest[together.ravel()]


def _places(s: Sets, k: IntArray, w: IntArray, t: IntArray) -> IntArray | None:
    """Places of these starts in S, which is sorted; None where one is not there."""
    span = int(s.horizon.max()) + 2
    keys = (s.starts.k * len(s.horizon) + s.starts.w) * span + s.starts.t
    wanted = (k * len(s.horizon) + w) * span + np.minimum(t, span - 1)
    found = np.searchsorted(keys, wanted)
    if np.any(found >= len(keys)) or np.any(keys[np.minimum(found, len(keys) - 1)] != wanted):
        return None
    return found


def _levels(s: Sets, k: IntArray, w: IntArray, t: IntArray, q: IntArray) -> FloatArray:
    """Values of `on`: each iteration that runs at its first level with enough tokens."""
    tokens = np.zeros(len(s.iterations.w))
    np.add.at(tokens, s.iteration_row(w, t, q), s.types.p[k])
    held = tokens[s.switches.iteration]
    fits = np.flatnonzero((held > 0) & (held <= s.switches.tokens))
    _, first = np.unique(s.switches.iteration[fits], return_index=True)
    values = np.zeros(len(held))
    values[fits[first]] = 1.0
    return values


def _used(s: Sets, k: IntArray, w: IntArray, t: IntArray) -> FloatArray:
    """Values of `used`: the rounds up to the last of each worker, and those that every plan runs."""
    last = np.zeros(len(s.horizon), dtype=np.int64)
    np.maximum.at(last, w, t + s.types.d[k] - 1)
    return np.maximum(s.rounds.t <= last[s.rounds.w], s.surely)
