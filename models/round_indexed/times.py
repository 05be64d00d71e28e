"""Objective and constraints of the round-indexed model that know times, by name and letters of `round_indexed`."""

from __future__ import annotations

import numpy as np

from llmsched_mip.models.blocks import RowBlock, Terms, places
from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.round_indexed.columns import Columns
from llmsched_mip.models.round_indexed.rows import tails
from llmsched_mip.models.round_indexed.sets import Active, Sets
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, run_kv_peak


def objective(s: Sets, v: Columns) -> tuple[Terms, float]:
    """The makespan, or Σ ω_i C_i = Σ ω_k a_w (t + d_k - 1) x[k,w,t] + Σ ω_i extra_of[i]; and the constant."""
    if not s.completion:
        return Terms().add(0, v.makespan), s.shift_s
    (k, w, t), weight = s.starts, s.types.weight
    terms = Terms().add(0, v.x, weight[k] * (s.round_s[w] * (t + s.types.d[k] - 1)))
    if s.timed:
        terms.add(0, v.extra_of, weight)
    return terms, s.shift_s * float((weight * s.types.count).sum())


def time_rows(s: Sets, v: Columns, active: Active) -> list[RowBlock | None]:
    """The rows that go with the objective."""
    if not s.timed:
        return [shorter_first(s, v) if s.completion else worker_load(s, v)]
    waits = [after(s, v), arrived(s, v)] if s.arrivals else []
    return [*waits, clock(s, v, active), ends(s, v) if s.completion else last_ends(s, v)]


def iteration_seconds(s: Sets, v: Columns) -> Terms:
    """Seconds of each prefill iteration: Σ_l s_l on[w,t,q,l] + Σ_k per_token p_k z[k,w,t,q]."""
    prompt_s = np.array([form.prompt_s for form in s.prefill])[s.members.w, s.members.k]
    paid = np.flatnonzero(prompt_s)
    terms = Terms().add(s.prefilled_in[paid], v.z[paid], prompt_s[paid])
    return terms.add(s.switches.iteration, v.on, s.switches.seconds)


def worker_load(s: Sets, v: Columns) -> RowBlock:
    """a Σ_t used[w,t] + Σ [seconds of iterations] + Σ_{k,t} (b d_k + c vol_k) x[k,w,t] ≤ makespan."""
    (k, w, _), round_w = s.starts, s.rounds.w
    terms = Terms().add(np.arange(len(s.horizon)), v.makespan[0], -1.0).add(round_w, v.used, s.round_s[round_w])
    terms.add_terms(iteration_seconds(s, v), s.iterations.w)
    seconds = s.decode_s[w, k]
    paid = np.flatnonzero(seconds)
    return RowBlock.of("worker_load", s.workers, terms.add(w[paid], v.x[paid], seconds[paid]), upper=0)


def last_ends(s: Sets, v: Columns) -> RowBlock:
    """`worker_load` where times matter: extra[w,T_w] ≤ makespan."""
    workers = np.flatnonzero(s.horizon > 0)
    row = np.arange(len(workers))
    terms = Terms().add(row, v.makespan[0]).add(row, v.extra[s.round_row(workers, s.horizon[workers])], -1.0)
    return RowBlock.of("worker_load", [s.workers[w] for w in workers.tolist()], terms, lower=0)


def clock(s: Sets, v: Columns, active: Active) -> RowBlock:
    """a t + extra[w,t] ≥ [end of the last iteration before t] + a + b |A(w,t)| + c KV(w,t); for the makespan a used."""
    w, t = s.rounds
    every, a = np.arange(len(w)), s.round_s[w]
    terms = Terms().add(every, v.extra)
    held = run_kv_peak(active.made, 1, s.types.p[s.starts.k[active.start]])
    for number, worker in enumerate(s.instance.workers):
        seconds = worker.decode_time.per_request.round_seconds(1, held)
        paid = np.flatnonzero((s.starts.w[active.start] == number) & (seconds > 0))
        terms.add(active.round[paid], v.x[active.start[paid]], -seconds[paid])
    lower = np.zeros(len(w))
    if s.arrivals:
        last = s.iteration_row(w, t, s.Q[w] - 1)
        terms.add(every, v.begin[last], -1.0)
        terms.add_terms(iteration_seconds(s, v), places(last, len(v.begin)), -1.0)
        lower = a - a * t if s.completion else lower
    else:
        later = np.flatnonzero(t > 1)
        terms.add(later, v.extra[later - 1], -1.0)
        terms.add_terms(iteration_seconds(s, v), s.round_row(s.iterations.w, s.iterations.t), -1.0)
    if not s.completion:
        terms.add(every, v.used, -a)
    return RowBlock.of("clock", s.names(w, t), terms, lower=lower)


