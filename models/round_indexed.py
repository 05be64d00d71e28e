"""The whole problem, exactly, indexed by decode rounds (docs/problem.md, sections 2 to 4).

Each worker counts its own decode rounds t = 1..T_w; all iterations of prefill that lie between two rounds stand
before the later one.  Identical requests are one type with a count where no one of them needs a time of its own.

Sets
    K          types of requests: p_k prompt tokens, d_k rounds, r_k arrival, ω_k weight, n_k of them
    W          workers: J_w slots, M_w KV tokens, T_w rounds
    S          starts (k, w, t): k fits w and 1 ≤ t, t + d_k - 1 ≤ T_w (and t within its window)
    A(w, t)    starts (k, w, τ) that are active in round t: t - d_k < τ ≤ t
    Q          iterations q = 1..Q_w before one round; see `prefill_form` for how many an optimal plan needs
    L          levels of the prefill time: s_l seconds, c_l tokens; an affine time is one level (base, cap)

Variables
    x[k,w,t]      requests of type k whose first decode round on w is t, integer
    z[k,w,t,q]    those prefilled in iteration q before round t, integer; z = x where Q_w = 1
    on[w,t,q,l]   1 when iteration q before round t runs at level l, binary; absent where prefill takes no time
    used[w,t]     1 when w runs round t, binary; 1 from the start for t ≤ [fewest rounds]
    makespan      seconds
    extra[w,t], begin[w,t,q], own[k]   seconds, only where times matter (below)

Constraints
    assign[k]       Σ_{w,t} x[k,w,t] = n_k
    slots[w,t]      Σ_{A(w,t)} x[k,w,τ] ≤ J_w used[w,t]
    kv[w,t]         Σ_{A(w,t)} (p_k + t - τ + 1) x[k,w,τ] ≤ M_w used[w,t]
    split[k,w,t]    Σ_q z[k,w,t,q] = x[k,w,t]
    tokens[w,t,q]   Σ_k p_k z[k,w,t,q] ≤ Σ_l c_l on[w,t,q,l]            (c finite)
    runs[w,t,q]     Σ_k z[k,w,t,q] ≤ J_w Σ_l on[w,t,q,l]
    one[w,t,q]      Σ_l on[w,t,q,l] ≤ 1
    in_use[k,w,t]   Σ_{τ > t - d_k} x[k,w,τ] ≤ n_k used[w,t]            (k ends on w in round t or later)
    order[w,t]      used[w,t] ≥ used[w,t+1]
    windows[w,t]    Σ x[k,w,τ] over the starts whose window around the completion covers t ≤ 1   (`completion_rows`)

KV and slots during a prefill iteration need no rows of their own.  What is held while it runs is active in the
round that follows, where each holds one token more; requests that ended before have left.

Makespan, all r equal (0 after a shift).  By the conserved-work identity
    worker_load[w]
        a Σ_t used[w,t] + Σ_{t,q,l} s_l on[w,t,q,l] + Σ_{k,t} (per_token p_k + b d_k + c vol_k) x[k,w,t] ≤ makespan
Total completion where rounds last a and prefill takes no time ("unit rounds"), arrivals multiples of a: the start
(k,w,t) costs ω_k a (t + d_k - 1), k starts after round r_k / a, and a round without requests is a wait.
Makespan there: a (t + d_k - 1) through `used`.

Otherwise times matter: one type a request, a round t ends at a t + extra[w,t], iteration q before it begins at
begin[w,t,q] (only with arrivals; without, it follows at once), and
    after[w,t,q]    begin[w,t,q] ≥ end of what precedes
    arrived[i,w,t,q]  begin[w,t,q] ≥ r_i z[i,w,t,q]
    clock[w,t]      a t + extra[w,t] ≥ [end of the last iteration before t] + a + b |A(w,t)| + c KV(w,t)
    ends[i,w,t]     own[i] ≥ extra[w,t] - G_w (1 - Σ_{τ > t - d_i} x[i,w,τ])        (i ends in t or later)
    C_i = Σ_{w,t} a_w (t + d_i - 1) x[i,w,t] + own[i],       minimise Σ ω_i C_i
with G_w the most that `extra` can be: the last arrival, every prompt on its own, and b d + c vol of all that fit.
For the makespan with arrivals `used` multiplies a and the end of round T_w counts.

Why `not_before` is never needed: both objectives grow with every completion time, and when a list of stages is run
with the earliest starts, each stage begins no later than in any other timing of the same list (by induction over
the stages).  So waiting beyond the arrivals gains nothing, and the times above are those of `evaluate`.

Validity of the bound.  With T_w from `whole_horizon` the model holds every plan.  With T_w from
`horizon_from_value(V)` and any valid `least` it holds every plan with a value below V: the optimum of the problem is
at least min(V, dual bound), and the plan of value V is optimal when the model has nothing below V.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pyomo.environ as pyo

from llmsched_mip.instance import Instance
from llmsched_mip.models.horizon import whole_horizon
from llmsched_mip.models.linear import LinearBlocks
from llmsched_mip.models.round_rows import RoundRows
from llmsched_mip.models.round_size import estimate
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of, within_caps
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True)
class Options:
    """Strengthenings of the model, each of which can be switched off; none cuts off all optimal plans.

    Parameters
    ----------
    types : identical requests as one type with a count, where times do not matter.
    symmetry : order identical requests that are not merged, identical workers, and iterations before a round.
    windows : latest starts from the horizon of each worker, first rounds fixed as used.
    covers : `used` in the slot and KV rows, and for each type and round (`in_use`), instead of at its last round.
    prefill : each start links to its own iteration's binary, and at least the fewest iterations run.
    completions : windows around completions that no two requests can share under the KV capacity.
    precedence : by weighted shortest length first where slots are the only limit of unit rounds.
    """

    types: bool = True
    symmetry: bool = True
    windows: bool = True
    covers: bool = True
    prefill: bool = True
    completions: bool = True
    precedence: bool = True

    @classmethod
    def plain(cls) -> Options:
        """The textbook form: nothing of these."""
        return cls(**{own.name: False for own in fields(cls)})


def build(
    instance: Instance,
    objective: str | None = None,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    options: Options | None = None,
    latest_s: FloatArray | None = None,
    stop: Callable[[], bool] | None = None,
) -> pyo.ConcreteModel:
    """Build the model.

    Parameters
    ----------
    instance : Instance
    objective : str, optional
        ``makespan`` or ``total_completion``; default: the instance's.
    horizon : int array, shape (W,), optional
        T_w; default `whole_horizon`.  See `horizon.horizon_from_value`.
    least : int, optional
        Fewest decode rounds of any plan that matters, one worker; default `horizon.least_rounds`.
    objective_bound : float, optional
        A proven lower bound on the objective, added as a row (an objective cut), seconds.
    options : Options, optional
        Default: all strengthenings.
    latest_s : float array, shape (n,), optional
        Latest completion of each request in any plan that matters, seconds.
    stop : callable, optional
        Polled while the model is built; once it is true, `linear.BuildStoppedError` is raised.
    """
    form, rows = formulate(instance, objective, horizon, least, objective_bound, options, latest_s)
    model = form.pyomo("round_indexed", stop)
    model.layout = rows
    return model


def formulate(
    instance: Instance,
    objective: str | None = None,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    options: Options | None = None,
    latest_s: FloatArray | None = None,
) -> tuple[LinearBlocks, RoundRows]:
    """The blocks of the model, and the layout of their columns; arguments as in `build`."""
    horizon = whole_horizon(instance) if horizon is None else np.asarray(horizon, dtype=np.int64)
    rows = RoundRows(instance, objective or instance.objective, horizon, least, options or Options(), latest_s)
    rows.state(objective_bound)
    return rows.form, rows


def extract(model: pyo.ConcreteModel, instance: Instance) -> Plan:
    """The plan in a solved model: starts, iterations, and slots coloured afterwards."""
    rows: RoundRows = model.layout
    block = model.z if rows.has_z else model.x
    return plan_from(rows, np.array([variable.value or 0.0 for variable in block.values()]))


def plan_from(rows: RoundRows, values: FloatArray) -> Plan:
    """The plan of a solution, given by the values of its columns z (x where there is no z)."""
    starts, left = [], [list(own) for own in rows.types.members]
    counts = values.round().astype(np.int64)
    places = rows.members if rows.has_z else rows.starts
    for j in np.flatnonzero(counts).tolist():
        k, w, t, q = (int(own[j]) for own in places)
        starts += [Start(w, t, q, left[k].pop(0)) for _ in range(counts[j])]
    return plan_of(rows.instance, within_caps(rows.instance, starts), "round_indexed")


def start(model: pyo.ConcreteModel, plan: Plan) -> bool:
    """Set the integer variables to a plan; False, and nothing set, when the model has no place for it."""
    rows: RoundRows = model.layout
    values = rows.values_of(starts_of(plan))
    if values is None:
        return False
    rows.form.set_integers(model, values)
    return True


def size(
    instance: Instance, objective: str, horizon: IntArray | None = None, options: Options | None = None
) -> dict[str, int]:
    """Columns and nonzeros of the model before anything is built; see `round_size`."""
    return estimate(instance, objective, whole_horizon(instance) if horizon is None else horizon, options or Options())
