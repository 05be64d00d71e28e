"""A family: a name and a seed give an instance whose lengths follow published figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Requests
from llmsched_mip.limits import MOST_REQUESTS
from llmsched_mip.text_column import TextColumn
from llmsched_mip.timing import IntArray
from llmsched_mip.workload.deployments import deployment

Lengths = Callable[[int, int], tuple[IntArray, IntArray]]


class Family(Protocol):
    """Generates instances: a number of requests (None: the family's own) and a seed in, an instance out."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def summary(self) -> str:
        """One line on what it is."""

    def __call__(self, requests: int | None = None, seed: int = 0) -> Instance:
        """Generate an instance."""


def request_ids(count: int) -> TextColumn:
    """Ids ``r0, r1, ...``."""
    return TextColumn(f"r{i}" for i in range(count))


def instance_name(family: str, requests: int, default: int | None, seed: int) -> str:
    """Name of the family, with the number of requests and the seed where they are not the default."""
    count = "" if requests == default else f"-n{requests}"
    return family + count + (f"-s{seed}" if seed else "")


def require_count(requests: int) -> None:
    """Raise `InvalidInputError` when there is nothing to generate, or more than a machine holds."""
    if requests < 1:
        raise InvalidInputError("requests", f"expected an integer ≥ 1, got {requests}")
    if requests > MOST_REQUESTS:
        raise InvalidInputError("requests", f"expected at most {MOST_REQUESTS}, got {requests}")


@dataclass(frozen=True)
class LengthFamily:
    """A backlog on one worker whose lengths are drawn by `lengths`; call it with a count and a seed.

    Parameters
    ----------
    name, summary : str
    requests : int
        Number of requests where none is given.
    worker : str
        Name of the deployment.
    lengths : callable
        Count and seed in; prefill and decode tokens out, each of shape (count,).
    source : str
        What is published and what is inferred.
    slots, kv_capacity : int, optional
        In place of the deployment's.
    """

    name: str
    summary: str
    requests: int
    worker: str
    lengths: Lengths
    source: str
    slots: int | None = None
    kv_capacity: int | None = None

    def __call__(self, requests: int | None = None, seed: int = 0) -> Instance:
        """Generate `requests` requests (the family's number by default) from `seed`."""
        count = self.requests if requests is None else requests
        require_count(count)
        prefill, decode = self.lengths(count, seed)
        worker = deployment(self.worker, published=True)
        if self.slots is not None:
            worker = replace(worker, slots=self.slots)
        if self.kv_capacity is not None:
            worker = replace(worker, kv_capacity=self.kv_capacity)
        return Instance(
            name=instance_name(self.name, count, self.requests, seed),
            requests=Requests(request_ids(count), prefill, decode),
            workers=(worker,),
            description=f"{self.summary} Family {self.name}, {count} requests, seed {seed}.",
            source=self.source,
        )
