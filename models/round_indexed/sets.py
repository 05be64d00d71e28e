"""Index sets and parameters of the round-indexed model, in the letters of `round_indexed`: all that rows are made from.

Everything is a flat array over the set that it belongs to, and none of it changes once it is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from llmsched_mip.models.horizon import least_rounds
from llmsched_mip.models.prefill import PrefillForm
from llmsched_mip.models.sets import InstanceSets, RequestTypes
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import times_are_rounds


@dataclass(frozen=True)
class Options:
    """Strengthenings of the model, each of which can be switched off; none cuts off all optimal plans.

    Parameters
    ----------
    types : identical requests as one type with a count, where times do not matter.
    symmetry : order identical requests that are not merged, identical workers, and iterations before a round.
    windows : latest starts from the horizon of each worker, first rounds fixed as used.
    covers : `used` in the slot and KV rows, and for each type and round (`in_use`), instead of at its last round.
    prefill : each start links to the binary of its iteration, and at least the fewest iterations run.
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
        return cls(**{switch.name: False for switch in fields(cls)})


class Starts(NamedTuple):
    """S, sorted: type, worker and first round of each."""

    k: IntArray
    w: IntArray
    t: IntArray


class Members(NamedTuple):
    """(k, w, t, q): each start with the iterations that may prefill it; `start` is its place in S."""

    start: IntArray
    k: IntArray
    w: IntArray
    t: IntArray
    q: IntArray


class Rounds(NamedTuple):
    """(w, t): all rounds of all workers."""

    w: IntArray
    t: IntArray


class Iterations(NamedTuple):
    """(w, t, q): all prefill iterations, q from 0."""

    w: IntArray
    t: IntArray
    q: IntArray


class Switches(NamedTuple):
    """(w, t, q, l) of the binaries `on`: which iteration, level from 0, its seconds s_l and tokens c_l."""

    iteration: IntArray
    level: IntArray
    seconds: FloatArray
    tokens: FloatArray


class Active(NamedTuple):
    """A(w, t) for all rounds: (round, start) pairs, and the rounds that the start has made, t - τ + 1."""

    round: IntArray
    start: IntArray
    made: IntArray


