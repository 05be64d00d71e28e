"""Index sets, parameters and variables of the stage-indexed model, in the letters of `stage_indexed`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from llmsched_mip.alone import earliest_completions
from llmsched_mip.models.blocks import LinearBlocks
from llmsched_mip.models.prefill import PrefillForm
from llmsched_mip.models.sets import InstanceSets, labels
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds

NONE = np.zeros(0, dtype=np.int64)


class Places(NamedTuple):
    """(i, w, k), k from 0: the index of y, decodes and g."""

    i: IntArray
    w: IntArray
    k: IntArray


@dataclass(frozen=True, eq=False)
class Sets(InstanceSets):
    """The sets of one model."""

    @cached_property
    def p(self) -> IntArray:
        """p_i, shape (n,)."""
        return self.instance.requests.prefill_tokens

    @cached_property
    def d(self) -> IntArray:
        """d_i, shape (n,)."""
        return self.instance.requests.decode_tokens

    @cached_property
    def D(self) -> IntArray:
        """D_w: most rounds of a stage, shape (W,)."""
        return np.array([int(self.d[fits].max(initial=0)) for fits in self.instance.fits_worker.T])

    @cached_property
    def timed(self) -> bool:
        """Whether times matter: stages then have variables for their begin and end."""
        return self.completion or self.arrivals

    @cached_property
    def fitting(self) -> IntArray:
        """n_w: requests that fit each worker, shape (W,)."""
        return np.asarray(self.instance.fits_worker.sum(axis=0), dtype=np.int64)

    @cached_property
    def K(self) -> IntArray:
        """K_w, shape (W,)."""
        return np.maximum(2 * self.fitting - 1, 0)

    @cached_property
    def stages(self) -> tuple[IntArray, IntArray]:
        """All (w, k)."""
        return np.repeat(np.arange(len(self.K)), self.K), within(self.K)

    @cached_property
    def _first_stage(self) -> IntArray:
        return np.cumsum(self.K) - self.K

    def stage_row(self, w: Any, k: Any) -> Any:
        """Place of stage k of worker w among all stages."""
        return self._first_stage[w] + k

    @cached_property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """All (i, w) with i on w."""
        i, w = np.nonzero(self.instance.fits_worker)
        return i, w

    @cached_property
    def pair(self) -> IntArray:
        """Which of the pairs each place belongs to."""
        return np.repeat(np.arange(len(self.pairs[0])), self.K[self.pairs[1]])

    @cached_property
    def places(self) -> Places:
        """All (i, w, k)."""
        i, w = self.pairs
        return Places(i[self.pair], w[self.pair], within(self.K[w]))

    @cached_property
    def stage(self) -> IntArray:
        """The stage of each place, among all stages."""
        return np.asarray(self.stage_row(self.places.w, self.places.k))

    def on_worker(self, w: int) -> IntArray:
        """The places of worker w."""
        return np.flatnonzero(self.places.w == w)

    @cached_property
    def served(self) -> list[int]:
        """Most requests in service at once on each worker."""
        return [min(w.slots or n, n) for w, n in zip(self.instance.workers, self.fitting.tolist(), strict=True)]

    @cached_property
    def prefill(self) -> list[PrefillForm]:
        """Levels of each worker."""
        arrival_s, fits = self.instance.requests.arrival_s, self.instance.fits_worker.T.astype(np.int64)
        return [
            PrefillForm.of(worker, self.p, count, arrival_s, max(1, served))
            for worker, count, served in zip(self.instance.workers, fits, self.served, strict=True)
        ]

    @cached_property
    def decode_s(self) -> FloatArray:
        """b d + c vol, shape (W, n), seconds."""
        volume = self.instance.kv_volume
        work = [decode_work_seconds(worker.decode_time, self.d, volume) for worker in self.instance.workers]
        return np.stack(work).astype(np.float64)

    # -- names ------------------------------------------------------------------------------------------------------

    @cached_property
    def requests(self) -> list[str]:
        """Labels of the requests."""
        return labels(list(self.instance.requests.id))

    @cached_property
    def names(self) -> list[tuple[str, ...]]:
        """Labels of the places."""
        i, w, k = (index.tolist() for index in self.places)
        return [(self.requests[a], self.workers[b], f"k{c + 1}") for a, b, c in zip(i, w, k, strict=True)]

    @cached_property
    def stage_names(self) -> list[tuple[str, str]]:
        """Labels of the stages."""
        w, k = (index.tolist() for index in self.stages)
        return [(self.workers[b], f"k{c + 1}") for b, c in zip(w, k, strict=True)]

    def names_on(self, w: int) -> list[tuple[str, str]]:
        """Labels of the stages of worker w."""
        return self.stage_names[self.stage_row(w, 0) : self.stage_row(w, int(self.K[w]))]


class Columns(NamedTuple):
    """Columns of each variable, in the order of its set; empty where the model has no such variable."""

    y: IntArray
    decodes: IntArray
    g: IntArray
    rho: IntArray
    used: IntArray
    held: dict[int, IntArray]
    """By worker with a KV limit."""
    on: dict[int, IntArray]
    """By worker whose iterations have a cost or a limit: shape (K_w, L)."""
    begin: IntArray = NONE
    end: IntArray = NONE
    makespan: IntArray = NONE
    completion: IntArray = NONE


class Formulation(NamedTuple):
    """A model: its sets, where its variables stand, and its blocks."""

    sets: Sets
    columns: Columns
    form: LinearBlocks


def declare(s: Sets, form: LinearBlocks) -> Columns:
    """Add the variables to a form without any."""
    i, stage_w = s.places.i, s.stages[0]
    y = form.add_variables("y", s.names, 0, 1, integer=True)
    decodes = form.add_variables("decodes", s.names, 0, 1, integer=True)
    g = form.add_variables("g", s.names, 0, s.d[i])
    rho = form.add_variables("rho", s.stage_names, 0, s.D[stage_w], integer=True)
    used = form.add_variables("used", s.stage_names, 0, 1, integer=True)
    held, on = {}, {}
    for w, worker in enumerate(s.instance.workers):
        here = s.on_worker(w)
        if worker.kv_capacity is not None and len(here):
            held[w] = form.add_variables(f"held_{w}", [s.names[j] for j in here.tolist()], 0, s.d[i[here]])
    for w, prefill in enumerate(s.prefill):
        if prefill.switched and s.K[w]:
            levels = [f"l{number + 1}" for number in range(len(prefill.seconds))]
            names = [(*name, level) for name in s.names_on(w) for level in levels]
            on[w] = form.add_variables(f"on_{w}", names, 0, 1, integer=True).reshape(-1, len(levels))
    begin = end = makespan = completion = NONE
    if s.timed:
        begin = form.add_variables("begin", s.stage_names)
        end = form.add_variables("end", s.stage_names)
    if s.completion:
        completion = form.add_variables("completion", s.requests, earliest_completions(s.instance) - s.shift_s)
    else:
        makespan = form.add_variables("makespan", ["seconds"])
    return Columns(y, decodes, g, rho, used, held, on, begin, end, makespan, completion)