def after(s: Sets, v: Columns) -> RowBlock:
    """begin[w,t,q] ≥ end of what precedes: a (t - 1) + extra[w,t-1], or the iteration before."""
    w, t, q = s.iterations
    terms, lower = Terms().add(np.arange(len(w)), v.begin), np.zeros(len(w))
    first = np.flatnonzero((q == 0) & (t > 1))
    terms.add(first, v.extra[s.round_row(w[first], t[first] - 1)], -1.0)
    if s.completion:
        lower[first] = s.round_s[w[first]] * (t[first] - 1)
    later = np.flatnonzero(q > 0)
    terms.add(later, v.begin[later - 1], -1.0)
    following = np.full(len(w), -1, dtype=np.int64)
    following[later - 1] = later
    terms.add_terms(iteration_seconds(s, v), following, -1.0)
    return RowBlock.of("after", s.names(w, t, q), terms, lower=lower)


def arrived(s: Sets, v: Columns) -> RowBlock:
    """begin[w,t,q] ≥ r_i z[i,w,t,q]."""
    late = np.flatnonzero(s.types.arrival_s[s.members.k] > s.shift_s)
    _, k, w, t, q = (index[late] for index in s.members)
    row = np.arange(len(late))
    terms = Terms().add(row, v.begin[s.prefilled_in[late]]).add(row, v.z[late], s.shift_s - s.types.arrival_s[k])
    return RowBlock.of("arrived", s.names(w, t, q, k=k), terms, lower=0)


def ends(s: Sets, v: Columns) -> RowBlock:
    """extra_of[i] ≥ extra[w,t] - G (1 - Σ_{τ > t - d_i} x[i,w,τ]), G = `most_extra_s` of round t less the least value.

    Without `covers` a row for each start, by its last round, and with the G of its first round, which is no less.
    """
    if s.options.covers:
        started, start = tails(s, v, np.ones(len(s.rounds.w), dtype=bool))
        t = s.rounds.t[s.last[start]]
    else:
        start = np.arange(len(v.x))
        started, t = Terms().add(start, v.x), s.starts.t
    k, w, last = s.starts.k[start], s.starts.w[start], s.last[start]
    G = np.maximum(most_extra_s(s)[s.round_row(w, t)] - s.least_extra_s[k], 0.0)
    row = np.arange(len(start))
    terms = started.scaled(-G).add(row, v.extra_of[k]).add(row, v.extra[last], -1.0)
    return RowBlock.of("ends", s.names(w, t, k=k), terms, lower=-G)


def most_extra_s(s: Sets) -> FloatArray:
    """Most of extra[w, t]: shape (rounds,), seconds.

    `extra` counts waits and all work but the base of the rounds.  Up to the end of the last wait it is at most the
    last arrival.  After it, an iteration that takes longer than its members one by one would be split, and the
    requests that it holds complete earlier: no optimal plan has one.  Where the latest completion C of any plan that
    matters is known, round t of the first L, L the fewest rounds of any plan, ends by C: `extra` is at most
    C - a min(t, L) there, and in no round more than in the last one.
    """
    w, t = s.rounds
    wait_s = float(s.types.arrival_s.max() - s.shift_s)
    most = np.array([float(work_s[np.isfinite(work_s)].sum()) + wait_s for work_s in s.work_s])[w]
    if s.latest_s is not None:
        fewest = least_rounds(s.instance) if len(s.horizon) == 1 else 0
        end = float(s.latest_s.max()) - s.shift_s
        most = np.minimum(most, end - s.round_s[w] * np.minimum(t, fewest))
    return most


def shorter_first(s: Sets, v: Columns) -> RowBlock | None:
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
    worker, types, T = s.instance.workers[0], s.types, int(s.horizon[0])
    if len(s.horizon) > 1 or worker.kv_capacity is not None or s.arrivals or worker.slots is None:
        return None
    chain = np.lexsort((-types.weight, types.d))
    d, weight = types.d[chain], types.weight[chain]
    if not s.options.precedence or np.any(d[:-1] > d[1:]) or np.any(weight[:-1] < weight[1:]):
        return None
    terms, names = Terms(), []
    for row, (i, j) in enumerate(zip(chain[:-1].tolist(), chain[1:].tolist(), strict=True)):
        for k, sign in ((j, 1.0 / types.count[j]), (i, -1.0 / types.count[i])):
            starts = np.flatnonzero(s.starts.k == k)
            t = s.starts.t[starts]
            rounds = T - t + 1
            terms.add(row * T + within(rounds) + np.repeat(t, rounds) - 1, v.x[np.repeat(starts, rounds)], sign)
        names += [(types.labels[i], types.labels[j], f"t{t}") for t in range(1, T + 1)]
    return RowBlock.of("shorter_first", names, terms, upper=0)
