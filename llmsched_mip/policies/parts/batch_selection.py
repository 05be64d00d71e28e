"""The batch X that minimises F(X) = Σ d_i / |X|² under Σ weight_i ≤ capacity and |X| ≤ most.

The metric of Sorted-F (Wang, Ye and Zhou, arXiv 2508.06133), weight = p + d.  Every selection takes the same
arguments and returns the chosen positions, at least one, in no order:

    weights, lengths : int arrays, shape (n,), weights at most `capacity`
    capacity : int, tokens
    most : int, requests

For a size m the least Σ d is a knapsack problem with m items, so the exact program has the table dp[m][weight]; the
public text names the other selections, their details here are ours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.timing import IntArray

MOST_CELLS = 100_000_000
SCALED_CELLS = 20_000_000
QUANTILES = 32
AUTO_CELLS = 200_000
AUTO_SWAPS = 2_000

Selection = Callable[[IntArray, IntArray, int, int], IntArray]


def metric(lengths: IntArray, batch: IntArray) -> float:
    """F of a batch of positions."""
    return float(lengths[batch].sum()) / len(batch) ** 2


def largest_size(weights: IntArray, capacity: int, most: int) -> int:
    """Most requests that fit together: the lightest ones."""
    return min(most, int(np.searchsorted(np.cumsum(np.sort(weights)), capacity, side="right")))


def exact(weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    """A batch of least F, by the program dp[m][w] = least Σ d of m requests of weight at most w.

    Of equal F the largest batch.  Raises `InvalidInputError` where the table has more than 10^8 cells over all
    requests: use another selection.
    """
    size = largest_size(weights, capacity, most)
    cells = len(weights) * size * (capacity + 1)
    if cells > MOST_CELLS:
        raise InvalidInputError(
            "policy",
            f"sorted-f:exact is for small cases: {cells:.1e} cells for {len(weights)} requests, "
            f"at most {MOST_CELLS:.0e}; use sorted-f:scaled, sorted-f:swap or sorted-f:quantile",
        )
    best = np.full((size + 1, capacity + 1), np.inf)
    best[0] = 0.0
    taken = np.zeros((len(weights), size, capacity + 1), dtype=bool)
    for i, (weight, length) in enumerate(zip(weights.tolist(), lengths.tolist(), strict=True)):
        with_i = best[:-1, : capacity + 1 - weight] + length
        better = with_i < best[1:, weight:]
        best[1:, weight:][better] = with_i[better]
        taken[i, :, weight:] = better
    ratio = best[1:, capacity] / np.arange(1, size + 1) ** 2
    m = size - int(np.argmin(ratio[::-1]))
    batch, left = [], capacity
    for i in range(len(weights) - 1, -1, -1):
        if m and taken[i, m - 1, left]:
            batch.append(i)
            left -= int(weights[i])
            m -= 1
    return np.array(batch, dtype=np.int64)


def scaled(weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    """The program on weights rounded up to multiples of a unit, so that its batch fits, then filled up.

    The unit is the least that keeps the table below 2·10^7 cells; with unit 1 it is `exact`.  Filling up: in
    ascending order of d, whatever fits and lowers F.
    """
    size = largest_size(weights, capacity, most)
    widest = max(16, SCALED_CELLS // (len(weights) * size))
    unit = max(1, -(-capacity // widest))
    rounded = -(-weights // unit)
    fits = np.flatnonzero(rounded <= capacity // unit)
    if not len(fits):
        return quantile(weights, lengths, capacity, most)
    batch = fits[exact(rounded[fits], lengths[fits], capacity // unit, most)]
    return batch if unit == 1 else _filled(batch, weights, lengths, capacity, most)


def _filled(batch: IntArray, weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    chosen = np.zeros(len(weights), dtype=bool)
    chosen[batch] = True
    total, left, count = int(lengths[batch].sum()), capacity - int(weights[batch].sum()), len(batch)
    for j in np.lexsort((weights, lengths)).tolist():
        length = int(lengths[j])
        if count == most or (total + length) * count**2 >= total * (count + 1) ** 2:
            break
        if not chosen[j] and weights[j] <= left:
            chosen[j] = True
            total, left, count = total + length, left - int(weights[j]), count + 1
    return np.flatnonzero(chosen)


def quantile(weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    """Of the requests up to each quantile of the weights, in ascending order of d, the prefix of least F that fits.

    32 quantiles; O(n log n + 32 n).  Of equal F the highest quantile, then the largest batch.
    """
    by_length = np.lexsort((weights, lengths))
    weight, length = weights[by_length], lengths[by_length]
    limits = np.unique(np.quantile(weights, np.arange(1, QUANTILES + 1) / QUANTILES, method="inverted_cdf"))
    limit, size = _least_prefix(weight, length, limits, capacity, most)
    return by_length[np.flatnonzero(weight <= limit)[:size]]


@njit(cache=True)
def _least_prefix(weight, length, limits, capacity, most):  # type: ignore[no-untyped-def]
    """Limit and size of the prefix of least F among the requests, in the order given, up to each limit."""
    best, best_limit, best_size = np.inf, limits[-1], 1
    for limit in limits:
        total = held = size = 0
        for k in range(len(weight)):
            if weight[k] > limit:
                continue
            held += weight[k]
            if held > capacity or size == most:
                break
            total, size = total + length[k], size + 1
            ratio = total / (size * size)
            if ratio < best or (ratio == best and (limit > best_limit or size > best_size)):
                best, best_limit, best_size = ratio, limit, size
    return best_limit, best_size


def swap(weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    """Local search from `quantile`: add, drop or exchange one request as long as F gets lower."""
    inside = np.zeros(len(weights), dtype=bool)
    inside[quantile(weights, lengths, capacity, most)] = True
    while True:
        ins, outs = np.flatnonzero(inside), np.flatnonzero(~inside)
        move = _best_move(ins, outs, weights, lengths, capacity, most)
        if move is None:
            return ins
        leaves, enters = move
        if leaves >= 0:
            inside[leaves] = False
        if enters >= 0:
            inside[enters] = True


def _best_move(
    ins: IntArray, outs: IntArray, weights: IntArray, lengths: IntArray, capacity: int, most: int
) -> tuple[int, int] | None:
    """The request that leaves and the one that enters (-1: none) for the largest decrease of F."""
    count, total, left = len(ins), int(lengths[ins].sum()), capacity - int(weights[ins].sum())
    moves = [(total / count**2, -1, -1)]
    if count > 1:
        i = ins[np.argmax(lengths[ins])]
        moves.append(((total - int(lengths[i])) / (count - 1) ** 2, int(i), -1))
    fitting = outs[weights[outs] <= left]
    if len(fitting) and count < most:
        j = fitting[np.argmin(lengths[fitting])]
        moves.append(((total + int(lengths[j])) / (count + 1) ** 2, -1, int(j)))
    exchange = _best_exchange(ins, outs, weights, lengths, left)
    if exchange is not None:
        i, j = exchange
        moves.append(((total - int(lengths[i]) + int(lengths[j])) / count**2, i, j))
    value, leaves, enters = min(moves, key=lambda move: move[0])
    return None if value >= moves[0][0] else (leaves, enters)


def _best_exchange(
    ins: IntArray, outs: IntArray, weights: IntArray, lengths: IntArray, left: int
) -> tuple[int, int] | None:
    """One out for one in: with the outside sorted by weight, each needs only the least d among those that fit."""
    if not len(outs):
        return None
    outs = outs[np.argsort(weights[outs], kind="stable")]
    least = np.minimum.accumulate(lengths[outs])
    reach = np.searchsorted(weights[outs], weights[ins] + left, side="right")
    gain = np.where(reach > 0, lengths[ins] - least[np.maximum(reach, 1) - 1], 0)
    k = int(np.argmax(gain))
    if gain[k] <= 0:
        return None
    j = int(np.argmin(lengths[outs[: reach[k]]]))
    return int(ins[k]), int(outs[j])


def auto(weights: IntArray, lengths: IntArray, capacity: int, most: int) -> IntArray:
    """`exact` where its table is small, else `swap` up to 2,000 requests and `quantile` beyond."""
    if len(weights) * largest_size(weights, capacity, most) * (capacity + 1) <= AUTO_CELLS:
        return exact(weights, lengths, capacity, most)
    return (swap if len(weights) <= AUTO_SWAPS else quantile)(weights, lengths, capacity, most)


SELECTIONS: dict[str, Selection] = {
    "auto": auto,
    "exact": exact,
    "scaled": scaled,
    "swap": swap,
    "quantile": quantile,
}
