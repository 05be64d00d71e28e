"""The requests that wait, in the order in which a policy would take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sortedcontainers import SortedList

Key = Callable[[int, int], Any]
"""Place of a request in a queue, smallest first, from its number and how many arrived before it."""


def by_arrival(request: int, number: int) -> int:
    """First come, first served."""
    return number


class WaitingQueue:
    """One queue for all workers.

    Parameters
    ----------
    key : Key
    keeps_place : bool
        Whether a request that comes back after an eviction goes to its old place; else its key is taken anew.

    Attributes
    ----------
    number : dict of int to int
        How many requests arrived before each that has arrived.
    """

    def __init__(self, key: Key, keeps_place: bool = True):
        self.key, self.keeps_place = key, keeps_place
        self.number: dict[int, int] = {}
        self._keys: dict[int, Any] = {}
        self._waiting: SortedList[tuple[Any, int]] = SortedList()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        return (i for _, i in self._waiting)

    @property
    def first(self) -> int:
        """The request that is next; the queue must not be empty."""
        request: int = self._waiting[0][1]
        return request

    @property
    def last(self) -> int:
        """The request that is last; the queue must not be empty."""
        request: int = self._waiting[-1][1]
        return request

    def add(self, request: int) -> bool:
        """Queue a request; whether it is new here."""
        new = request not in self._keys
        if new:
            self.number[request] = len(self.number)
        if new or not self.keeps_place:
            self._keys[request] = self.key(request, self.number[request])
        self._waiting.add((self._keys[request], request))
        return new

    def take(self, batch: list[int]) -> None:
        """Take waiting requests out."""
        waiting, keys = self._waiting, self._keys
        if len(batch) == 1 and waiting[0][1] == batch[0]:
            del waiting[0]
        else:
            for i in batch:
                waiting.remove((keys[i], i))

    def order_by(self, key: Key) -> None:
        """Go over to another key, for all that have arrived or will."""
        self.key = key
        self.place({i: key(i, number) for i, number in self.number.items()})

    def place(self, keys: Mapping[int, Any]) -> None:
        """Give requests other keys, at least all that wait."""
        self._keys.update(keys)
        self._waiting = SortedList((self._keys[i], i) for _, i in self._waiting)
