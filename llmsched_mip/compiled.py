"""How the kernels of searches are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

# A kernel that makes no arrays need not count references to them.  For arrays that come in named tuples numba would
# count them at every use, which makes a node of a search up to four times as dear.
kernel: Callable[[Callable[..., Any]], Callable[..., Any]]
kernel = njit(cache=True, forceinline=True, _nrt=False)  # type: ignore[call-overload, unused-ignore]

# The same for what is called now and then: compiled once, and not anew in every place where it is called.
routine: Callable[[Callable[..., Any]], Callable[..., Any]]
routine = njit(cache=True, _nrt=False)  # type: ignore[call-overload, unused-ignore]


@kernel
def copy_to(target, source):  # type: ignore[no-untyped-def]
    """Copy one array of numbers into another of the same shape."""
    for i in range(len(source)):
        target[i] = source[i]
