"""Seconds in the round-indexed model: loads, clocks and completion times; the mathematics is in `round_indexed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.linear import Terms
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, run_kv_peak

if TYPE_CHECKING:
    from llmsched_mip.models.round_rows import RoundRows


def state(rows: RoundRows, objective_bound: float | None) -> None:
    """State the objective, with all that it needs."""
    if rows.timed:
        _clock(rows)
    elif rows.completion:
        _unit_completion(rows)
    else:
        _loads(rows)
    if objective_bound is not None:
        cut = Terms().add_terms(rows.form.objective, np.zeros(1, dtype=np.int64))
        slack = 1e-9 * max(1.0, abs(objective_bound))
        rows.form.add_rows("objective_cut", ["bound"], cut, lower=objective_bound - rows.form.offset - slack)


def _base_seconds(rows: RoundRows, w: IntArray, rounds: IntArray) -> FloatArray:
    """a_w · rounds."""
    seconds = np.empty(len(w))
    for v, worker in enumerate(rows.instance.workers):
        own = w == v
        seconds[own] = worker.decode_time.run_seconds(rounds[own], 0, 0)
    return seconds


def _unit_completion(rows: RoundRows) -> None:
    k, w, t, _ = rows.starts
    rows.form.minimise(rows.x, rows.types.weight[k] * _base_seconds(rows, w, t + rows.types.d[k] - 1))
    rows.form.offset += rows.shift * float((rows.types.weight * rows.types.count).sum())
    if rows.options.precedence:
        _shortest_first(rows)


def _shortest_first(rows: RoundRows) -> None:
    """Where slots are the only limit: types in the order of length and weight start in that order.

    Proof.  One worker, one arrival time, rounds of one length.  Of the optimal plans take the one whose starts, in
    the order of the chain, are lexicographically least.  Let i be the first in the chain that starts after some
    later j: s_j < s_i, d_i ≤ d_j, ω_i ≥ ω_j.  Colour the plan by slots; W_j and W_i are the weights of what follows
    j and i in their slots.  Exchange i and j.  If W_j ≥ W_i, what follows stays in its slot: behind i it starts
    d_j - d_i earlier, behind j as much later.  Otherwise it goes along with i and j: by s_i - s_j earlier or later.
    In one slot all between start earlier and the last ends as before.  The sum changes by (ω_i - ω_j)(s_j - s_i) ≤ 0
    and by a term ≤ 0 of the followers.  Those before i in the chain start no later than j and i: they do not move,
    and i starts earlier, a contradiction.
    """
    worker, own = rows.instance.workers[0], rows.types
    if len(rows.horizon) > 1 or worker.kv_capacity is not None or rows.arrivals or worker.slots is None:
        return
    order = np.lexsort((-own.weight, own.d))
    chain = [
        (i, j)
        for i, j in zip(order[:-1].tolist(), order[1:].tolist(), strict=True)
        if own.d[i] <= own.d[j] and own.weight[i] >= own.weight[j]
    ]
    if len(chain) != len(order) - 1 or not chain:
        return
    k, _, t, _ = rows.starts
    terms, names, row = Terms(), [], 0
    horizon = int(rows.horizon[0])
    for i, j in chain:
        for member, sign in ((j, 1.0 / own.count[j]), (i, -1.0 / own.count[i])):
            columns = np.flatnonzero(k == member)
            span = horizon - t[columns] + 1
            source = np.repeat(columns, span)
            until = within(span) + t[source]
            terms.add(row + until - 1, rows.x[source], sign)
        names += [(own.labels[i], own.labels[j], f"t{s}") for s in range(1, horizon + 1)]
        row += horizon
    rows.form.add_rows("shorter_first", names, terms, upper=0)


def _loads(rows: RoundRows) -> None:
    """Makespan by the conserved-work identity, or of unit rounds."""
    makespan = rows.form.add_variables("makespan", ["seconds"], 0)
    rows.form.minimise(makespan, 1.0)
    rows.form.offset += rows.shift
    k, w, _, _ = rows.starts
    round_w, _ = rows.rounds()
    iteration_w, _, _ = rows.iterations()
    terms = Terms().add(np.arange(len(rows.horizon)), makespan[0], -1.0)
    terms.add(round_w, rows.used, _base_seconds(rows, round_w, np.ones(len(round_w), dtype=np.int64)))
    terms.add_terms(rows.iteration_s, iteration_w)
    work = np.stack([rows.types.decode_work_s(worker) for worker in rows.instance.workers])
    paid = np.flatnonzero(work[w, k])
    terms.add(w[paid], rows.x[paid], work[w, k][paid])
    rows.form.add_rows("worker_load", rows.worker_labels, terms, upper=0)


def _clock(rows: RoundRows) -> None:
    """Ends of rounds; the base a of every round counts apart for total completion, through `used` for makespan."""
    w, t = rows.rounds()
    iw, it, iq = rows.iterations()
    size = len(w)
    rows.extra = rows.form.add_variables("extra", rows._labels(None, w, t), 0, np.inf)
    terms = Terms().add(np.arange(size), rows.extra)
    _round_seconds(rows, terms)
    base = _base_seconds(rows, w, t) if rows.completion else np.zeros(size)
    # After shifting the arrivals: the earliest is 0.
    if rows.arrivals:
        begin = rows.form.add_variables("begin", rows._labels(None, iw, it, iq + 1), 0, np.inf)
        _begins(rows, begin, base)
        many = np.array([form.iterations for form in rows.prefill])[w]
        last = rows.iteration_row(w, t, many - 1)
        terms.add(np.arange(size), begin[last], -1.0)
        to_clock = np.full(len(iw), -1, dtype=np.int64)
        to_clock[last] = np.arange(size)
        _add_iterations(rows, terms, to_clock, -1.0)
        own_base = _base_seconds(rows, w, np.ones(size, dtype=np.int64)) if rows.completion else 0.0
        lower = own_base - base
    else:
        earlier = np.flatnonzero(t > 1)
        terms.add(earlier, rows.extra[earlier - 1], -1.0)
        _add_iterations(rows, terms, rows.round_row(iw, it), -1.0)
        lower = np.zeros(size)
    if not rows.completion:
        terms.add(np.arange(size), rows.used, -_base_seconds(rows, w, np.ones(size, dtype=np.int64)))
    rows.form.add_rows("clock", rows._labels(None, w, t), terms, lower=lower)
    if rows.completion:
        _completions(rows)
    else:
        _last_ends(rows)


def _round_seconds(rows: RoundRows, terms: Terms) -> None:
    """Subtract b |A| + c KV of every round."""
    row, start, made = rows.active()
    k, w, _, _ = rows.starts
    kv = run_kv_peak(made, 1, rows.types.p[k[start]])
    for v, worker in enumerate(rows.instance.workers):
        seconds = worker.decode_time.per_request.round_seconds(1, kv)
        own = np.flatnonzero((w[start] == v) & (seconds > 0))
        terms.add(row[own], rows.x[start[own]], -seconds[own])


def _add_iterations(rows: RoundRows, terms: Terms, row: IntArray, factor: float) -> None:
    """Add the seconds of the iterations with row[...] ≥ 0 to these rows."""
    for own, column, value in rows.iteration_s.parts:
        keep = row[own] >= 0
        terms.add(row[own[keep]], column[keep], factor * value[keep])


def _begins(rows: RoundRows, begin: IntArray, base: FloatArray) -> None:
    """`after`: what precedes an iteration has ended; `arrived`: so have its members."""
    iw, it, iq = rows.iterations()
    size = len(iw)
    terms, lower = Terms().add(np.arange(size), begin), np.zeros(size)
    first = np.flatnonzero((iq == 0) & (it > 1))
    before = rows.round_row(iw[first], it[first] - 1)
    terms.add(first, rows.extra[before], -1.0)
    lower[first] = base[before]
    later = np.flatnonzero(iq > 0)
    terms.add(later, begin[later - 1], -1.0)
    following = np.full(size, -1, dtype=np.int64)
    following[later - 1] = later
    _add_iterations(rows, terms, following, -1.0)
    rows.form.add_rows("after", rows._labels(None, iw, it, iq + 1), terms, lower=lower)
    k, w, t, q = rows.members
    late = np.flatnonzero(rows.types.arrival_s[k] > rows.shift)
    number = np.arange(len(late))
    arrived = Terms().add(number, begin[rows.iteration_row(w, t, q)[late]])
    arrived.add(number, rows.z[late], rows.shift - rows.types.arrival_s[k[late]])
    names = rows._labels(k[late], w[late], t[late], q[late] + 1)
    rows.form.add_rows("arrived", names, arrived, lower=0)


def _completions(rows: RoundRows) -> None:
    own, (k, w, t, _) = rows.types, rows.starts
    least, most = _own_seconds(rows)
    seconds = rows.form.add_variables("own", list(own.labels), least, np.inf)
    rows.form.minimise(seconds, own.weight)
    rows.form.minimise(rows.x, own.weight[k] * _base_seconds(rows, w, t + own.d[k] - 1))
    rows.form.offset += rows.shift * float(own.weight.sum())
    all_w, all_t = rows.rounds()
    if not rows.options.covers:
        last = rows.round_row(w, t + own.d[k] - 1)
        number, span = np.arange(len(k)), np.maximum(most[rows.round_row(w, t)] - least[k], 0.0)
        sparse = Terms().add(number, rows.x, -span).add(number, seconds[k]).add(number, rows.extra[last], -1.0)
        rows.form.add_rows("ends", rows._labels(k, w, t), sparse, lower=-span)
        return
    tails, ending = rows.tails(np.ones(len(all_w), dtype=bool))
    rk, rr = k[ending], rows.round_row(w, t + own.d[k] - 1)[ending]
    span = np.maximum(most[rr] - least[rk], 0.0)
    ends = Terms().add_terms(tails, np.arange(len(rk)))
    ends = _scaled(ends, -span)
    ends.add(np.arange(len(rk)), seconds[rk]).add(np.arange(len(rk)), rows.extra[rr], -1.0)
    rows.form.add_rows("ends", rows._labels(rk, all_w[rr], all_t[rr]), ends, lower=-span)


def _scaled(terms: Terms, factor: FloatArray) -> Terms:
    scaled = Terms()
    for row, column, value in terms.parts:
        scaled.add(row, column, value * factor[row])
    return scaled


def _own_seconds(rows: RoundRows) -> tuple[FloatArray, FloatArray]:
    """Least of own[i], shape (K,): its own prefill and terms; most of extra[w, t], shape (rounds,).

    `extra` counts waits and all work but the base of the rounds.  Up to the end of the last wait it is at most the
    last arrival.  After it, an iteration that takes longer than its members one by one would be split, and the
    requests that it holds complete earlier: no optimal plan has one.  Where the latest completion C of any plan that
    matters is known, round t of the first L, L the fewest rounds of any plan, ends by C: `extra` is at most
    C - a min(t, L) there, and in no round more than in the last one.
    """
    own = rows.types
    least = np.full(len(own), np.inf)
    most = np.empty(len(rows.horizon))
    for v, worker in enumerate(rows.instance.workers):
        fits = own.fits[:, v]
        seconds = np.where(fits, worker.prefill_time.seconds(own.p) + own.decode_work_s(worker), np.inf)
        least = np.minimum(least, seconds)
        most[v] = float(seconds[fits].sum()) + float(own.arrival_s.max() - rows.shift)
    all_w, all_t = rows.rounds()
    most = most[all_w]
    if rows.latest_s is not None:
        fewest = least_rounds(rows.instance) if len(rows.horizon) == 1 else 0
        end = float(rows.latest_s.max()) - rows.shift
        most = np.minimum(most, end - _base_seconds(rows, all_w, np.minimum(all_t, fewest)))
    return np.maximum(least, 0.0), most


def _last_ends(rows: RoundRows) -> None:
    makespan = rows.form.add_variables("makespan", ["seconds"], 0)
    rows.form.minimise(makespan, 1.0)
    rows.form.offset += rows.shift
    workers = np.flatnonzero(rows.horizon > 0)
    terms = Terms().add(np.arange(len(workers)), makespan[0])
    terms.add(np.arange(len(workers)), rows.extra[rows.round_row(workers, rows.horizon[workers])], -1.0)
    rows.form.add_rows("worker_load", [rows.worker_labels[w] for w in workers.tolist()], terms, lower=0)
