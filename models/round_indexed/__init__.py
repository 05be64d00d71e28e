"""The whole problem, exactly, indexed by decode rounds (docs/problem.md, sections 2 to 4).

Each worker counts its decode rounds t = 1..T_w; all iterations of prefill that lie between two rounds stand
before the later one.  Identical requests are one type with a count where no one of them needs a time of its own.

Sets
    K          types of requests: p_k prompt tokens, d_k rounds, r_k arrival, ω_k weight, n_k of them
    W          workers: J_w slots, M_w KV tokens, T_w rounds
    S          starts (k, w, t): k fits w and 1 ≤ t, t + d_k - 1 ≤ T_w (and t within its window)
    A(w, t)    starts (k, w, τ) that are active in round t: t - d_k < τ ≤ t
    Q          iterations q = 1..Q_w before one round; see `models.prefill` for how many an optimal plan needs
    L          levels of the prefill time: s_l seconds, c_l tokens; an affine time is one level (base, cap)

Variables
    x[k,w,t]      requests of type k whose first decode round on w is t, integer
    z[k,w,t,q]    those prefilled in iteration q before round t, integer; z = x where Q_w = 1
    on[w,t,q,l]   1 when iteration q before round t runs at level l, binary; absent where prefill takes no time
    used[w,t]     1 when w runs round t, binary; 1 from the start for t ≤ [fewest rounds]
    makespan      seconds
    extra[w,t], begin[w,t,q], extra_of[k]   seconds, only where times matter (below)

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
    windows[w,t]    Σ x[k,w,τ] over the starts whose window around the completion covers t ≤ 1   (`models.windows`)

KV and slots during a prefill iteration need no further rows.  What is held while it runs is active in the
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
    ends[i,w,t]     extra_of[i] ≥ extra[w,t] - G_w (1 - Σ_{τ > t - d_i} x[i,w,τ])        (i ends in t or later)
    C_i = Σ_{w,t} a_w (t + d_i - 1) x[i,w,t] + extra_of[i],       minimise Σ ω_i C_i
with G_w the most that `extra` can be: the last arrival, every prompt in an iteration alone, and b d + c vol of all that
fit.  For the makespan with arrivals `used` multiplies a and the end of round T_w counts.

Why `not_before` is never needed: both objectives grow with every completion time, and when a list of stages is run
with the earliest starts, each stage begins no later than in any other timing of the same list (by induction over
the stages).  So waiting beyond the arrivals gains nothing, and the times above are those of `evaluate`.

Validity of the bound.  With T_w from `whole_horizon` the model holds every plan.  With T_w from
`horizon_from_value(V)` and any valid `least` it holds every plan with a value below V: the optimum of the problem is
at least min(V, dual bound), and the plan of value V is optimal when the model has nothing below V.

Where it stands: the sets in `sets`, the variables in `columns`, a function for each constraint in `rows` and, where it
knows seconds, in `times`; plans as start solutions in `start_values`, and the part around a plan in `neighbourhood`.
"""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.models.blocks import LinearBlocks
from llmsched_mip.models.horizon import whole_horizon
from llmsched_mip.models.round_indexed.columns import Formulation, declare
from llmsched_mip.models.round_indexed.rows import structure, symmetry
from llmsched_mip.models.round_indexed.sets import Options, Sets
from llmsched_mip.models.round_indexed.sizes import estimate
from llmsched_mip.models.round_indexed.start_values import values_of
from llmsched_mip.models.round_indexed.times import objective, time_rows
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of, within_caps
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray

__all__ = ["Options", "build", "extract", "formulate", "plan_from", "size", "start"]


def build(
    instance: Instance,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    options: Options | None = None,
    latest_s: FloatArray | None = None,
    budget: Budget | None = None,
) -> pyo.ConcreteModel:
    """Build the model for the instance's objective.

    Parameters
    ----------
    instance : Instance
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
    budget : Budget, optional
        Polled while the model is built.

    Raises
    ------
    BuildStoppedError
        The budget is spent.
    """
    formulation = formulate(instance, horizon, least, objective_bound, options, latest_s)
    model = formulation.form.pyomo("round_indexed", budget)
    model.layout = formulation
    return model


def formulate(
    instance: Instance,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    options: Options | None = None,
    latest_s: FloatArray | None = None,
) -> Formulation:
    """The sets, columns and blocks of the model; arguments as in `build`."""
    s = Sets(instance, _rounds(instance, horizon), least, latest_s, options or Options())
    form = LinearBlocks()
    v, active = declare(s, form), s.active()
    form.objective, form.offset = objective(s, v)
    form.add(*structure(s, v, active), *time_rows(s, v, active), form.cut(objective_bound), *symmetry(s, v))
    return Formulation(s, v, form)


def _rounds(instance: Instance, horizon: IntArray | None) -> IntArray:
    return whole_horizon(instance) if horizon is None else np.asarray(horizon, dtype=np.int64)


def extract(model: pyo.ConcreteModel, instance: Instance) -> Plan:
    """The plan in a solved model: starts, iterations, and slots coloured afterwards."""
    block = model.z if model.layout.sets.split else model.x
    return plan_from(model.layout, np.array([variable.value or 0.0 for variable in block.values()]))


def plan_from(formulation: Formulation, values: FloatArray) -> Plan:
    """The plan of a solution, given by the values of its columns z."""
    s = formulation.sets
    starts, left = [], [list(members) for members in s.types.members]
    counts = values.round().astype(np.int64)
    for j in np.flatnonzero(counts).tolist():
        _, k, w, t, q = (int(index[j]) for index in s.members)
        starts += [Start(w, t, q, left[k].pop(0)) for _ in range(counts[j])]
    return plan_of(s.instance, within_caps(s.instance, starts), "round_indexed")


def start(model: pyo.ConcreteModel, plan: Plan) -> bool:
    """Set the integer variables to a plan; False, and nothing set, when the model has no place for it."""
    formulation: Formulation = model.layout
    return formulation.form.set_integers(model, values_of(formulation, starts_of(plan)))


def size(instance: Instance, horizon: IntArray | None = None, options: Options | None = None) -> dict[str, int]:
    """Columns and nonzeros of the model before anything is built; see `sizes`."""
    return estimate(Sets(instance, _rounds(instance, horizon), options=options or Options()))
