"""The compact form: indexed by stages, not by rounds (docs/problem.md, section 4).

A stage k = 1..K_w of worker w is at most one prefill iteration and then ρ[w,k] ≥ 0 decode rounds *with one set of
active requests*: a stage ends where a request starts or completes.

Sets
    I      requests: p_i prompt tokens, d_i rounds, r_i arrival, ω_i weight; i stands on the workers that it fits
    W      workers: J_w slots, M_w KV tokens, K_w stages
    L      levels of the prefill time: s_l seconds, c_l tokens; an affine time is one level (base, cap)

Variables
    y[i,w,k]     1 when i is prefilled in stage k of w, binary
    decodes[i,w,k]  1 when i decodes in stage k, binary
    g[i,w,k]     rounds that i makes in stage k
    held[i,w,k]  tokens that i has made when stage k ends, while active (only with a KV limit)
    rho[w,k]     rounds of stage k, integer, at most D_w = max d
    used[w,k]    1 when stage k starts a request or runs a round, binary
    on[w,k,l]    1 when its prefill iteration runs at level l, binary; absent where prefill takes no time
    makespan, begin[w,k], end[w,k], completion[i]   seconds

Constraints
    assign[i]        Σ_{w,k} y[i,w,k] = 1
    starts[i,w,k]    y[i,w,k] ≤ decodes[i,w,k] ≤ decodes[i,w,k-1] + y[i,w,k]
    rounds[i,w,k]    g ≤ d_i decodes,  g ≤ rho,  g ≥ rho - D_w (1 - decodes)          (g = rho · decodes)
    done[i,w]        Σ_k g[i,w,k] = d_i Σ_k y[i,w,k]
    slots[w,k]       Σ_i decodes[i,w,k] ≤ J_w
    kept[i,w,k]      held[i,w,k] ≥ Σ_{m ≤ k} g[i,w,m] - d_i (1 - decodes[i,w,k])
    kv[w,k]          Σ_i p_i decodes[i,w,k] + held[i,w,k] ≤ M_w
    in_order[w,k]    used[w,k] ≥ used[w,k+1],  y ≤ used,  rho ≤ D_w used,  used ≤ Σ_i y + rho     (empty ones last)
    tokens, runs, one   the prefill iteration, as in `round_indexed`

Makespan, all arrivals equal, by the conserved-work identity
    worker_load[w]   a Σ_k rho + Σ_{k,l} s_l on + Σ_{i,k} (per_token p_i + b d_i + c vol_i) y ≤ makespan
Otherwise
    clock[w,k]       end ≥ begin + [prefill of k] + a rho + Σ_i (b + c (p_i + 1)) g[i,w,k],  begin[w,k+1] ≥ end[w,k]
    arrived[i,w,k]   begin[w,k] ≥ r_i y[i,w,k]
    ends[i,w,k]      completion[i] ≥ end[w,k] - H (1 - decodes[i,w,k])
with H above every completion of an optimal plan: the last arrival and all work, one request after the other, or the
latest completion of any plan that matters, where that is known and less (a stage ends by the last completion).

Which plans it holds.  With K_w = 2 n_w - 1 every plan: each of at most n_w prefill iterations opens a stage, and so
does each completion but the last.  A solution is a feasible plan: active sets are constant in a stage, so slots are
checked everywhere, and KV, which grows through a stage, at its end; a prefill iteration holds no more than the
stage that it opens.  `decodes` may not be given up before done: it cannot return, and Σ g = d.

What is exact.  Feasibility always.  The objective for the makespan with equal arrivals, and whenever c = 0 on all
workers.  *Otherwise it is a declared relaxation*: in its j-th round a request holds p + j ≥ p + 1 tokens, and `clock`
counts p + 1; times are never above the true ones, so the optimum is a lower bound.  The repair is exact in the
other direction: `extract` returns a feasible plan, and `evaluate` gives its true value.

Where it stands: sets and variables in `sets`, a function for each constraint in `rows`, plans as start solutions in
`start_values`.
"""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.models.blocks import LinearBlocks
from llmsched_mip.models.horizon import whole_horizon
from llmsched_mip.models.stage_indexed.rows import objective, stage_rows, time_rows
from llmsched_mip.models.stage_indexed.sets import Formulation, Sets, declare
from llmsched_mip.models.stage_indexed.start_values import values_of
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of, within_caps
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray


def exact(instance: Instance) -> bool:
    """Whether the model's optimum is the problem's, or a lower bound on it; see above."""
    arrival = instance.requests.arrival_s
    if instance.objective == "makespan" and bool((arrival == arrival[0]).all()):
        return True
    return not any(worker.decode_time.per_kv_token_s for worker in instance.workers)


def build(
    instance: Instance,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    latest_s: FloatArray | None = None,
    budget: Budget | None = None,
) -> pyo.ConcreteModel:
    """Build the model for the instance's objective; the arguments are those of `round_indexed.build`.

    `horizon` limits Σ_k rho[w,k], `least` bounds it from below for one worker, `latest_s` bounds completions.
    """
    s = Sets(instance, whole_horizon(instance) if horizon is None else horizon, least, latest_s)
    form = LinearBlocks()
    v = declare(s, form)
    form.objective, form.offset = objective(s, v)
    form.add(*stage_rows(s, v), *time_rows(s, v), form.cut(objective_bound))
    model = form.pyomo("stage_indexed", budget)
    model.layout = Formulation(s, v, form)
    return model


def extract(model: pyo.ConcreteModel, instance: Instance) -> Plan:
    """The plan in a solved model; slots are coloured afterwards."""
    s: Sets = model.layout.sets
    rho = np.array([variable.value or 0.0 for variable in model.rho.values()]).round().astype(np.int64)
    y = np.array([variable.value or 0.0 for variable in model.y.values()])
    starts = []
    for j in np.flatnonzero(y > 0.5).tolist():
        i, w, k = (int(index[j]) for index in s.places)
        before = int(rho[s.stage_row(w, 0) : s.stage_row(w, k)].sum())
        starts.append(Start(w, before + 1, k, i))
    return plan_of(s.instance, within_caps(instance, starts), "stage_indexed")


def start(model: pyo.ConcreteModel, plan: Plan) -> bool:
    """Set the integer variables to a plan; False, and nothing set, when the model has no place for it."""
    formulation: Formulation = model.layout
    return formulation.form.set_integers(model, values_of(formulation, starts_of(plan)))


def size(instance: Instance, horizon: IntArray | None = None) -> dict[str, int]:
    """Columns and nonzeros of the model, roughly; nothing is built."""
    fitting = instance.fits_worker.sum(axis=0).astype(np.int64)
    stages = np.maximum(2 * fitting - 1, 0)
    pairs = int((fitting * stages).sum())
    tails = int((fitting * stages * (stages + 1) // 2).sum())
    limited = any(worker.kv_capacity is not None for worker in instance.workers)
    return {"columns": 4 * pairs + 4 * int(stages.sum()), "nonzeros": 24 * pairs + tails * limited}
