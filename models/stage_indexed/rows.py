"""Constraints of the stage-indexed model, one function each, by name and letters of `stage_indexed`.

Each takes the sets `s` and the columns `v` of the variables.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.alone import earliest_completions
from llmsched_mip.models.blocks import RowBlock, Terms
from llmsched_mip.models.stage_indexed.sets import Columns, Sets
from llmsched_mip.spans import within


def objective(s: Sets, v: Columns) -> tuple[Terms, float]:
    """The makespan or Σ ω_i completion[i], and the constant."""
    if not s.completion:
        return Terms().add(0, v.makespan), s.shift_s
    weight = s.instance.requests.weight
    return Terms().add(0, v.completion, weight), s.shift_s + s.shift_s * (float(weight.sum()) - 1.0)


def stage_rows(s: Sets, v: Columns) -> list[RowBlock]:
    """All constraints that know no times."""
    return [assign(s, v), *starts(s, v), *rounds(s, v), *in_order(s, v), *occupancy(s, v), *prefill(s, v)]


def time_rows(s: Sets, v: Columns) -> list[RowBlock]:
    """The rows that go with the objective."""
    if not s.timed:
        return [worker_load(s, v)]
    return [clock(s, v), after(s, v), arrived(s, v), ends(s, v) if s.completion else last_ends(s, v)]


def assign(s: Sets, v: Columns) -> RowBlock:
    """Σ_{w,k} y[i,w,k] = 1."""
    return RowBlock.of("assign", s.requests, Terms().add(s.places.i, v.y), 1, 1)


def starts(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """y[i,w,k] ≤ decodes[i,w,k] ≤ decodes[i,w,k-1] + y[i,w,k]."""
    every, later = np.arange(len(s.stage)), np.flatnonzero(s.places.k > 0)
    yield RowBlock.of("begins", s.names, Terms().add(every, v.decodes).add(every, v.y, -1.0), lower=0)
    stays = Terms().add(every, v.decodes).add(every, v.y, -1.0).add(later, v.decodes[later - 1], -1.0)
    yield RowBlock.of("stays", s.names, stays, upper=0)


def rounds(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """g ≤ d_i decodes, g ≤ rho, g ≥ rho - D_w (1 - decodes); `done`: Σ_k g = d_i Σ_k y; `horizon`: Σ_k rho ≤ T_w."""
    (i, w, _), every, rho = s.places, np.arange(len(s.stage)), v.rho[s.stage]
    D, d = s.D[w].astype(np.float64), s.d[i]
    yield RowBlock.of("makes", s.names, Terms().add(every, v.g).add(every, v.decodes, -d), upper=0)
    yield RowBlock.of("at_most", s.names, Terms().add(every, v.g).add(every, rho, -1.0), upper=0)
    least = Terms().add(every, v.g).add(every, rho, -1.0).add(every, v.decodes, -D)
    yield RowBlock.of("at_least", s.names, least, lower=-D)
    names = [(s.requests[a], s.workers[b]) for a, b in zip(*(index.tolist() for index in s.pairs), strict=True)]
    yield RowBlock.of("done", names, Terms().add(s.pair, v.g).add(s.pair, v.y, -d), 0, 0)
    fewest = 0 if s.least is None or len(s.K) > 1 else s.least
    yield RowBlock.of("horizon", s.workers, Terms().add(s.stages[0], v.rho), fewest, s.horizon)


def in_order(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """used[w,k] ≥ used[w,k+1], y ≤ used, rho ≤ D_w used, used ≤ Σ_i y + rho."""
    w, place, every = s.stages[0], np.arange(len(s.stage)), np.arange(len(v.used))
    first = np.flatnonzero(w[1:] == w[:-1])
    row = np.arange(len(first))
    terms = Terms().add(row, v.used[first]).add(row, v.used[first + 1], -1.0)
    yield RowBlock.of("in_order", [s.stage_names[j] for j in first.tolist()], terms, lower=0)
    yield RowBlock.of("opens", s.names, Terms().add(place, v.y).add(place, v.used[s.stage], -1.0), upper=0)
    D = s.D[w].astype(np.float64)
    yield RowBlock.of("runs_on", s.stage_names, Terms().add(every, v.rho).add(every, v.used, -D), upper=0)
    filled = Terms().add(every, v.used).add(every, v.rho, -1.0).add(s.stage, v.y, -1.0)
    yield RowBlock.of("filled", s.stage_names, filled, upper=0)


def occupancy(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """`slots`, `kept` and `kv` of every worker: Σ_i decodes ≤ J_w, and Σ_i p_i decodes + held ≤ M_w."""
    for w, worker in enumerate(s.instance.workers):
        here, names = s.on_worker(w), s.names_on(w)
        (i, _, k), decodes = (index[here] for index in s.places), v.decodes[here]
        if worker.slots is not None and worker.slots < s.fitting[w]:
            yield RowBlock.of(f"slots_{w}", names, Terms().add(k, decodes), upper=worker.slots)
        if w in v.held:
            yield kept(s, v, w)
            yield RowBlock.of(
                f"kv_{w}", names, Terms().add(k, decodes, s.p[i]).add(k, v.held[w]), upper=worker.kv_capacity
            )


def kept(s: Sets, v: Columns, w: int) -> RowBlock:
    """held[i,w,k] ≥ Σ_{m ≤ k} g[i,w,m] - d_i (1 - decodes[i,w,k])."""
    here = s.on_worker(w)
    d, k, every = s.d[s.places.i[here]], s.places.k[here], np.arange(len(here))
    until = np.repeat(every, k + 1)
    terms = Terms().add(every, v.held[w]).add(every, v.decodes[here], -d)
    terms.add(until, v.g[here[until] - k[until] + within(k + 1)], -1.0)
    return RowBlock.of(f"kept_{w}", [s.names[j] for j in here.tolist()], terms, lower=-d.astype(np.float64))


def prefill(s: Sets, v: Columns) -> Iterator[RowBlock]:
    """Σ_i y ≤ J_w Σ_l on,  Σ_i p_i y ≤ Σ_l c_l on,  Σ_l on ≤ 1."""
    for w, on in v.on.items():
        here, names, c = s.on_worker(w), s.names_on(w), s.prefill[w].tokens
        k, p, every = s.places.k[here], s.p[s.places.i[here]], np.arange(len(on))[:, None]
        yield RowBlock.of(f"runs_{w}", names, Terms().add(k, v.y[here]).add(every, on, -float(s.served[w])), upper=0)
        if np.isfinite(c).all():
            yield RowBlock.of(f"tokens_{w}", names, Terms().add(k, v.y[here], p).add(every, on, -c), upper=0)
        yield RowBlock.of(f"one_{w}", names, Terms().add(every, on), upper=1)


def prefill_seconds(s: Sets, v: Columns) -> Terms:
    """Seconds of the iteration of each stage: Σ_i per_token p_i y[i,w,k] + Σ_l s_l on[w,k,l]."""
    i, w, _ = s.places
    terms = Terms().add(s.stage, v.y, np.array([form.prompt_s for form in s.prefill])[w, i])
    for number, on in v.on.items():
        terms.add(s.stage_row(number, np.arange(len(on)))[:, None], on, s.prefill[number].seconds)
    return terms


def worker_load(s: Sets, v: Columns) -> RowBlock:
    """a Σ_k rho + Σ_{k,l} s_l on + Σ_{i,k} (per_token p_i + b d_i + c vol_i) y ≤ makespan."""
    (i, w, _), stage_w = s.places, s.stages[0]
    terms = Terms().add(np.arange(len(s.K)), v.makespan[0], -1.0).add(stage_w, v.rho, s.round_s[stage_w])
    terms.add_terms(prefill_seconds(s, v), stage_w).add(w, v.y, s.decode_s[w, i])
    return RowBlock.of("worker_load", s.workers, terms, upper=0)


def last_ends(s: Sets, v: Columns) -> RowBlock:
    """`worker_load` where times matter: end[w,K_w] ≤ makespan."""
    workers = np.flatnonzero(s.K > 0)
    row, last = np.arange(len(workers)), s.stage_row(workers, s.K[workers] - 1)
    terms = Terms().add(row, v.makespan[0]).add(row, v.end[last], -1.0)
    return RowBlock.of("worker_load", [s.workers[w] for w in workers.tolist()], terms, lower=0)


def clock(s: Sets, v: Columns) -> RowBlock:
    """end ≥ begin + [prefill of k] + a rho + Σ_i (b + c (p_i + 1)) g[i,w,k]."""
    every = np.arange(len(v.end))
    terms = Terms().add(every, v.end).add(every, v.begin, -1.0).add(every, v.rho, -s.round_s[s.stages[0]])
    terms.add_terms(prefill_seconds(s, v), every, -1.0)
    least_s = np.array([w.decode_time.per_request.round_seconds(1, s.p + 1) for w in s.instance.workers])
    terms.add(s.stage, v.g, -least_s[s.places.w, s.places.i])
    return RowBlock.of("clock", s.stage_names, terms, lower=0)


def after(s: Sets, v: Columns) -> RowBlock:
    """begin[w,k+1] ≥ end[w,k]."""
    later = np.flatnonzero(s.stages[1] > 0)
    row = np.arange(len(later))
    terms = Terms().add(row, v.begin[later]).add(row, v.end[later - 1], -1.0)
    return RowBlock.of("after", [s.stage_names[j] for j in later.tolist()], terms, lower=0)


def arrived(s: Sets, v: Columns) -> RowBlock:
    """begin[w,k] ≥ r_i y[i,w,k]."""
    r = (s.instance.requests.arrival_s - s.shift_s)[s.places.i]
    late = np.flatnonzero(r > 0)
    row = np.arange(len(late))
    terms = Terms().add(row, v.begin[s.stage[late]]).add(row, v.y[late], -r[late])
    return RowBlock.of("arrived", [s.names[j] for j in late.tolist()], terms, lower=0)


def ends(s: Sets, v: Columns) -> RowBlock:
    """completion[i] ≥ end[w,k] - H (1 - decodes[i,w,k])."""
    (i, w, _), every = s.places, np.arange(len(s.stage))
    least = earliest_completions(s.instance) - s.shift_s
    H = np.empty(len(s.K))
    for number, worker in enumerate(s.instance.workers):
        work = worker.prefill_time.seconds(s.p) + worker.decode_time.run_seconds(s.d, 1, s.p)
        H[number] = float(work[s.instance.fits_worker[:, number]].sum())
    H += float(s.instance.requests.arrival_s.max()) - s.shift_s
    if s.latest_s is not None:
        H = np.minimum(H, float(s.latest_s.max()) - s.shift_s)
    span = np.maximum(H[w] - least[i], 0.0)
    terms = Terms().add(every, v.completion[i]).add(every, v.end[s.stage], -1.0).add(every, v.decodes, -span)
    return RowBlock.of("ends", s.names, terms, lower=-span)
