"""What waits for one worker under mixed execution, in the order in which it is admitted.

Evicted requests are not among them: they stand in front of all.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies import make_policy, split_option
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.protocol import Problem, WorkerView

ARRIVAL = ("vllm", "fcfs")
WITHOUT_ORDER = {
    "geometric-slicing": "restarts requests after slices of time, which a mixed engine does not do",
}
"""Policies that are more than an order of what waits, and why a mixed engine cannot follow them."""


class WaitingOrder(Protocol):
    """The requests that wait for one worker.

    Attributes
    ----------
    late : bool
        Whether a request that arrives always stands behind all that wait.
    """

    late: bool

    def __len__(self) -> int:
        """How many wait."""
        ...

    def arrived(self, request: int, time: float) -> None:
        """Queue a request."""
        ...

    def first(self, view: WorkerView) -> int:
        """The request that is next; something waits."""
        ...

    def take(self, request: int, view: WorkerView) -> None:
        """Take the first out: it is admitted."""
        ...

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Note that a request has made its last token, the `length`-th."""
        ...


class ArrivalOrder(WaitingOrder):
    """First come, first served: the engine's default."""

    late = True

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def arrived(self, request: int, time: float) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def first(self, view: WorkerView) -> int:
        """The first to arrive."""
        return self._waiting[0]

    def take(self, request: int, view: WorkerView) -> None:
        """Take the first out."""
        self._waiting.popleft()

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Nothing is learnt of it."""


class RankingPolicy(Protocol):
    """A policy that ranks what waits."""

    def arrived(self, request: int, time: float) -> None:
        """Queue a request."""

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The queue in the order that is due."""
        ...

    def admitted(self, request: int, view: WorkerView) -> None:
        """Take a request out."""

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""


class PolicyOrder(WaitingOrder):
    """The order of a policy of this package, which decides nothing else: when to prefill, whom to evict and how many
    to admit is the engine's.

    Parameters
    ----------
    policy : RankingPolicy
        For this worker alone.
    """

    late = False

    def __init__(self, policy: RankingPolicy):
        self._policy = policy
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def arrived(self, request: int, time: float) -> None:
        """Queue a request."""
        self._count += 1
        self._policy.arrived(request, time)

    def first(self, view: WorkerView) -> int:
        """The first by the policy's ranking now."""
        return self._policy.ranked(view).first

    def take(self, request: int, view: WorkerView) -> None:
        """Take it out."""
        self._count -= 1
        self._policy.admitted(request, view)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Let the policy learn the length."""
        self._policy.completed(request, length, view)


def waiting_order(policy: str, problem: Problem) -> WaitingOrder:
    """The order of what waits by the policy's name, for the one worker of `problem`.

    ``plan`` is as ``plan-order``: its stages are no iterations of a mixed engine.

    Raises
    ------
    InvalidInputError
        The policy has no order that a mixed engine could take, or needs what the problem does not show.
    """
    base = split_option(policy)[0]
    if base in WITHOUT_ORDER:
        raise InvalidInputError("policy", f"{base!r} {WITHOUT_ORDER[base]}")
    if base in ARRIVAL:
        return ArrivalOrder()
    if base == "plan":
        if problem.plan is None:
            raise InvalidInputError("plan", "policy 'plan' needs a plan")
        policy = "plan-order"
    made: object = make_policy(policy, problem)
    return PolicyOrder(made)  # type: ignore[arg-type]
