"""Texts by the million: their bytes one after the other, where a tuple takes some sixty bytes more for each text."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np


class TextColumn(Sequence[str]):
    """Texts that UTF-8 can hold; equal to any sequence of the same texts.

    Parameters
    ----------
    texts : iterable of str
    """

    def __init__(self, texts: Iterable[str] = ()):
        self._bytes, self._ends = bytearray(), array("q", [0])
        self.extend(texts)

    def extend(self, texts: Iterable[str]) -> None:
        """Put texts at the end."""
        for text in texts:
            self._bytes += text.encode()
            self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        return (self._bytes[first:end].decode() for first, end in pairwise(self._ends))

    def __getitem__(self, index: Any) -> Any:
        """One text; of a slice, a list."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        k = range(len(self))[index]
        return self._bytes[self._ends[k] : self._ends[k + 1]].decode()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextColumn):
            return self._ends == other._ends and self._bytes == other._bytes
        return isinstance(other, list | tuple) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TextColumn of {len(self)}"

    def take(self, order: Iterable[int]) -> TextColumn:
        """The texts with these indices, in that order."""
        return TextColumn(self[k] for k in order)

    def repeated(self) -> int | None:
        """Index of the first text that has stood before, if there is one."""
        hashes = np.fromiter(map(hash, self), dtype=np.int64, count=len(self))
        order = np.argsort(hashes)
        hashes = hashes[order]
        alike = np.zeros(len(self), dtype=bool)
        alike[1:] = hashes[1:] == hashes[:-1]
        alike[:-1] |= alike[1:]
        seen: set[str] = set()
        for k in np.sort(order[alike]).tolist():
            if self[k] in seen:
                return int(k)
            seen.add(self[k])
        return None
