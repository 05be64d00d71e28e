"""A part of the round-indexed model around a plan: few starts for each request, elapsed times to first order.

The sub-problem of large neighbourhood search (Shaw 1998) and local branching (Fischetti and Lodi 2003).  Sets,
variables and rows are those of `round_indexed`, except:

Sets
    S          only the starts that the caller gives, the plan's among them
Parameters, from the plan
    E_wt       end of round t, seconds, waits included;  beyond the last round a more each
    U_wt       Σ ω_i of the requests on w that complete in round t or later
    m          most requests that may leave their starts
Constraints
    near       Σ x[i,w,t] over the plan's starts ≥ n - m                                           (local branching)
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

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.models.blocks import LinearBlocks, RowBlock, Terms
from llmsched_mip.models.round_indexed.columns import Columns, Formulation, declare
from llmsched_mip.models.round_indexed.rows import structure, symmetry
from llmsched_mip.models.round_indexed.sets import Options, Sets, Starts
from llmsched_mip.models.round_indexed.times import objective, time_rows
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, run_kv_peak


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
    here = sorted(start for start in starts if start.worker == w)
    i = np.array([start.request for start in here], dtype=np.int64)
    t = np.array([start.round for start in here], dtype=np.int64) - 1
    d = r.decode_tokens[i]
    rounds = int((t + d).max(initial=0))
    row, made = _active(t, d)
    active = np.bincount(row, minlength=rounds)
    held = np.bincount(row, weights=run_kv_peak(made, 1, np.repeat(r.prefill_tokens[i], d)), minlength=rounds)
    length = np.asarray(worker.decode_time.round_seconds(active, held), dtype=np.float64)
    unfinished = np.bincount(t + d - 1, weights=r.weight[i], minlength=rounds)[::-1].cumsum()[::-1]
    batches: dict[tuple[int, int], list[int]] = {}
    for start in here:
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
    made = within(d) + 1
    return np.repeat(t, d) + made - 1, made


@dataclass(frozen=True, eq=False)
class Part:
    """What is left of the model.

    Parameters
    ----------
    starts : Starts
        S, sorted; its types are the requests i.
    iterations : sequence of int, shape (W,)
        Most iterations before one round, for each worker.
    clocks : list of Clock, one a worker
        Of the plan.
    kept : int array
        Places in `starts` of the plan's.
    moves : int
        m; at least n: no row.
    """

    starts: Starts
    iterations: list[int]
    clocks: list[Clock]
    kept: IntArray
    moves: int


def formulate(instance: Instance, horizon: IntArray, options: Options, part: Part) -> Formulation:
    """The model of a part; `options` leaves types apart, and windows around completions have no place in it."""
    s = Sets(instance, horizon, options=options, part=part.starts, most_iterations=part.iterations)
    form = LinearBlocks()
    v, active = declare(s, form), s.active()
    first_order = s.completion and not s.grid
    form.objective, form.offset = (_first_order(s, v, part.clocks), 0.0) if first_order else objective(s, v)
    form.add(*structure(s, v, active))
    form.add(*([] if first_order else time_rows(s, v, active)), near(s, v, part), *symmetry(s, v))
    return Formulation(s, v, form)


def near(s: Sets, v: Columns, part: Part) -> RowBlock | None:
    """Σ x[i,w,t] over the plan's starts ≥ n - m."""
    n = s.instance.n
    if part.moves >= n:
        return None
    return RowBlock.of("near", ["plan"], Terms().add(0, v.x[part.kept]), lower=float(n - part.moves))


def _first_order(s: Sets, v: Columns, clocks: list[Clock]) -> Terms:
    """The objective around the plan, see the top of this file."""
    terms, on = Terms(), s.switches.iteration
    for w, (worker, clock, form) in enumerate(zip(s.instance.workers, clocks, s.prefill, strict=True)):
        late = worker.decode_time.base_seconds(np.arange(1, max(0, int(s.horizon[w]) - len(clock.end_s)) + 1))
        end = np.concatenate((clock.end_s, clock.end_s[-1:].sum() + late))
        U = np.concatenate((clock.unfinished, np.zeros(len(late))))
        here = np.flatnonzero(s.starts.w == w)
        k, first = s.starts.k[here], s.starts.t[here] - 1
        p, d = s.types.p[k], s.types.d[k]
        cost = s.types.weight[k] * end[first + d - 1]
        row, made = _active(first, d)
        share = worker.decode_time.per_request.round_seconds(1, run_kv_peak(made, 1, np.repeat(p, d))) * U[row]
        cost += np.bincount(np.repeat(np.arange(len(here)), d), weights=share, minlength=len(here))
        terms.add(0, v.x[here], cost)
        members = np.flatnonzero(s.members.w == w)
        terms.add(0, v.z[members], form.prompt_s[s.members.k[members]] * U[s.members.t[members] - 1])
        switches = np.flatnonzero(s.iterations.w[on] == w)
        terms.add(0, v.on[switches], s.switches.seconds[switches] * U[s.iterations.t[on[switches]] - 1])
    return terms
