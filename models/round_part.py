"""A part of the round-indexed model around a plan: few starts for each request, elapsed times to first order.

The sub-problem of large neighbourhood search (Shaw 1998) and local branching (Fischetti and Lodi 2003).  Sets,
variables and rows are those of `round_indexed`, except:

Sets
    S          only the starts that the caller gives, the plan's own among them
Parameters, from the plan
    E_wt       end of round t, seconds, waits included;  beyond the last round a more each
    U_wt       Σ ω_i of the requests on w that complete in round t or later
    m          most requests that may leave their starts
Constraints
    near       Σ x[i,w,t] over the plan's own starts ≥ n - m                                       (local branching)
Objective, total completion where times matter
    Σ_{(i,w,t) ∈ S} [ω_i E_w(t + d_i - 1) + per_token p_i U_wt + Σ_{k = 1..d_i} (b + c (p_i + k)) U_w(t+k-1)] x[i,w,t]
        + Σ_{w,t,q,l} s_l U_wt on[w,t,q,l]

With D_wt the seconds of round t and of the iterations before it, Σ ω_i C_i = Σ_{w,t} D_wt U_wt (without waits), and
both D and U are linear in x and on.  The objective is this product to first order around the plan, up to a
constant.  So it has no big-M, and its error is of second order in what changes.  It is a heuristic's sub-problem, not
a relaxation: what it returns is evaluated, and its dual bound is no bound on the problem.

The other objectives stay exact: total completion in unit rounds without arrivals, and the makespan of a backlog.  For
a makespan with arrivals the waits are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.models import round_times
from llmsched_mip.models.linear import Terms
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import AffinePrefill, DecodeTime, FloatArray, IntArray, run_kv_peak

if TYPE_CHECKING:
    from llmsched_mip.models.round_rows import RoundRows


@dataclass(frozen=True, eq=False)
class Clock:
    """One worker's decode rounds in a plan; arrays over its rounds t = 1..T, shape (T,).

    Parameters
    ----------
    begin_s : float array
        When the iterations before the round may start: end of the round before, seconds.
    end_s : float array
        E_t, seconds.
    unfinished : float array
        U_t.
    """

    begin_s: FloatArray
    end_s: FloatArray
    unfinished: FloatArray


def clock_of(instance: Instance, starts: list[Start], w: int) -> Clock:
    """Times of the rounds of worker w when the starts are executed as early as arrivals allow."""
    r, worker = instance.requests, instance.workers[w]
    own = sorted(start for start in starts if start.worker == w)
    i = np.array([start.request for start in own], dtype=np.int64)
    t = np.array([start.round for start in own], dtype=np.int64) - 1
    d = r.decode_tokens[i]
    rounds = int((t + d).max(initial=0))
    row, made = _active(t, d)
    active = np.bincount(row, minlength=rounds)
    held = np.bincount(row, weights=run_kv_peak(made, 1, np.repeat(r.prefill_tokens[i], d)), minlength=rounds)
    length = np.asarray(worker.decode_time.round_seconds(active, held), dtype=np.float64)
    unfinished = np.bincount(t + d - 1, weights=r.weight[i], minlength=rounds)[::-1].cumsum()[::-1]
    batches: dict[tuple[int, int], list[int]] = {}
    for start in own:
        batches.setdefault((start.round - 1, start.iteration), []).append(start.request)
    end, now, before = np.empty(rounds), 0.0, 0
    for (first, _), batch in batches.items():
        end[before:first] = now + np.cumsum(length[before:first])
        now = float(end[first - 1]) if first > before else now
        tokens = int(r.prefill_tokens[batch].sum())
        now = max(now, float(r.arrival_s[batch].max())) + float(worker.prefill_time.seconds(tokens))
        before = first
    end[before:] = now + np.cumsum(length[before:])
    return Clock(np.concatenate(([0.0], end[:-1]))[:rounds], end, unfinished)


def _active(t: IntArray, d: IntArray) -> tuple[IntArray, IntArray]:
    """All (round from 0, rounds made so far) of starts t with lengths d."""
    span = np.repeat(np.cumsum(d) - d, d)
    made = np.arange(len(span)) - span + 1
    return np.repeat(t, d) + made - 1, made


@dataclass(frozen=True, eq=False)
class Part:
    """What is left of the model.

    Parameters
    ----------
    starts : three int arrays (i, w, t), sorted
        S.
    iterations : sequence of int, shape (W,)
        Most iterations before one round, for each worker.
    clocks : list of Clock, one a worker
        Of the plan.
    kept : int array
        Positions in `starts` of the plan's own.
    moves : int
        m; at least n: no row.
    """

    starts: tuple[IntArray, IntArray, IntArray]
    iterations: list[int]
    clocks: list[Clock]
    kept: IntArray
    moves: int


def state(rows: RoundRows, part: Part) -> None:
    """State the objective and the row `near`."""
    if not rows.completion:
        round_times._loads(rows)
    elif rows.grid:
        round_times._unit_completion(rows)
    else:
        _first_order(rows, part)
    if part.moves < rows.instance.n:
        near = Terms().add(0, rows.x[part.kept])
        rows.form.add_rows("near", ["plan"], near, lower=float(rows.instance.n - part.moves))


def _first_order(rows: RoundRows, part: Part) -> None:
    k, w, t, _ = rows.starts
    _, it, _ = rows.iterations()
    for v, (worker, clock) in enumerate(zip(rows.instance.workers, part.clocks, strict=True)):
        most = int(rows.horizon[v])
        late = worker.decode_time.run_seconds(np.arange(1, max(0, most - len(clock.end_s)) + 1), 0, 0)
        end = np.concatenate((clock.end_s, clock.end_s[-1:].sum() + late))
        unfinished = np.concatenate((clock.unfinished, np.zeros(len(late))))
        own = np.flatnonzero(w == v)
        p, d, first = rows.types.p[k[own]], rows.types.d[k[own]], t[own] - 1
        cost = rows.types.weight[k[own]] * end[first + d - 1]
        row, made = _active(first, d)
        decode = DecodeTime(0.0, worker.decode_time.per_sequence_s, worker.decode_time.per_kv_token_s)
        share = decode.round_seconds(1, run_kv_peak(made, 1, np.repeat(p, d))) * unfinished[row]
        cost += np.bincount(np.repeat(np.arange(len(own)), d), weights=share, minlength=len(own))
        rows.form.minimise(rows.x[own], cost)
        prefill = worker.prefill_time
        if isinstance(prefill, AffinePrefill) and prefill.per_token_s:
            members = np.flatnonzero(rows.members[1] == v)
            mk, mt = rows.members[0][members], rows.members[2][members]
            prompt_s = AffinePrefill(0.0, prefill.per_token_s).seconds(rows.types.p[mk])
            rows.form.minimise(rows.z[members], prompt_s * unfinished[mt - 1])
        mine = np.flatnonzero(rows.on_worker == v)
        rows.form.minimise(rows.on[mine], rows.on_seconds[mine] * unfinished[it[rows.on_of[mine]] - 1])