@dataclass(frozen=True, eq=False)
class Sets(InstanceSets):
    """The sets of one model.

    Parameters
    ----------
    instance, horizon, least, latest_s
        As in `InstanceSets`; default of `least`: `horizon.least_rounds`.
    options : Options
    part : Starts, optional
        Only these starts, and no times: see `neighbourhood`.
    most_iterations : sequence of int, shape (W,), optional
        Q_w is at most this.
    """

    options: Options = field(default_factory=Options)
    part: Starts | None = None
    most_iterations: list[int] | None = None

    # -- which form of the model ----------------------------------------------------------------------------------

    @cached_property
    def grid(self) -> bool:
        """Whether times are round numbers ("unit rounds")."""
        return times_are_rounds(self.instance) and (self.part is None or not self.arrivals)

    @cached_property
    def timed(self) -> bool:
        """Whether times matter: rounds and iterations then have variables for their seconds."""
        return self.part is None and not self.grid and (self.completion or self.arrivals)

    # -- K and W ----------------------------------------------------------------------------------------------------

    @cached_property
    def types(self) -> RequestTypes:
        """K: p_k, d_k, r_k, ω_k and n_k."""
        return RequestTypes.of(self.instance, self.options.types and not self.timed)

    @cached_property
    def counts(self) -> IntArray:
        """n_k where k fits w, else 0: shape (W, K)."""
        return np.where(self.types.fits.T, self.types.count, 0)

    @cached_property
    def served(self) -> IntArray:
        """Most requests in service at once on each worker: J_w, or all that fit; shape (W,)."""
        fitting = self.counts.sum(axis=1)
        workers = self.instance.workers
        return np.array([worker.most_slots(n) for worker, n in zip(workers, fitting.tolist(), strict=True)])

    @cached_property
    def prefill(self) -> list[PrefillForm]:
        """Iterations and levels of each worker."""
        arrival_s = np.zeros(len(self.types)) if self.grid else self.types.arrival_s
        forms = [
            PrefillForm.of(worker, self.types.p, count, arrival_s, served)
            for worker, count, served in zip(self.instance.workers, self.counts, self.served.tolist(), strict=True)
        ]
        if self.most_iterations is None:
            return forms
        return [form.at_most(most) for form, most in zip(forms, self.most_iterations, strict=True)]

    @cached_property
    def Q(self) -> IntArray:
        """Q_w: most iterations before one round, shape (W,)."""
        return np.array([form.iterations for form in self.prefill])

    # -- S ----------------------------------------------------------------------------------------------------------

    @cached_property
    def starts(self) -> Starts:
        """S: with unit rounds after the arrival, with `windows` by the latest completion."""
        if self.part is not None:
            return self.part
        types = self.types
        first = np.ones((len(types), len(self.horizon)), dtype=np.int64)
        last = self.horizon[None, :] - types.d[:, None] + 1
        if self.grid:
            first += np.rint((types.arrival_s - self.shift_s)[:, None] / self.round_s).astype(np.int64)
        if self.latest_s is not None and self.options.windows:
            last = np.minimum(last, self._latest_starts(self.latest_s))
        many = np.where(types.fits, np.maximum(last - first + 1, 0), 0).ravel()
        k, w = (np.repeat(index.ravel(), many) for index in np.indices(types.fits.shape))
        return Starts(k, w, within(many) + np.repeat(first.ravel(), many))

    def _latest_starts(self, latest_s: FloatArray) -> IntArray:
        """Latest first rounds, shape (K, W): t + d - 1 rounds, each with an active request, end by then."""
        types = self.types
        latest = latest_s[[members[0] for members in types.members]] - self.shift_s
        last = np.empty((len(types), len(self.horizon)))
        for w, worker in enumerate(self.instance.workers):
            least_s = float(worker.decode_time.round_seconds(1, int(types.p.min()) + 1))
            with np.errstate(divide="ignore"):
                last[:, w] = np.floor(np.divide(latest, least_s) * (1 + 1e-9) + 1e-9)
        bounded = np.clip(np.nan_to_num(last, posinf=2**40), 0, 2**40).astype(np.int64)
        return bounded - types.d[:, None] + 1

    @cached_property
    def members(self) -> Members:
        """Starts with their iterations; as many as starts where Q_w = 1 everywhere."""
        k, w, t = self.starts
        repeat = self.Q[w]
        start = np.repeat(np.arange(len(k)), repeat)
        return Members(start, k[start], w[start], t[start], within(repeat))

    @cached_property
    def split(self) -> bool:
        """Whether there is a z beside x: a round may have several iterations."""
        return bool((self.Q > 1).any())

    # -- rounds and iterations --------------------------------------------------------------------------------------

    @cached_property
    def rounds(self) -> Rounds:
        """All (w, t)."""
        return Rounds(np.repeat(np.arange(len(self.horizon)), self.horizon), within(self.horizon) + 1)

    @cached_property
    def iterations(self) -> Iterations:
        """All (w, t, q)."""
        w, t = self.rounds
        repeat = self.Q[w]
        return Iterations(np.repeat(w, repeat), np.repeat(t, repeat), within(repeat))

    @cached_property
    def _first_round(self) -> IntArray:
        return np.asarray(np.cumsum(self.horizon) - self.horizon)

    @cached_property
    def _first_iteration(self) -> IntArray:
        many = self.horizon * self.Q
        return np.asarray(np.cumsum(many) - many)

    def round_row(self, w: Any, t: Any) -> Any:
        """Place of (w, t) among the rounds."""
        return self._first_round[w] + t - 1

    def iteration_row(self, w: Any, t: Any, q: Any) -> Any:
        """Place of (w, t, q) among the iterations."""
        return self._first_iteration[w] + (t - 1) * self.Q[w] + q

    @cached_property
    def prefilled_in(self) -> IntArray:
        """Iteration of each member."""
        return np.asarray(self.iteration_row(self.members.w, self.members.t, self.members.q))

    @cached_property
    def last(self) -> IntArray:
        """Last round of each start, as its place among the rounds."""
        return np.asarray(self.round_row(self.starts.w, self.starts.t + self.types.d[self.starts.k] - 1))

    def active(self) -> Active:
        """A(w, t): not kept, it is as large as the rows that are made from it."""
        k, w, t = self.starts
        rounds = self.types.d[k]
        start, made = np.repeat(np.arange(len(k)), rounds), within(rounds) + 1
        return Active(self.round_row(w[start], t[start] + made - 1), start, made)

    @cached_property
    def surely(self) -> FloatArray:
        """1 for the rounds that every plan that matters runs, shape (rounds,): with `windows` the fewest rounds."""
        if not self.options.windows or len(self.horizon) > 1:
            return np.zeros(len(self.rounds.w))
        fewest = least_rounds(self.instance) if self.least is None else self.least
        return (self.rounds.t <= fewest).astype(np.float64)

    # -- levels -----------------------------------------------------------------------------------------------------

    @cached_property
    def switched(self) -> IntArray:
        """Iterations that need a binary: a request may be in them, and they have a cost or a limit."""
        begun = np.bincount(self.prefilled_in, minlength=len(self.iterations.w)) > 0
        return np.flatnonzero(np.array([form.switched for form in self.prefill])[self.iterations.w] & begun)

    @cached_property
    def L(self) -> IntArray:
        """Levels of each iteration of `switched`."""
        return np.array([len(form.seconds) for form in self.prefill])[self.iterations.w[self.switched]]

    @cached_property
    def switches(self) -> Switches:
        """The binaries `on`, those of one iteration together."""
        iteration, level = np.repeat(self.switched, self.L), within(self.L)
        first = np.cumsum([0, *(len(form.seconds) for form in self.prefill[:-1])])
        place = first[self.iterations.w[iteration]] + level
        seconds, tokens = (
            np.concatenate(values)[place]
            for values in zip(*((form.seconds, form.tokens) for form in self.prefill), strict=True)
        )
        return Switches(iteration, level, seconds, tokens)

    # -- seconds of requests ----------------------------------------------------------------------------------------

    @cached_property
    def decode_s(self) -> FloatArray:
        """b d + c vol, shape (W, K), seconds."""
        return np.stack([self.types.decode_work_s(worker) for worker in self.instance.workers])

    @cached_property
    def work_s(self) -> FloatArray:
        """A prefill alone, and b d + c vol; infinite where k does not fit w: shape (W, K), seconds."""
        prefill_s = np.stack([worker.prefill_time.seconds(self.types.p) for worker in self.instance.workers])
        return np.where(self.types.fits.T, prefill_s + self.decode_s, np.inf)

    @cached_property
    def least_extra_s(self) -> FloatArray:
        """Least that the seconds beyond the bases of rounds can be when k completes: shape (K,)."""
        return np.asarray(np.maximum(self.work_s.min(axis=0), 0.0))

    # -- names ------------------------------------------------------------------------------------------------------

    def names(self, *index: IntArray, k: IntArray | None = None) -> list[tuple[str, ...]]:
        """Labels of (w, t), (w, t, q) or (w, t, q, l), with `k` of (k, w, t, ...), e.g. ('r5', 'w0', 't12').

        Iterations and levels count from 0 here, and from 1 in the names.
        """
        parts = [] if k is None else [[self.types.labels[j] for j in k.tolist()]]
        parts.append([self.workers[w] for w in index[0].tolist()])
        for letter, first, values in zip("tql", (0, 1, 1), index[1:], strict=False):
            parts.append([f"{letter}{value}" for value in (values + first).tolist()])
        return list(zip(*parts, strict=True))
