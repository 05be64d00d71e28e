"""Constraints of the round-indexed model that know no times, one function each, by name and letters of `round_indexed`.

Each takes the sets `s` and the columns `v` of the variables; None stands for a block that the model does without.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.models.blocks import RowBlock, Terms, places
from llmsched_mip.models.round_indexed.columns import Columns
from llmsched_mip.models.round_indexed.sets import Active, Sets
from llmsched_mip.models.windows import completion_windows
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, request_kv_peak, run_kv_peak


def structure(s: Sets, v: Columns, active: Active) -> list[RowBlock | None]:
    """All of them but those against symmetry."""
    return [
        split(s, v),
        order(s, v),
        in_use(s, v),
        assign(s, v),
        slots(s, v, active),
        kv(s, v, active),
        *windows(s, v),
        runs(s, v),
        tokens(s, v),
        one(s, v),
        links(s, v),
        fewest_prefills(s, v),
    ]


def symmetry(s: Sets, v: Columns) -> list[RowBlock | None]:
    """Rows that keep one of several plans that differ in numbers only."""
    if not s.options.symmetry:
        return []
    pairs = s.types.identical() if s.timed else []
    return [alike(s, v, pairs) if pairs else workers_alike(s, v), in_turn(s, v)]


# -- requests ---------------------------------------------------------------------------------------------------------


def assign(s: Sets, v: Columns) -> RowBlock:
    """Σ_{w,t} x[k,w,t] = n_k."""
    return RowBlock.of("assign", s.types.labels, Terms().add(s.starts.k, v.x), s.types.count, s.types.count)


def split(s: Sets, v: Columns) -> RowBlock | None:
    """Σ_q z[k,w,t,q] = x[k,w,t]."""
    if not s.split:
        return None
    k, w, t = s.starts
    terms = Terms().add(s.members.start, v.z).add(np.arange(len(k)), v.x, -1.0)
    return RowBlock.of("split", s.names(w, t, k=k), terms, 0, 0)


# -- rounds -----------------------------------------------------------------------------------------------------------


def slots(s: Sets, v: Columns, active: Active) -> RowBlock:
    """Σ_{A(w,t)} x[k,w,τ] ≤ J_w used[w,t]."""
    J = _limits([worker.slots for worker in s.instance.workers], s.counts.sum(axis=1))
    return _within_limit(s, v, "slots", J, Terms().add(active.round, v.x[active.start]))


def kv(s: Sets, v: Columns, active: Active) -> RowBlock:
    """Σ_{A(w,t)} (p_k + t - τ + 1) x[k,w,τ] ≤ M_w used[w,t]."""
    peaks = s.counts * request_kv_peak(s.types.p, s.types.d)
    M = _limits([worker.kv_capacity for worker in s.instance.workers], peaks.sum(axis=1))
    held = run_kv_peak(active.made, 1, s.types.p[s.starts.k[active.start]])
    return _within_limit(s, v, "kv", M, Terms().add(active.round, v.x[active.start], held))


def _limits(limits: list[int | None], most: IntArray) -> FloatArray:
    """Shape (W,), infinite where all requests together stay below: as a coefficient it may be out of range."""
    limit = np.array([np.inf if limit is None else float(limit) for limit in limits])
    return np.where(limit >= most, np.inf, limit)


def _within_limit(s: Sets, v: Columns, name: str, limit: FloatArray, terms: Terms) -> RowBlock:
    """Rows of the rounds in which a start may end: until the next of these nobody leaves, and KV only grows."""
    w, t = s.rounds
    wanted = np.isfinite(limit[w])
    if s.options.covers:
        wanted &= np.bincount(s.last, minlength=len(w)) > 0
    chosen = np.flatnonzero(wanted)
    terms, upper = Terms().add_terms(terms, places(chosen, len(w))), limit[w[chosen]]
    if len(v.used) and s.options.covers:
        terms.add(np.arange(len(chosen)), v.used[chosen], -upper)
        upper = np.zeros(len(chosen))
    return RowBlock.of(name, s.names(w[chosen], t[chosen]), terms, upper=upper)


def order(s: Sets, v: Columns) -> RowBlock | None:
    """used[w,t] ≥ used[w,t+1]."""
    if not len(v.used):
        return None
    w, t = s.rounds
    first = np.flatnonzero((w[:-1] == w[1:]) & (s.surely[1:] == 0))
    row = np.arange(len(first))
    terms = Terms().add(row, v.used[first]).add(row, v.used[first + 1], -1.0)
    return RowBlock.of("order", s.names(w[first], t[first]), terms, lower=0)


def in_use(s: Sets, v: Columns) -> RowBlock | None:
    """Σ_{τ > t - d_k} x[k,w,τ] ≤ n_k used[w,t]; without `covers` x[k,w,t] ≤ n_k used[w,t+d_k-1]."""
    if not len(v.used):
        return None
    wanted = s.surely == 0
    if s.options.covers:
        terms, start = tails(s, v, wanted)
    else:
        start = np.flatnonzero(wanted[s.last])
        terms = Terms().add(np.arange(len(start)), v.x[start])
    k, last = s.starts.k[start], s.last[start]
    terms.add(np.arange(len(start)), v.used[last], -s.types.count[k].astype(float))
    t = s.rounds.t[last] if s.options.covers else s.starts.t[start]
    return RowBlock.of("in_use", s.names(s.starts.w[start], t, k=k), terms, upper=0)


def tails(s: Sets, v: Columns, wanted: np.ndarray) -> tuple[Terms, IntArray]:
    """Σ_{τ > t - d_k} x[k,w,τ] for the (k, w, t) of `wanted` rounds t in which a start of k ends.

    A round between two of these says no more than the later one.  Returned with the rows: the start behind each.
    """
    start = np.flatnonzero(wanted[s.last])
    group = s.starts.k * len(s.horizon) + s.starts.w
    later = np.searchsorted(group, group[start], side="right") - start
    row = np.repeat(np.arange(len(start)), later)
    return Terms().add(row, v.x[within(later) + start[row]]), start


def windows(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """Σ x[k,w,τ] over the starts whose window (`models.windows`) covers round t ≤ 1, for each worker.

    Of the families of windows only the one with m = 1 and the longest reach is stated: HiGHS was slower with all.
    The lemma there speaks of rounds in which a request decodes from its first to its last without a break; such are
    the rounds of a worker here too, whatever time passes between them.
    """
    for w, (worker, name) in enumerate(zip(s.instance.workers, s.workers, strict=True)):
        if worker.kv_capacity is None or not s.options.completions or s.part is not None:
            continue
        starts = np.flatnonzero(s.starts.w == w)
        k = s.starts.k[starts]
        end = s.starts.t[starts] + s.types.d[k] - 1
        for window in completion_windows(s.types.p, s.types.d, worker.kv_capacity, (1,))[-1:]:
            first = np.maximum(end - window.before[k], 0) + 1
            until = np.minimum(end + window.after[k], int(s.horizon[w]))
            span = np.maximum(until - first + 1, 0)
            start = np.repeat(np.arange(len(starts)), span)
            covered, row = np.unique(first[start] + within(span), return_inverse=True)
            names = [(name, f"t{t}") for t in covered.tolist()]
            yield RowBlock.of(f"windows_{name}", names, Terms().add(row, v.x[starts[start]]), upper=float(window.share))


# -- prefill iterations -----------------------------------------------------------------------------------------------


def runs(s: Sets, v: Columns) -> RowBlock:
    """Σ_k z[k,w,t,q] ≤ J_w Σ_l on[w,t,q,l]."""
    on = s.switches
    J = s.served[s.iterations.w[on.iteration]].astype(np.float64)
    return _of_iterations(s, "runs", s.switched, Terms().add(s.prefilled_in, v.z).add(on.iteration, v.on, -J), 0)


def tokens(s: Sets, v: Columns) -> RowBlock:
    """Σ_k p_k z[k,w,t,q] ≤ Σ_l c_l on[w,t,q,l]."""
    finite = np.isfinite(s.switches.tokens)
    iteration, c = s.switches.iteration[finite], s.switches.tokens[finite]
    terms = Terms().add(s.prefilled_in, v.z, s.types.p[s.members.k]).add(iteration, v.on[finite], -c)
    return _of_iterations(s, "tokens", np.unique(iteration), terms, 0)


def one(s: Sets, v: Columns) -> RowBlock:
    """Σ_l on[w,t,q,l] ≤ 1."""
    return _of_iterations(s, "one", s.switched[s.L > 1], Terms().add(s.switches.iteration, v.on), 1)


def _of_iterations(s: Sets, name: str, chosen: IntArray, terms: Terms, upper: float) -> RowBlock:
    terms = Terms().add_terms(terms, places(chosen, len(s.iterations.w)))
    return RowBlock.of(name, s.names(*(index[chosen] for index in s.iterations)), terms, upper=upper)


def links(s: Sets, v: Columns) -> RowBlock | None:
    """z[k,w,t,q] ≤ min(n_k, J_w) Σ_l on[w,t,q,l]."""
    if not s.options.prefill:
        return None
    number = places(s.switched, len(s.iterations.w))[s.prefilled_in]
    chosen = np.flatnonzero(number >= 0)
    number, (_, k, w, t, q) = number[chosen], (index[chosen] for index in s.members)
    most = np.minimum(s.types.count[k], s.served[w]).astype(float)
    row, first = np.repeat(np.arange(len(k)), s.L[number]), np.cumsum(s.L) - s.L
    on = v.on[first[number][row] + within(s.L[number])]
    terms = Terms().add(np.arange(len(k)), v.z[chosen]).add(row, on, -most[row])
    return RowBlock.of("links", s.names(w, t, q, k=k), terms, upper=0)


def fewest_prefills(s: Sets, v: Columns) -> RowBlock | None:
    """Σ_{t,q,l} on[w,t,q,l] is at least what slots and tokens ask for, one worker."""
    if not s.options.prefill or len(s.prefill) > 1 or not len(v.on):
        return None
    fewest = -(-s.instance.n // max(1, int(s.served[0])))
    largest = float(s.prefill[0].tokens[-1])
    if np.isfinite(largest):
        fewest = max(fewest, -int(-int(s.instance.requests.prefill_tokens.sum()) // largest))
    return RowBlock.of("fewest_prefills", ["w"], Terms().add(0, v.on), lower=fewest)


# -- symmetry ---------------------------------------------------------------------------------------------------------


def alike(s: Sets, v: Columns, pairs: list[tuple[int, int]]) -> RowBlock:
    """Of two identical requests the first starts on an earlier worker or no later."""
    place, terms = (s.round_row(s.starts.w, s.starts.t) + 1).astype(float), Terms()
    for row, pair in enumerate(pairs):
        for k, sign in zip(pair, (1.0, -1.0), strict=True):
            starts = np.flatnonzero(s.starts.k == k)
            terms.add(row, v.x[starts], sign * place[starts])
    return RowBlock.of("alike", [s.types.labels[k] for _, k in pairs], terms, upper=0)


def workers_alike(s: Sets, v: Columns) -> RowBlock:
    """Of two identical neighbours the first worker has no fewer requests."""
    kinds = [(worker.kind, most) for worker, most in zip(s.instance.workers, s.horizon.tolist(), strict=True)]
    second = [w for w in range(1, len(kinds)) if kinds[w - 1] == kinds[w]]
    terms = Terms()
    for row, w in enumerate(second):
        terms.add(row, v.x[s.starts.w == w]).add(row, v.x[s.starts.w == w - 1], -1.0)
    return RowBlock.of("workers_alike", [s.workers[w] for w in second], terms, upper=0)


def in_turn(s: Sets, v: Columns) -> RowBlock:
    """Σ_l on[w,t,q+1,l] ≤ Σ_l on[w,t,q,l]."""
    later = s.switched[s.iterations.q[s.switched] > 0]
    place, iteration = places(later, len(s.iterations.w) + 1), s.switches.iteration
    terms = Terms().add(iteration, v.on).add(iteration + 1, v.on, -1.0)
    return RowBlock.of(
        "in_turn", s.names(*(index[later] for index in s.iterations)), Terms().add_terms(terms, place), upper=0
    )
