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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyomo.environ as pyo

from llmsched_mip.alone import earliest_completions
from llmsched_mip.instance import Instance
from llmsched_mip.models.horizon import whole_horizon
from llmsched_mip.models.linear import LinearBlocks, Terms
from llmsched_mip.models.prefill_form import PrefillForm
from llmsched_mip.models.request_types import labels
from llmsched_mip.models.stage_start import values_of
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of, within_caps
from llmsched_mip.plan import Plan
from llmsched_mip.spans import within
from llmsched_mip.timing import DecodeTime, FloatArray, IntArray, decode_work_seconds


def exact(instance: Instance, objective: str) -> bool:
    """Whether the model's optimum is the problem's, or a lower bound on it; see above."""
    arrival = instance.requests.arrival_s
    if objective == "makespan" and bool((arrival == arrival[0]).all()):
        return True
    return not any(worker.decode_time.per_kv_token_s for worker in instance.workers)


def build(
    instance: Instance,
    objective: str | None = None,
    horizon: IntArray | None = None,
    least: int | None = None,
    objective_bound: float | None = None,
    latest_s: FloatArray | None = None,
    stop: Callable[[], bool] | None = None,
) -> pyo.ConcreteModel:
    """Build the model; the arguments are those of `round_indexed.build`.

    `horizon` limits Σ_k rho[w,k], `least` bounds it from below for one worker, `latest_s` bounds completions.
    """
    rows = StageRows(instance, objective or instance.objective, horizon, least, latest_s)
    rows.state(objective_bound)
    model = rows.form.pyomo("stage_indexed", stop)
    model.layout = rows
    return model


def extract(model: pyo.ConcreteModel, instance: Instance) -> Plan:
    """The plan in a solved model; slots are coloured afterwards."""
    rows: StageRows = model.layout
    rho = np.array([variable.value or 0.0 for variable in model.rho.values()]).round().astype(np.int64)
    y = np.array([variable.value or 0.0 for variable in model.y.values()])
    starts = []
    for j in np.flatnonzero(y > 0.5).tolist():
        i, w, k = (int(own[j]) for own in rows.places)
        before = int(rho[rows.stage_first[w] : rows.stage_row(w, k)].sum())
        starts.append(Start(w, before + 1, k, i))
    return plan_of(instance, within_caps(instance, starts), "stage_indexed")


def start(model: pyo.ConcreteModel, plan: Plan) -> bool:
    """Set the integer variables to a plan; False, and nothing set, when the model has no place for it."""
    rows: StageRows = model.layout
    values = values_of(rows, starts_of(plan))
    if values is None:
        return False
    rows.form.set_integers(model, values)
    return True


