"""Requests over unlike workers by the fluid relaxation: every kind of worker gets what it is best at.

A heuristic: no bound rests on it.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip import solvers
from llmsched_mip.alone import alone_by_worker, alone_seconds
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid import placement_model
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds

LENGTHS, PROMPTS = 40, 25
"""Types of requests are at most so many groups by output, each of at most so many by prompt."""


@dataclass(frozen=True, eq=False)
class Fleet:
    """The workers of an instance by kind, and its requests by type.

    Parameters
    ----------
    instance : Instance
    latest_s : float
        A request may go only where it alone is complete by then; no less than the largest of `alone_seconds`.
    """

    instance: Instance
    latest_s: float = math.inf

    @cached_property
    def fits(self) -> np.ndarray:
        """Where each request may go, by kind: shape (n, kinds)."""
        firsts = [int(workers[0]) for workers in self.kinds]
        allowed = self.instance.fits_worker[:, firsts]
        if math.isfinite(self.latest_s):
            allowed = allowed & (alone_by_worker(self.instance)[:, firsts] <= self.latest_s)
        return allowed

    @property
    def kinds(self) -> list[IntArray]:
        """Numbers of the workers of each kind."""
        return self.instance.worker_kinds

    @cached_property
    def types(self) -> list[IntArray]:
        """Requests of each type: they fit the same workers, and have about the same lengths."""
        r, fits = self.instance.requests, self.fits
        pattern = np.unique(fits, axis=0, return_inverse=True)[1].reshape(-1)
        found = []
        for which in range(int(pattern.max()) + 1):
            alike = np.flatnonzero(pattern == which)
            alike = alike[np.lexsort((r.prefill_tokens[alike], r.decode_tokens[alike]))]
            for group in np.array_split(alike, min(LENGTHS, len(alike))):
                ordered = group[np.argsort(r.prefill_tokens[group], kind="stable")]
                found += np.array_split(ordered, min(PROMPTS, len(ordered)))
        return found

    def data(self, stretch: list[float]) -> placement_model.PlacementData:
        """Parameters of the model, in a unit of time in which requests take about one."""
        r, types = self.instance.requests, self.types
        limits = [Limits.of(self.instance, int(workers[0])) for workers in self.kinds]
        p, d, volume = (
            _means(column, types) for column in (r.prefill_tokens, r.decode_tokens, self.instance.kv_volume)
        )
        unit = math.frexp(float(alone_seconds(self.instance).max()))[1]
        seconds = [
            worker.prefill_time.prompt_seconds(p) + decode_work_seconds(worker.decode_time, d, volume)
            for worker in (limit.worker for limit in limits)
        ]
        first = np.array([group[0] for group in types])
        return placement_model.PlacementData(
            np.array([len(group) for group in types], dtype=np.float64),
            p,
            d,
            volume,
            np.ldexp(np.stack(seconds, axis=1), -unit),
            self.fits[first],
            [len(workers) for workers in self.kinds],
            stretch,
            [math.ldexp(limit.worker.decode_time.base_s, -unit) for limit in limits],
            [math.ldexp(limit.worker.prefill_time.fixed_seconds, -unit) for limit in limits],
            [float(max(limit.slots, 1)) for limit in limits],
            [float(max(limit.kv, 1)) for limit in limits],
            [float(max(limit.batch_tokens, 1)) for limit in limits],
        )

    def placed(self, stretch: list[float], budget: Budget) -> list[IntArray] | None:
        """Requests of every worker; None where the LP was not solved.

        Parameters
        ----------
        stretch : list of float
            For each kind, how much longer its plans take than the fluid relaxation says.
        """
        data = self.data(stretch)
        solution = solvers.solve_arrays(placement_model.build(data), budget=budget, threads=1).x
        if solution is None:
            return None
        shares = placement_model.extract(data, solution)
        parts: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(self.instance.workers)
        for workers, found in zip(self.kinds, by_kind(self.types, shares), strict=True):
            for w, dealt in zip(workers.tolist(), self._dealt(found, workers), strict=True):
                parts[w] = dealt
        return parts

    def _dealt(self, requests: IntArray, workers: IntArray) -> list[IntArray]:
        """The requests of a kind dealt to its workers by length, each to the one with the least work so far."""
        r, work = self.instance.requests, self.instance.work_seconds[requests, workers[0]]
        ordered = np.lexsort((r.prefill_tokens[requests], -r.decode_tokens[requests]))
        to = np.empty(len(requests), dtype=np.int64)
        loads = [(0.0, w) for w in range(len(workers))]
        for i, seconds in zip(ordered.tolist(), work[ordered].tolist(), strict=True):
            load, w = loads[0]
            to[i] = w
            heapq.heapreplace(loads, (load + seconds, w))
        return [requests[to == w] for w in range(len(workers))]


def _means(column: IntArray, types: list[IntArray]) -> FloatArray:
    return np.array([float(column[group].mean()) for group in types])


def by_kind(types: list[IntArray], shares: FloatArray) -> list[IntArray]:
    """The requests of each kind of workers, of `shares` of each type, shape (types, kinds)."""
    parts = [_split(group, share) for group, share in zip(types, shares, strict=True)]
    return [np.concatenate(found) for found in zip(*parts, strict=True)]


def _split(group: IntArray, share: FloatArray) -> list[IntArray]:
    """The members of a type in parts of about these sizes, each a mixture of it."""
    edges = np.rint(np.cumsum(share) / share.sum() * len(group)).astype(np.int64)
    # Members are in order of their prompts; a part takes every so manieth, not a run of them.
    mixed = group[np.argsort(np.arange(len(group)) * 0.6180339887498949 % 1.0, kind="stable")]
    return np.split(mixed, edges[:-1])
