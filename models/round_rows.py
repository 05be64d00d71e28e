"""Blocks of the round-indexed model; the mathematics, in the same letters, stands in `round_indexed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.models import completion_rows
from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.linear import LinearBlocks, Terms
from llmsched_mip.models.prefill_form import PrefillForm
from llmsched_mip.models.request_types import RequestTypes, labels
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.spans import within
from llmsched_mip.timing import (
    FloatArray,
    IntArray,
    request_kv_peak,
    run_kv_peak,
)
from llmsched_mip.unit_rounds import times_are_rounds

if TYPE_CHECKING:
    from llmsched_mip.models.round_indexed import Options
    from llmsched_mip.models.round_part import Part


class RoundRows:
    """States the blocks of the model in `form`, and knows which column is which start.

    Parameters
    ----------
    instance : Instance
    objective : str
    horizon : int array, shape (W,)
    least : int or None
    options : Options
    latest_s : float array, shape (n,), or None
        Latest completion of each request in any plan that matters, seconds.
    part : Part or None
        Only these starts, and the objective to first order around a plan; see `round_part`.
    """

    extra: IntArray
    """Columns extra[w, t], where times matter; set by `round_times`."""

    def __init__(
        self,
        instance: Instance,
        objective: str,
        horizon: IntArray,
        least: int | None,
        options: Options,
        latest_s: FloatArray | None = None,
        part: Part | None = None,
    ):
        self.instance, self.objective, self.options, self.part = instance, objective, options, part
        self.form = LinearBlocks()
        self.horizon, self.least, self.latest_s = horizon, least, latest_s
        self.completion = objective == "total_completion"
        arrival = instance.requests.arrival_s
        self.shift = float(arrival.min())
        self.arrivals = bool((arrival > self.shift).any())
        self.grid = times_are_rounds(instance) and (part is None or not self.arrivals)
        self.timed = part is None and not self.grid and (self.completion or self.arrivals)
        self.types = RequestTypes.of(instance, options.types and not self.timed, self.completion)
        self.worker_labels = labels([worker.name for worker in instance.workers])
        self.served = [self._served(w) for w in range(len(instance.workers))]
        later = np.zeros(len(self.types)) if self.grid else self.types.arrival_s
        self.prefill = [
            PrefillForm.of(worker, self.types.p, self._count(w), later, self.served[w])
            for w, worker in enumerate(instance.workers)
        ]
        if part is not None:
            self.prefill = [own.at_most(most) for own, most in zip(self.prefill, part.iterations, strict=True)]
        self.has_z = any(own.iterations > 1 for own in self.prefill)
        self.has_used = not self.completion
        self._places(latest_s)

    def _count(self, w: int) -> IntArray:
        return np.where(self.types.fits[:, w], self.types.count, 0)

    def _served(self, w: int) -> int:
        slots = self.instance.workers[w].slots
        fitting = int(self._count(w).sum())
        return fitting if slots is None else min(slots, fitting)

    # -- columns ------------------------------------------------------------------------------------------------

    def _places(self, latest_s: FloatArray | None) -> None:
        """Starts (k, w, t, 0), members (k, w, t, q), and iterations (w, t, q)."""
        own = self.types
        first_of = np.ones((len(own), len(self.horizon)), dtype=np.int64)
        last_of = self.horizon[None, :] - own.d[:, None] + 1
        if self.grid:
            bases = np.array([worker.decode_time.base_s for worker in self.instance.workers])
            first_of += np.rint((own.arrival_s - self.shift)[:, None] / bases).astype(np.int64)
        if latest_s is not None and self.options.windows:
            last_of = np.minimum(last_of, self._latest_starts(latest_s))
        if self.part is not None:
            k, w, t = self.part.starts
        else:
            many = np.where(own.fits, np.maximum(last_of - first_of + 1, 0), 0)
            k, w = (np.repeat(grid.ravel(), many.ravel()) for grid in np.indices(many.shape))
            begin = np.cumsum(many.ravel()) - many.ravel()
            t = np.arange(len(k)) - np.repeat(begin, many.ravel()) + np.repeat(first_of.ravel(), many.ravel())
        self.starts = (k, w, t, np.zeros(len(k), dtype=np.int64))
        self.round_first = np.concatenate(([0], np.cumsum(self.horizon)))
        iterations = np.array([form.iterations for form in self.prefill])
        repeat = iterations[w]
        source = np.repeat(np.arange(len(k)), repeat)
        q = within(repeat)
        self.member_start = source
        self.members = (k[source], w[source], t[source], q)
        self.iteration_first = np.concatenate(([0], np.cumsum(self.horizon * iterations)))

    def _latest_starts(self, latest_s: FloatArray) -> IntArray:
        """Latest first rounds, shape (K, W): t + d - 1 rounds, each with an active request, end by then."""
        latest = latest_s[[members[0] for members in self.types.members]] - self.shift
        last = np.empty((len(self.types), len(self.horizon)))
        for w, worker in enumerate(self.instance.workers):
            least_s = float(worker.decode_time.round_seconds(1, int(self.types.p.min()) + 1))
            with np.errstate(divide="ignore"):
                last[:, w] = np.floor(np.divide(latest, least_s) * (1 + 1e-9) + 1e-9)
        bounded = np.clip(np.nan_to_num(last, posinf=2**40), 0, 2**40).astype(np.int64)
        return bounded - self.types.d[:, None] + 1

    def round_row(self, w: Any, t: Any) -> Any:
        """Number of (w, t) among all rounds of all workers."""
        return self.round_first[w] + t - 1

    def iteration_row(self, w: Any, t: Any, q: Any) -> Any:
        """Number of (w, t, q) among all iterations."""
        many = np.array([form.iterations for form in self.prefill])
        return self.iteration_first[w] + (t - 1) * many[w] + q

    def _labels(self, *parts: Any) -> list[tuple[str, ...]]:
        """Index labels of (k, w, t, q), (w, t, q) or (w, t) arrays, e.g. ('r5', 'w0', 't12')."""
        names: list[list[str]] = []
        if parts[0] is not None:
            names.append([self.types.labels[k] for k in parts[0].tolist()])
        names.append([self.worker_labels[w] for w in parts[1].tolist()])
        for letter, own in zip("tql", parts[2:], strict=False):
            names.append([f"{letter}{v}" for v in own.tolist()])
        return list(zip(*names, strict=True))

    def rounds(self) -> tuple[IntArray, IntArray]:
        """Arrays (w, t) of all rounds of all workers."""
        w = np.repeat(np.arange(len(self.horizon)), self.horizon)
        return w, np.arange(len(w)) - self.round_first[w] + 1

    def iterations(self) -> tuple[IntArray, IntArray, IntArray]:
        """Arrays (w, t, q) of all prefill iterations."""
        w, t = self.rounds()
        repeat = np.array([form.iterations for form in self.prefill])[w]
        q = within(repeat)
        return np.repeat(w, repeat), np.repeat(t, repeat), q

    # -- blocks -------------------------------------------------------------------------------------------------

    def state(self, objective_bound: float | None) -> None:
        """State all blocks."""
        from llmsched_mip.models import round_part, round_times

        own, (k, w, t, _) = self.types, self.starts
        self.x = self.form.add_variables("x", self._labels(k, w, t), 0, own.count[k], integer=True)
        self.z = self.x
        if self.has_z:
            mk, mw, mt, mq = self.members
            self.z = self.form.add_variables("z", self._labels(mk, mw, mt, mq + 1), 0, own.count[mk], integer=True)
            terms = Terms().add(self.member_start, self.z).add(np.arange(len(k)), self.x, -1.0)
            self.form.add_rows("split", self._labels(k, w, t), terms, 0, 0)
        if self.has_used:
            self._used()
        self._assign()
        self._occupancy()
        if self.options.completions and self.part is None:
            completion_rows.state(self)
        self._prefill()
        if self.part is not None:
            round_part.state(self, self.part)
        else:
            round_times.state(self, objective_bound)
        if self.options.symmetry:
            self._symmetry()

    def _assign(self) -> None:
        terms = Terms().add(self.starts[0], self.x)
        labels_ = list(self.types.labels)
        self.form.add_rows("assign", labels_, terms, self.types.count, self.types.count)

    def _used(self) -> None:
        w, t = self.rounds()
        least = np.zeros(len(w))
        if self.options.windows and len(self.horizon) == 1:
            fewest = least_rounds(self.instance) if self.least is None else self.least
            least = (t <= fewest).astype(np.float64)
        self.used_fixed = least
        self.used = self.form.add_variables("used", self._labels(None, w, t), least, 1, integer=True)
        pair = np.flatnonzero((w[:-1] == w[1:]) & (least[1:] == 0)) if len(w) else np.zeros(0, dtype=np.int64)
        terms = Terms().add(np.arange(len(pair)), self.used[pair])
        terms.add(np.arange(len(pair)), self.used[pair + 1], -1.0)
        self.form.add_rows("order", self._labels(None, w[pair], t[pair]), terms, 0)
        self._in_use()

    def _in_use(self) -> None:
        """With covers a row for each type and round, else one for each start at its last round."""
        own, (k, w, t, _) = self.types, self.starts
        last = self.round_row(w, t + own.d[k] - 1)
        if not self.options.covers:
            rows = np.flatnonzero(self.used_fixed[last] == 0)
            terms = Terms().add(np.arange(len(rows)), self.x[rows])
            terms.add(np.arange(len(rows)), self.used[last[rows]], -own.count[k[rows]].astype(float))
            self.form.add_rows("in_use", self._labels(k[rows], w[rows], t[rows]), terms, upper=0)
            return
        terms, rows = self.tails(self.used_fixed == 0)
        last = last[rows]
        terms.add(np.arange(len(rows)), self.used[last], -own.count[k[rows]].astype(float))
        rw, rt = self.rounds()
        self.form.add_rows("in_use", self._labels(k[rows], rw[last], rt[last]), terms, upper=0)

    def tails(self, wanted: np.ndarray) -> tuple[Terms, IntArray]:
        """Σ_{τ > t - d_k} x[k,w,τ] for the (k, w, t) of `wanted` rounds t in which a start of k ends.

        A round between two of these says no more than the later one.  Returned with the rows: the start behind each.
        """
        own, (k, w, t, _) = self.types, self.starts
        rows = np.flatnonzero(wanted[self.round_row(w, t + own.d[k] - 1)])
        group = k * len(self.horizon) + w
        ends = np.searchsorted(group, group[rows], side="right")
        span = ends - rows
        row = np.repeat(np.arange(len(rows)), span)
        column = within(span) + rows[row]
        return Terms().add(row, self.x[column]), rows

    def active(self) -> tuple[IntArray, IntArray, IntArray]:
        """All (round row, start, rounds of the start so far) with the start active in the round."""
        own, (k, w, t, _) = self.types, self.starts
        span = own.d[k]
        start = np.repeat(np.arange(len(k)), span)
        made = within(span) + 1
        return self.round_row(w[start], t[start] + made - 1), start, made

    def _occupancy(self) -> None:
        """Rows of the rounds in which a start may end: until the next of these nobody leaves, and KV only grows."""
        row, start, made = self.active()
        w, t = self.rounds()
        kv = run_kv_peak(made, 1, self.types.p[self.starts[0][start]])
        for name, limit, value in (("slots", "slots", 1.0), ("kv", "kv_capacity", kv)):
            limits = [getattr(worker, limit) for worker in self.instance.workers]
            size = np.array([np.inf if own is None else float(own) for own in limits])
            # A limit that the requests cannot reach together needs no row; as a coefficient it may be out of range.
            each = 1 if name == "slots" else request_kv_peak(self.types.p, self.types.d)
            size = np.where(size >= [(self._count(v) * each).sum() for v in range(len(size))], np.inf, size)
            ending = np.zeros(len(w), dtype=bool)
            ending[row[made == self.types.d[self.starts[0][start]]]] = True
            rows = np.flatnonzero(np.isfinite(size[w]) & (ending if self.options.covers else True))
            place = np.full(len(w), -1, dtype=np.int64)
            place[rows] = np.arange(len(rows))
            keep = place[row] >= 0
            value = np.broadcast_to(value, row.shape)
            terms = Terms().add(place[row[keep]], self.x[start[keep]], value[keep])
            upper = size[w[rows]]
            if self.has_used and self.options.covers:
                terms.add(np.arange(len(rows)), self.used[rows], -upper)
                upper = np.zeros(len(rows))
            self.form.add_rows(name, self._labels(None, w[rows], t[rows]), terms, upper=upper)

    def _prefill(self) -> None:
        """Binaries of iterations; `iteration_s` holds the seconds of each as terms, row by `iteration_row`."""
        self.iteration_s = Terms()
        k, w, t, q = self.members
        row = self.iteration_row(w, t, q)
        prompt_s = np.array([form.prompt_s for form in self.prefill])[w, k]
        paid = np.flatnonzero(prompt_s)
        self.iteration_s.add(row[paid], self.z[paid], prompt_s[paid])
        iw, it, iq = self.iterations()
        switched = np.array([form.switched for form in self.prefill])
        begun = np.bincount(row, minlength=len(iw)) > 0
        pick = np.flatnonzero(switched[iw] & begun)
        self.on_row = np.full(len(iw), -1, dtype=np.int64)
        self.on_row[pick] = np.arange(len(pick))
        levels = np.array([len(form.seconds) for form in self.prefill])[iw[pick]]
        number = np.repeat(np.arange(len(pick)), levels)
        level = within(levels)
        source = pick[number]
        names = self._labels(None, iw[source], it[source], iq[source] + 1, level + 1)
        self.on = self.form.add_variables("on", names, 0, 1, integer=True)
        self.on_of, self.on_level, self.on_worker = source, level, iw[source]
        most = max((len(form.seconds) for form in self.prefill), default=1)
        seconds, tokens = np.zeros((len(self.prefill), most)), np.zeros((len(self.prefill), most))
        for v, form in enumerate(self.prefill):
            seconds[v, : len(form.seconds)], tokens[v, : len(form.tokens)] = form.seconds, form.tokens
        self.on_seconds, self.on_tokens = seconds[iw[source], level], tokens[iw[source], level]
        self.iteration_s.add(source, self.on, self.on_seconds)
        if len(pick):
            self._prefill_limits(row, number, (iw[pick], it[pick], iq[pick]))

    def _prefill_limits(self, row: IntArray, number: IntArray, index: tuple[IntArray, ...]) -> None:
        k = self.members[0]
        names, rows = self._labels(None, index[0], index[1], index[2] + 1), len(index[0])
        own = self.on_row[row]
        keep = np.flatnonzero(own >= 0)
        served = np.array(self.served, dtype=np.float64)
        runs = Terms().add(own[keep], self.z[keep]).add(number, self.on, -served[self.on_worker])
        self.form.add_rows("runs", names, runs, upper=0)
        finite = np.isfinite(self.on_tokens)
        if finite.any():
            place = np.full(rows, -1, dtype=np.int64)
            limited = np.unique(number[finite])
            place[limited] = np.arange(len(limited))
            held = keep[place[own[keep]] >= 0]
            tokens = Terms().add(place[own[held]], self.z[held], self.types.p[k[held]])
            tokens.add(place[number[finite]], self.on[finite], -self.on_tokens[finite])
            self.form.add_rows("tokens", [names[j] for j in limited.tolist()], tokens, upper=0)
        several = np.flatnonzero(np.bincount(number, minlength=rows) > 1)
        if len(several):
            place = np.full(rows, -1, dtype=np.int64)
            place[several] = np.arange(len(several))
            pick = place[number] >= 0
            one = Terms().add(place[number[pick]], self.on[pick])
            self.form.add_rows("one", [names[j] for j in several.tolist()], one, upper=1)
        if self.options.prefill:
            self._links(keep, own, number)

    def _links(self, keep: IntArray, own: IntArray, number: IntArray) -> None:
        """z[k,w,t,q] ≤ min(n_k, J_w) Σ_l on[w,t,q,l]; the fewest iterations of a single worker run."""
        k, w, t, q = self.members
        most = np.minimum(self.types.count[k[keep]], np.array(self.served)[w[keep]]).astype(float)
        order = np.argsort(number, kind="stable")
        first = np.searchsorted(number[order], np.arange(number.max() + 2))
        span = np.diff(first)[own[keep]]
        row = np.repeat(np.arange(len(keep)), span)
        inside = within(span)
        column = self.on[order[first[own[keep]][row] + inside]]
        terms = Terms().add(np.arange(len(keep)), self.z[keep]).add(row, column, -most[row])
        self.form.add_rows("links", self._labels(k[keep], w[keep], t[keep], q[keep] + 1), terms, upper=0)
        if len(self.prefill) == 1:
            fewest = -(-self.instance.n // max(1, self.served[0]))
            largest = float(self.prefill[0].tokens[-1])
            if np.isfinite(largest):
                fewest = max(fewest, -int(-int(self.instance.requests.prefill_tokens.sum()) // largest))
            self.form.add_rows("fewest_prefills", ["w"], Terms().add(0, self.on), lower=fewest)

    def _symmetry(self) -> None:
        """Identical requests by start, identical workers by number of requests, iterations used from the first."""
        k, w, t, _ = self.starts
        pairs = [] if not self.timed else self.types.identical()
        if pairs:
            terms, place = Terms(), (self.round_row(w, t) + 1).astype(float)
            for r, (one, other) in enumerate(pairs):
                for own, sign in ((one, 1.0), (other, -1.0)):
                    columns = np.flatnonzero(k == own)
                    terms.add(r, self.x[columns], sign * place[columns])
            self.form.add_rows("alike", [self.types.labels[other] for _, other in pairs], terms, upper=0)
        alike = [
            v
            for v in range(1, len(self.prefill))
            if self.instance.workers[v - 1].kind == self.instance.workers[v].kind
            and self.horizon[v - 1] == self.horizon[v]
        ]
        if alike and not pairs:
            terms = Terms()
            for r, v in enumerate(alike):
                terms.add(r, self.x[w == v]).add(r, self.x[w == v - 1], -1.0)
            self.form.add_rows("workers_alike", [self.worker_labels[v] for v in alike], terms, upper=0)
        self._iterations_in_order()

    def _iterations_in_order(self) -> None:
        w, t, q = self.iterations()
        later = np.flatnonzero((q > 0) & (self.on_row >= 0))
        if not len(later):
            return
        number = np.full(len(w), -1, dtype=np.int64)
        number[later] = np.arange(len(later))
        after = number[self.on_of]
        before = np.where(self.on_of + 1 < len(w), number[np.minimum(self.on_of + 1, len(w) - 1)], -1)
        terms = Terms().add(after[after >= 0], self.on[after >= 0])
        terms.add(before[before >= 0], self.on[before >= 0], -1.0)
        self.form.add_rows("in_turn", self._labels(None, w[later], t[later], q[later] + 1), terms, upper=0)

    # -- solutions ----------------------------------------------------------------------------------------------

    def values_of(self, starts: list[Start]) -> FloatArray | None:
        """Values of the integer columns in a plan, shape (columns,); None where the plan has no place."""
        from llmsched_mip.models.round_values import values_of

        return values_of(self, starts)