def size(instance: Instance, objective: str, horizon: IntArray | None = None) -> dict[str, int]:
    """Columns and nonzeros of the model, roughly; nothing is built."""
    fitting = instance.fits_worker.sum(axis=0).astype(np.int64)
    stages = np.maximum(2 * fitting - 1, 0)
    pairs = int((fitting * stages).sum())
    tails = int((fitting * stages * (stages + 1) // 2).sum())
    limited = any(worker.kv_capacity is not None for worker in instance.workers)
    return {"columns": 4 * pairs + 4 * int(stages.sum()), "nonzeros": 24 * pairs + tails * limited}


class Switches(NamedTuple):
    """Columns on[w,k,l] of one worker, shape (K_w, L), and the most tokens of each level."""

    columns: IntArray
    tokens: FloatArray


@dataclass(eq=False)
class StageRows:
    """States the blocks of the model in `form`; `places` are the arrays (i, w, k) of its y, active and g."""

    instance: Instance
    objective: str
    horizon: IntArray | None
    least: int | None
    latest_s: FloatArray | None

    def __post_init__(self) -> None:
        instance = self.instance
        self.form = LinearBlocks()
        self.requests = labels(list(instance.requests.id))
        self.workers = labels([worker.name for worker in instance.workers])
        self.fitting = instance.fits_worker.sum(axis=0).astype(np.int64)
        self.stages = np.maximum(2 * self.fitting - 1, 0)
        self.stage_first = np.concatenate(([0], np.cumsum(self.stages)))
        i, w = np.nonzero(instance.fits_worker)
        many = self.stages[w]
        k = within(many)
        self.places = (np.repeat(i, many), np.repeat(w, many), k)
        self.pairs = (i, w, np.repeat(np.arange(len(i)), many))
        arrival = instance.requests.arrival_s
        self.shift = float(arrival.min())
        self.timed = self.objective == "total_completion" or bool((arrival > self.shift).any())

    def stage_row(self, w: Any, k: Any) -> Any:
        """Number of stage k (from 0) of worker w among all stages."""
        return self.stage_first[w] + k

    def state(self, objective_bound: float | None) -> None:
        """State all blocks."""
        i, w, k = self.places
        self.d, self.p = self.instance.requests.decode_tokens, self.instance.requests.prefill_tokens
        self.stage_w = np.repeat(np.arange(len(self.stages)), self.stages)
        self.stage_k = np.arange(len(self.stage_w)) - self.stage_first[self.stage_w]
        self.names = [
            (self.requests[a], self.workers[b], f"k{c + 1}")
            for a, b, c in zip(i.tolist(), w.tolist(), k.tolist(), strict=True)
        ]
        self.stage_names = [
            (self.workers[b], f"k{c + 1}") for b, c in zip(self.stage_w.tolist(), self.stage_k.tolist(), strict=True)
        ]
        self.longest = np.array([int(self.d[own].max(initial=0)) for own in self.instance.fits_worker.T])
        self.y = self.form.add_variables("y", self.names, 0, 1, integer=True)
        self.active = self.form.add_variables("decodes", self.names, 0, 1, integer=True)
        self.g = self.form.add_variables("g", self.names, 0, self.d[i])
        self.rho = self.form.add_variables("rho", self.stage_names, 0, self.longest[self.stage_w], integer=True)
        self._starts_and_rounds()
        self._in_order()
        self._occupancy()
        self._prefill()
        if self.timed:
            self._clock()
        else:
            self._loads()
        if objective_bound is not None:
            cut = Terms().add_terms(self.form.objective, np.zeros(1, dtype=np.int64))
            slack = 1e-9 * max(1.0, abs(objective_bound))
            self.form.add_rows("objective_cut", ["bound"], cut, lower=objective_bound - self.form.offset - slack)

    def _starts_and_rounds(self) -> None:
        i, w, k = self.places
        form, every = self.form, np.arange(len(i))
        form.add_rows("assign", self.requests, Terms().add(i, self.y), 1, 1)
        form.add_rows("begins", self.names, Terms().add(every, self.active).add(every, self.y, -1.0), 0)
        stays = Terms().add(every, self.active).add(every, self.y, -1.0)
        later = np.flatnonzero(k > 0)
        form.add_rows("stays", self.names, stays.add(later, self.active[later - 1], -1.0), upper=0)
        rho, most = self.rho[self.stage_row(w, k)], self.longest[w].astype(np.float64)
        form.add_rows("makes", self.names, Terms().add(every, self.g).add(every, self.active, -self.d[i]), upper=0)
        form.add_rows("at_most", self.names, Terms().add(every, self.g).add(every, rho, -1.0), upper=0)
        least = Terms().add(every, self.g).add(every, rho, -1.0).add(every, self.active, -most)
        form.add_rows("at_least", self.names, least, lower=-most)
        pi, pw, pair = self.pairs
        done = Terms().add(pair, self.g).add(pair, self.y, -self.d[i])
        pair_names = [(self.requests[a], self.workers[b]) for a, b in zip(pi.tolist(), pw.tolist(), strict=True)]
        form.add_rows("done", pair_names, done, 0, 0)
        horizon = whole_horizon(self.instance) if self.horizon is None else self.horizon
        fewest = 0 if self.least is None or len(self.stages) > 1 else self.least
        form.add_rows("horizon", self.workers, Terms().add(self.stage_w, self.rho), fewest, horizon)

    def _in_order(self) -> None:
        i, w, k = self.places
        form, every, stage = self.form, np.arange(len(self.stage_w)), self.stage_row(w, k)
        used = self.used = form.add_variables("used", self.stage_names, 0, 1, integer=True)
        pair = np.flatnonzero(self.stage_w[1:] == self.stage_w[:-1])
        terms = Terms().add(np.arange(len(pair)), used[pair]).add(np.arange(len(pair)), used[pair + 1], -1.0)
        form.add_rows("in_order", [self.stage_names[j] for j in pair.tolist()], terms, lower=0)
        number = np.arange(len(i))
        form.add_rows("opens", self.names, Terms().add(number, self.y).add(number, used[stage], -1.0), upper=0)
        most = self.longest[self.stage_w].astype(np.float64)
        form.add_rows("runs_on", self.stage_names, Terms().add(every, self.rho).add(every, used, -most), upper=0)
        filled = Terms().add(every, used).add(every, self.rho, -1.0).add(stage, self.y, -1.0)
        form.add_rows("filled", self.stage_names, filled, upper=0)

    def _occupancy(self) -> None:
        i, w, k = self.places
        stage = self.stage_row(w, k)
        for v, worker in enumerate(self.instance.workers):
            own = np.flatnonzero(w == v)
            names = [name for name, of in zip(self.stage_names, self.stage_w.tolist(), strict=True) if of == v]
            row = stage[own] - self.stage_first[v]
            if worker.slots is not None and worker.slots < self.fitting[v]:
                self.form.add_rows(f"slots_{v}", names, Terms().add(row, self.active[own]), upper=worker.slots)
            if worker.kv_capacity is not None and len(own):
                kept = [self.names[j] for j in own.tolist()]
                held = self.form.add_variables(f"held_{v}", kept, 0, self.d[i[own]])
                every, span = np.arange(len(own)), k[own] + 1
                until = np.repeat(every, span)
                m = within(span)
                terms = Terms().add(every, held).add(every, self.active[own], -self.d[i[own]])
                terms.add(until, self.g[own[until] - k[own][until] + m], -1.0)
                self.form.add_rows(f"kept_{v}", kept, terms, lower=-self.d[i[own]].astype(np.float64))
                kv = Terms().add(row, self.active[own], self.p[i[own]]).add(row, held)
                self.form.add_rows(f"kv_{v}", names, kv, upper=worker.kv_capacity)

    def _prefill(self) -> None:
        """Binaries of the iterations; `prefill_s` holds their seconds as terms, a row a stage."""
        i, w, k = self.places
        stage, self.prefill_s = self.stage_row(w, k), Terms()
        self.on: dict[int, Switches] = {}
        one = np.ones(self.instance.n, dtype=np.int64)
        for v, worker in enumerate(self.instance.workers):
            fits = self.instance.fits_worker[:, v]
            served = int(min(worker.slots or self.fitting[v], self.fitting[v]))
            prefill = PrefillForm.of(worker, self.p, one * fits, self.instance.requests.arrival_s, max(1, served))
            own = np.flatnonzero(w == v)
            self.prefill_s.add(stage[own], self.y[own], prefill.prompt_s[i[own]])
            if not prefill.switched or not len(own):
                continue
            levels = len(prefill.seconds)
            number = np.repeat(np.arange(self.stages[v]), levels)
            level = np.tile(np.arange(levels), self.stages[v])
            names = [(self.workers[v], f"k{a + 1}") for a in range(self.stages[v])]
            on_names = [(*names[a], f"l{b + 1}") for a, b in zip(number.tolist(), level.tolist(), strict=True)]
            on = self.form.add_variables(f"on_{v}", on_names, 0, 1, integer=True)
            self.on[v] = Switches(on.reshape(-1, levels), prefill.tokens)
            self.prefill_s.add(number + self.stage_first[v], on, prefill.seconds[level])
            row = k[own]
            runs = Terms().add(row, self.y[own]).add(number, on, -float(served))
            self.form.add_rows(f"runs_{v}", names, runs, upper=0)
            if np.isfinite(prefill.tokens).all():
                tokens = Terms().add(row, self.y[own], self.p[i[own]]).add(number, on, -prefill.tokens[level])
                self.form.add_rows(f"tokens_{v}", names, tokens, upper=0)
            self.form.add_rows(f"one_{v}", names, Terms().add(number, on), upper=1)

    def _base(self, w: IntArray) -> FloatArray:
        base = np.array([worker.decode_time.run_seconds(1, 0, 0) for worker in self.instance.workers], dtype=float)
        return base[w]

    def _loads(self) -> None:
        i, w, _ = self.places
        makespan = self.form.add_variables("makespan", ["seconds"], 0)
        self.form.minimise(makespan, 1.0)
        self.form.offset += self.shift
        terms = Terms().add(np.arange(len(self.stages)), makespan[0], -1.0)
        terms.add(self.stage_w, self.rho, self._base(self.stage_w)).add_terms(self.prefill_s, self.stage_w)
        terms.add(w, self.y, self._conserved()[w, i])
        self.form.add_rows("worker_load", self.workers, terms, upper=0)

    def _conserved(self) -> FloatArray:
        """b d + c vol, shape (W, n), seconds."""
        own = [decode_work_seconds(v.decode_time, self.d, self.instance.kv_volume) for v in self.instance.workers]
        return np.stack(own).astype(np.float64)

    def _clock(self) -> None:
        i, w, k = self.places
        stage, size = self.stage_row(w, k), len(self.stage_w)
        begin = self.form.add_variables("begin", self.stage_names, 0)
        end = self.form.add_variables("end", self.stage_names, 0)
        every = np.arange(size)
        terms = Terms().add(every, end).add(every, begin, -1.0).add(every, self.rho, -self._base(self.stage_w))
        terms.add_terms(self.prefill_s, every, -1.0)
        for v, worker in enumerate(self.instance.workers):
            decode = worker.decode_time
            own = np.flatnonzero(w == v)
            seconds = DecodeTime(0.0, decode.per_sequence_s, decode.per_kv_token_s).round_seconds(1, self.p[i[own]] + 1)
            terms.add(stage[own], self.g[own], -np.asarray(seconds, dtype=np.float64))
        self.form.add_rows("clock", self.stage_names, terms, lower=0)
        later = np.flatnonzero(self.stage_k > 0)
        number = np.arange(len(later))
        after = Terms().add(number, begin[later]).add(number, end[later - 1], -1.0)
        self.form.add_rows("after", [self.stage_names[j] for j in later.tolist()], after, lower=0)
        arrival = self.instance.requests.arrival_s - self.shift
        late = np.flatnonzero(arrival[i] > 0)
        arrived = Terms().add(np.arange(len(late)), begin[stage[late]])
        arrived.add(np.arange(len(late)), self.y[late], -arrival[i[late]])
        self.form.add_rows("arrived", [self.names[j] for j in late.tolist()], arrived, lower=0)
        self.form.offset += self.shift
        if self.objective == "makespan":
            makespan = self.form.add_variables("makespan", ["seconds"], 0)
            self.form.minimise(makespan, 1.0)
            last = np.flatnonzero(np.append(self.stage_w[1:] != self.stage_w[:-1], True))
            names = [self.workers[v] for v in self.stage_w[last].tolist()]
            ends = Terms().add(np.arange(len(last)), makespan[0]).add(np.arange(len(last)), end[last], -1.0)
            self.form.add_rows("worker_load", names, ends, lower=0)
            return
        self._completions(end)

    def _completions(self, end: IntArray) -> None:
        i, w, k = self.places
        weight = self.instance.requests.weight
        least = earliest_completions(self.instance) - self.shift
        completion = self.form.add_variables("completion", self.requests, least)
        self.form.minimise(completion, weight)
        self.form.offset += self.shift * (float(weight.sum()) - 1.0)
        most = np.empty(len(self.stages))
        for v, worker in enumerate(self.instance.workers):
            work = worker.prefill_time.seconds(self.p) + worker.decode_time.run_seconds(self.d, 1, self.p)
            most[v] = float(work[self.instance.fits_worker[:, v]].sum())
        most += float(self.instance.requests.arrival_s.max()) - self.shift
        if self.latest_s is not None:
            most = np.minimum(most, float(self.latest_s.max()) - self.shift)
        span = np.maximum(most[w] - least[i], 0.0)
        every = np.arange(len(i))
        terms = Terms().add(every, completion[i]).add(every, end[self.stage_row(w, k)], -1.0)
        terms.add(every, self.active, -span)
        self.form.add_rows("ends", self.names, terms, lower=-span)
