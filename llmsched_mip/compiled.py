"""How the kernels of searches are compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import event

# A kernel that makes no arrays need not count references to them.  For arrays that come in named tuples numba would
# count them at every use, which makes a node of a search up to four times as dear.
kernel: Callable[[Callable[..., Any]], Callable[..., Any]]
kernel = njit(cache=True, forceinline=True, _nrt=False)  # type: ignore[call-overload, unused-ignore]

# The same for what is called now and then: compiled once, and not anew in every place where it is called.
routine: Callable[[Callable[..., Any]], Callable[..., Any]]
routine = njit(cache=True, _nrt=False)  # type: ignore[call-overload, unused-ignore]


class _Compilations(event.Listener):  # type: ignore[misc, unused-ignore]
    """Hears of every function that Numba compiles because it is not in the cache on the disk."""

    def __init__(self, begins: Callable[[str], None]):
        self._begins = begins

    def on_start(self, event: Any) -> None:
        """With the name of the function."""
        self._begins(str(getattr(event.data.get("dispatcher"), "__name__", "")))

    def on_end(self, event: Any) -> None:
        """Nothing."""


@contextmanager
def compilations(begins: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, `begins` is called with the name of each function that is compiled in this process.

    A function that was compiled before on this machine comes from a cache on the disk, and is not heard of.
    """
    with event.install_listener("numba:compile", _Compilations(begins)):
        yield


@kernel
def copy_to(target, source):  # type: ignore[no-untyped-def]
    """Copy one array of numbers into another of the same shape."""
    for i in range(len(source)):
        target[i] = source[i]
