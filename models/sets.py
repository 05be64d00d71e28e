"""What formulations ask of an instance: its objective and clock, identical requests as types, readable labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds


@dataclass(frozen=True, eq=False)
class InstanceSets:
    """An instance and the rounds of each worker, as the indexed models see them.

    Parameters
    ----------
    instance : Instance
    horizon : int array, shape (W,)
        T_w: most rounds of each worker.
    least : int, optional
        Fewest decode rounds of any plan that matters, one worker.
    latest_s : float array, shape (n,), optional
        Latest completion of each request in any plan that matters, seconds.
    """

    instance: Instance
    horizon: IntArray
    least: int | None = None
    latest_s: FloatArray | None = None

    @cached_property
    def completion(self) -> bool:
        """Whether the objective is total completion; else it is the makespan."""
        return self.instance.objective == "total_completion"

    @cached_property
    def shift_s(self) -> float:
        """The first arrival, which is 0 in the model, seconds."""
        return float(self.instance.requests.arrival_s.min())

    @cached_property
    def arrivals(self) -> bool:
        """Whether a request arrives later than the first."""
        return bool((self.instance.requests.arrival_s > self.shift_s).any())

    @cached_property
    def round_s(self) -> FloatArray:
        """a_w, shape (W,), seconds."""
        return np.array([worker.decode_time.base_seconds(1) for worker in self.instance.workers], dtype=np.float64)

    @cached_property
    def workers(self) -> list[str]:
        """Labels of the workers."""
        return labels([worker.name for worker in self.instance.workers])


@dataclass(frozen=True, eq=False)
class RequestTypes:
    """Requests grouped into types; all arrays have shape (K,), `members` lists the requests of each type.

    Requests of a type have equal prompt, length, arrival, and where the objective has weights equal weight; so
    they fit the same workers.
    """

    p: IntArray
    d: IntArray
    arrival_s: FloatArray
    weight: FloatArray
    count: IntArray
    kv_volume: IntArray
    fits: np.ndarray
    members: list[list[int]]
    labels: list[str]

    def decode_work_s(self, worker: Worker) -> FloatArray:
        """b d + c vol of each type on a worker: shape (K,), seconds."""
        return np.asarray(decode_work_seconds(worker.decode_time, self.d, self.kv_volume), dtype=float)

    def __len__(self) -> int:
        return len(self.p)

    @classmethod
    def of(cls, instance: Instance, merge: bool) -> RequestTypes:
        """Group the requests of an instance; without `merge` each request is a type."""
        r = instance.requests
        keys = np.stack(
            [
                r.prefill_tokens.astype(np.float64),
                r.decode_tokens.astype(np.float64),
                r.arrival_s,
                r.weight if instance.objective == "total_completion" else np.zeros(instance.n),
                np.zeros(instance.n) if merge else np.arange(instance.n, dtype=np.float64),
            ],
            axis=1,
        )
        _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        group, first = rank[group.ravel()], np.sort(first)
        order = np.argsort(group, kind="stable")
        members = [part.tolist() for part in np.split(order, np.cumsum(np.bincount(group))[:-1])]
        return cls(
            r.prefill_tokens[first],
            r.decode_tokens[first],
            r.arrival_s[first],
            r.weight[first],
            np.bincount(group),
            instance.kv_volume[first],
            instance.fits_worker[first],
            members,
            labels([r.id[part[0]] + (f"_x{len(part)}" if len(part) > 1 else "") for part in members]),
        )

    def identical(self) -> list[tuple[int, int]]:
        """Pairs (k, next k) of types that agree in everything but their number, in order."""
        seen: dict[tuple[float, ...], int] = {}
        pairs = []
        for k, key in enumerate(
            zip(self.p.tolist(), self.d.tolist(), self.arrival_s.tolist(), self.weight.tolist(), strict=True)
        ):
            if key in seen:
                pairs.append((seen[key], k))
            seen[key] = k
        return pairs


def labels(names: list[str]) -> list[str]:
    """Names that every file format takes: letters, digits, ``_`` and ``.``, at most 24, unique."""
    short = [re.sub(r"[^A-Za-z0-9_.]", "_", name)[:24] for name in names]
    used: set[str] = set()
    for k, name in enumerate(short):
        if name in used or not name:
            short[k] = f"{name[:12]}.{k}"
        used.add(short[k])
    return short
