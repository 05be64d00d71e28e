"""What an executor shows to a policy and what a policy answers.

A policy sees requests by index.  Of an unfinished request's decode length it sees only what `Lengths` holds:
the value, its prediction interval, or nothing.  It never gets the instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Worker
from llmsched_mip.limits import MOST_LIMIT, finite
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray

VISIBILITY = ("known", "interval", "unknown")


@dataclass(frozen=True, eq=False)
class Lengths:
    """What may be seen of the decode lengths.

    Parameters
    ----------
    visible : str
        ``known``, ``interval`` or ``unknown``.
    lower, upper : int array, shape (n,), or None
        Least and largest length that the policy may assume, tokens; equal when known, None when unknown.
    """

    visible: str
    lower: IntArray | None
    upper: IntArray | None

    @classmethod
    def of(cls, instance: Instance, visible: str) -> Lengths:
        """Hide what `visible` does not allow; raises `InvalidInputError` when the instance has no intervals."""
        requests = instance.requests
        if visible == "known":
            return cls(visible, requests.decode_tokens, requests.decode_tokens)
        if visible == "unknown":
            return cls(visible, None, None)
        if visible != "interval":
            raise InvalidInputError("lengths", f"expected one of {', '.join(VISIBILITY)}, got {visible!r}")
        if requests.decode_lower is None:
            raise InvalidInputError(
                "requests.decode_lower",
                "lengths 'interval' needs decode_lower and decode_upper in the instance",
            )
        return cls(visible, requests.decode_lower, requests.decode_upper)


@dataclass(frozen=True, eq=False)
class Problem:
    """The part of an instance that a policy may see: workers, prompts, weights, visible lengths, and a plan.

    `prefill_tokens` and `weight` have shape (n,); a policy acts on a request only after `arrived`.
    """

    workers: tuple[Worker, ...]
    prefill_tokens: IntArray
    weight: FloatArray
    lengths: Lengths
    objective: str
    plan: Plan | None = None
    seed: int = 0

    @classmethod
    def of(cls, instance: Instance, visible: str, plan: Plan | None = None, seed: int = 0) -> Problem:
        """Show `instance` with lengths as far as `visible` allows."""
        requests = instance.requests
        lengths = Lengths.of(instance, visible)
        return cls(
            instance.workers,
            requests.prefill_tokens,
            requests.weight,
            lengths,
            instance.objective,
            plan,
            seed,
        )

    def blind(self) -> Problem:
        """The same with nothing visible of the lengths."""
        return replace(self, lengths=Lengths("unknown", None, None))


class Prefill(NamedTuple):
    """Run one prefill iteration of `requests`, into `slots` if given (else the lowest free slots)."""

    requests: list[int]
    slots: Sequence[int] | None = None


class Decode(NamedTuple):
    """Run decode rounds until a request completes, at most `rounds`.

    With `wake` the run also ends at the first iteration boundary after a request arrives.
    """

    rounds: int | None = None
    wake: bool = True


class Wait(NamedTuple):
    """Run nothing until a request arrives or `until` (seconds) has passed."""

    until: float | None = None


class Evict(NamedTuple):
    """Evict active requests at once: they lose slot, KV and tokens and wait again; the worker then decides anew."""

    requests: list[int]


Decision = Prefill | Decode | Wait | Evict


class WorkerView:
    """The state of one worker at an iteration boundary, as a policy sees it.

    Attributes
    ----------
    index : int
        Number of the worker.
    worker : Worker
    time : float
        Seconds.
    rounds : int
        Decode rounds that the worker has run so far.
    started : dict of int to int
        Active requests and the value of `rounds` when they started: ``rounds - started[i]`` tokens are made.
    free_slots : int
        Idle slots that are open; a very large number where the worker has no slot limit.
    slots : int or None
        Slots that are open now, for a timetable may close some; None: no slot limit.
    kv_held : int
        KV tokens held.
    """

    __slots__ = ("free_slots", "index", "kv_held", "rounds", "slots", "started", "time", "worker")

    def __init__(self, index: int, worker: Worker):
        self.index, self.worker = index, worker
        self.time, self.rounds, self.kv_held = 0.0, 0, 0
        self.started: dict[int, int] = {}
        self.slots = worker.slots
        self.free_slots: int = finite(worker.slots, MOST_LIMIT)

    @property
    def active(self) -> int:
        """Number of active requests."""
        return len(self.started)

    @property
    def overflows(self) -> bool:
        """Whether one more round of all active requests would hold more than the KV cache."""
        capacity = self.worker.kv_capacity
        return capacity is not None and self.kv_held + len(self.started) > capacity


class Policy(Protocol):
    """An online decision rule; a class that names it as its base takes over the last two as they are."""

    def arrived(self, request: int, time: float) -> None:
        """Note that `request` may now be prefilled (on its arrival, and again after an eviction)."""

    def decide(self, view: WorkerView) -> Decision:
        """Say what the worker of `view` runs next."""
        ...

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Note that `request` has made its last token, the `length`-th, on the worker of `view`."""

    def evict(self, view: WorkerView) -> list[int]:
        """Name active requests to evict because one more round would overflow the KV cache.

        By default the one that started last (least work lost); of several the one that stands last in the instance.
        """
        return [max(view.started, key=lambda i: (view.started[i], i))]


def decode_or_wait(view: WorkerView, wake: bool) -> Decision:
    """Decode on until the next completion, or wait where nothing is active."""
    return Decode(None, wake) if view.started else Wait()


def prompt_tokens(problem: Problem) -> list[int]:
    """Prompt lengths as Python integers: scalar access to a list is much faster than to an array."""
    prompts: list[int] = problem.prefill_tokens.tolist()
    return prompts
