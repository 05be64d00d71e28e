"""Lower bounds on the makespan of P||Cmax, each with its proof.

All take lengths sorted in decreasing order (int array, shape (n,), rounds, at least 1) and the number of
bins, and return rounds.
"""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import IntArray


def area_bound(lengths: IntArray, bins: int) -> int:
    """``ceil(sum of lengths / bins)``.

    Proof: the loads of the bins add up to the sum of the lengths, so the largest is at least their mean;
    loads are integers, so the mean may be rounded up.
    """
    return -(-int(lengths.sum()) // bins)


def longest_bound(lengths: IntArray) -> int:
    """The longest length.

    Proof: it lies in some bin, whose load is at least this length.
    """
    return int(lengths[0])


def counting_bound(lengths: IntArray, bins: int) -> int:
    """Best bound from one count: the h longest lengths crowd some group of l bins (h <= n, l <= bins).

    Of the h longest, put ``q = h // bins`` and ``r = h % bins``.  With l = 1 and h = k bins + 1 this is
    the bound "k + 1 of the k bins + 1 longest share a bin" (for k = 1 the pair bound d_(bins) +
    d_(bins+1)); with l = bins and h = n it is the area bound.  Haouari, Gharbi and Jemmali, "Tight bounds
    for the identical parallel machine scheduling problem", ITOR 13 (2006).

    Proof: order the bins by how many of the h longest they hold, most first.  The first l bins hold at
    least ``l q + min(l, r)`` of them: if the l-th holds q + 1 or more, so do all before it and they hold
    at least l (q + 1); otherwise the bins after the l-th hold at most q each, so the first l hold at
    least h - (bins - l) q = l q + r.  Their total load is at least the sum of that many smallest of the h
    longest, so one of the l bins has at least the l-th part of that sum, rounded up because loads are
    integers.
    """
    n = len(lengths)
    prefix = np.concatenate(([0], np.cumsum(lengths)))
    h = np.arange(1, n + 1)
    q, r = h // bins, h % bins
    best = int(lengths[0])
    for group in _group_sizes(n, bins):
        count = group * q + np.minimum(group, r)
        best = max(best, int((-(-(prefix[h] - prefix[h - count]) // group)).max()))
    return best


def _group_sizes(n: int, bins: int) -> IntArray:
    """All group sizes, or a spread of them where n times bins would be too much work for so weak a bound."""
    most = max(4, 20_000_000 // max(n, 1))
    sizes = np.arange(1, bins + 1)
    return sizes if bins <= most else np.unique(np.geomspace(1, bins, most).round().astype(np.int64))


def large_items_bound(lengths: IntArray, bins: int, below: int) -> int:
    """Best bound from Martello and Toth's L2 for bin packing, for results less than or equal to `below`.

    "Lower bounds and reduction procedures for the bin packing problem", Discrete Applied Mathematics 28
    (1990).

    Proof: suppose all loads are at most C.  For any k with 0 <= k <= C / 2 let J1 be the lengths above C
    - k, J2 those above C / 2 and at most C - k, J3 those at most C / 2 and at least k.  No two of J1 and
    J2 share a bin, and nothing of J3 fits beside one of J1.  So the number of bins is at least |J1| +
    |J2| plus the bins needed by what J3 leaves after the room C - d beside each of J2 is filled:
    ceil((sum J3 - (|J2| C - sum J2)) / C). If that exceeds `bins`, the makespan is at least C + 1.
    Feasibility is monotone in C, so any C that is refuted is a bound, and bisection finds one that its
    neighbour C + 1 does not beat.
    """
    low, high = longest_bound(lengths) - 1, below - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _bins_needed(lengths, middle) > bins:
            low = middle
        else:
            high = middle - 1
    return low + 1


def _bins_needed(lengths: IntArray, capacity: int) -> int:
    ascending = lengths[::-1]
    prefix = np.concatenate(([0], np.cumsum(ascending)))
    n, half = len(lengths), int(np.searchsorted(ascending, capacity // 2, side="right"))
    k = np.unique(np.concatenate(([0], ascending[:half])))
    first1 = np.searchsorted(ascending, capacity - k, side="right")
    first3 = np.searchsorted(ascending, k, side="left")
    room = (first1 - half) * capacity - (prefix[first1] - prefix[half])
    left = prefix[half] - prefix[first3] - room
    return int((n - half + np.maximum(0, -(-left // capacity))).max())


def knapsack_weights_refute(lengths: IntArray, bins: int, capacity: int, weights: IntArray) -> bool:
    """Whether integer weights prove that no assignment has makespan at most `capacity`.

    Proof: let K be the largest total weight of lengths that fit together into `capacity`.  Every bin of
    such an assignment holds weight at most K, so all weights together are at most bins K.  If they are
    more, there is no such assignment.  K comes from the 0-1 knapsack recursion in integers, so nothing
    rests on rounding, wherever the weights come from (here: duals of the arc-flow LP).

    Parameters
    ----------
    lengths, weights : int arrays, shape (n,)
        Weights at least 0.
    """
    best = np.zeros(capacity + 1, dtype=np.int64)
    for length, weight in zip(lengths.tolist(), weights.tolist(), strict=True):
        if length <= capacity and weight > 0:
            np.maximum(best[length:], best[: capacity + 1 - length] + weight, out=best[length:])
    return int(weights.sum()) > bins * int(best[capacity])


def reachable_bound(lengths: IntArray, bound: int, makespan: int) -> int:
    """Smallest load of at least `bound` that some set of lengths has.

    Proof: the makespan of an optimal assignment is the sum of a set of lengths, and at least `bound`.
    """
    sums, mask = 1, (1 << (makespan + 1)) - 1
    for length in lengths.tolist():
        sums |= (sums << length) & mask
        if (sums >> bound) & 1:
            return bound
    above = sums >> bound
    return bound + (above & -above).bit_length() - 1 if above else bound
