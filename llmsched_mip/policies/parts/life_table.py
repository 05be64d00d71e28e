"""Distributions of lengths on cells, from lengths that have ended and lengths that are known to be longer."""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import FloatArray, IntArray

TAIL = 3.0
CROWD = 12


def life_table(ends: IntArray, lost: IntArray, prior: FloatArray) -> FloatArray:
    """Actuarial life table (Kaplan and Meier, J. Amer. Statist. Assoc. 53 (1958), section 3): the share that ends in
    each of K cells.

    Parameters
    ----------
    ends, lost : int arrays
        Cells in which observations ended, and in which they were lost from sight: these count as at risk for half
        their cell.
    prior : float array, shape (K,)
        Ends that count besides, above 0 in the last cell.

    Returns
    -------
    float array, shape (K,)
        Sums to 1.
    """
    cells = len(prior)
    ended = np.bincount(ends, minlength=cells) + prior
    gone = np.bincount(lost, minlength=cells)
    reached = np.cumsum((ended + gone)[::-1])[::-1]
    beyond = np.cumprod(1.0 - np.minimum(1.0, ended / np.maximum(reached - gone / 2, 1e-300)))
    beyond[-1] = 0.0
    return -np.diff(beyond, prepend=1.0)


def lomax(edges: FloatArray, mean: float) -> FloatArray:
    """Share of a Lomax length (Pareto of the second kind, shape 3) of this mean in each cell between `edges`; the last
    cell has all that is beyond.  Its tail is heavy enough for lengths far beyond those that were seen."""
    beyond = (1.0 + edges / ((TAIL - 1.0) * mean)) ** -TAIL
    beyond[0], beyond[-1] = 1.0, 0.0
    return -np.diff(beyond)


class Cells:
    """Cells of lengths: cell k has the integer lengths above ``edges[k]`` up to ``edges[k + 1]``.

    Parameters
    ----------
    edges : int array, shape (K + 1,)
        Ascending from 0.
    lengths : int array
        Some lengths, each in a cell: a cell stands for their mean in it, or its geometric middle.

    Attributes
    ----------
    at : int array, shape (K,)
        The length that each cell stands for.
    """

    def __init__(self, edges: IntArray, lengths: IntArray):
        self.edges = edges
        low, high = edges[:-1] + 1, edges[1:]
        middle = np.sqrt(low * high.astype(np.float64))
        inside = self.of(lengths)
        count = np.bincount(inside, minlength=len(low))
        total = np.bincount(inside, weights=lengths, minlength=len(low))
        mean = np.where(count > 0, total / np.maximum(count, 1), middle)
        self.at: IntArray = np.clip(np.rint(mean).astype(np.int64), low, high)

    def of(self, length: IntArray) -> IntArray:
        """The cell of each length; the last one for those beyond."""
        found = np.searchsorted(self.edges, length, side="left") - 1
        return np.clip(found, 0, len(self.edges) - 2)


def spread_edges(low: int, high: int, count: int, lengths: IntArray) -> IntArray:
    """Edges of about `count` cells over the lengths 1 to `high`.

    Half are spread evenly on a logarithmic scale from `low` on, half at quantiles of the lengths seen, but no more than
    one for every `CROWD` lengths; a length that stands for several quantiles (a cap) has a cell of its own.
    """
    half = count // 2 if len(lengths) else count
    even = np.geomspace(max(low, 1), max(high, low + 1, 2), half + 1).astype(np.int64)
    placed: IntArray = np.zeros(0, dtype=np.int64)
    if len(lengths):
        ordered = np.sort(lengths)
        placed = ordered[((np.arange(half) + 0.5) * len(ordered) / half).astype(np.int64)]
        repeated = placed[1:][placed[1:] == placed[:-1]] if len(lengths) >= count else placed[:0]
        few = ordered[np.arange(CROWD, len(ordered), max(CROWD, len(ordered) // half))]
        placed = np.concatenate([few, repeated, repeated - 1])
    edges = np.unique(np.concatenate([[0, max(high, low + 1, 2)], even, placed]))
    return edges[edges >= 0]
