"""What is being compiled: heard of as Numba does it, however it is that a function is not in the cache on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def compilations(begins: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, `begins` is called with the name of each function that is compiled in this process.

    A function that was compiled before on this machine comes from a cache on the disk, and is not heard of.
    """
    from numba.core import event

    class Compilations(event.Listener):  # type: ignore[misc, unused-ignore]
        """Of functions that are not in the cache."""

        def on_start(self, event: Any) -> None:
            """With the name of the function."""
            begins(str(getattr(event.data.get("dispatcher"), "__name__", "")))

        def on_end(self, event: Any) -> None:
            """Nothing."""

    with event.install_listener("numba:compile", Compilations()):
        yield
