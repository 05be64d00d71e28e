"""Constructions for P||Cmax: longest first, MULTIFIT and largest differencing.

All take lengths sorted in decreasing order and return the bin of each: int array, shape (n,).
"""

from __future__ import annotations

import heapq

import numpy as np

from llmsched_mip.timing import IntArray


def longest_first(lengths: IntArray, bins: int) -> IntArray:
    """Each length, longest first, into the bin with the least load (LPT; Graham, 1969)."""
    assignment = np.empty(len(lengths), dtype=np.int64)
    heap = [(0, b) for b in range(bins)]
    for i, length in enumerate(lengths.tolist()):
        load, b = heap[0]
        assignment[i] = b
        heapq.heapreplace(heap, (load + length, b))
    return assignment


def first_fit_decreasing(lengths: IntArray, bins: int, capacity: int) -> IntArray | None:
    """Each length, longest first, into the first bin where it fits; None when one fits nowhere."""
    assignment = np.empty(len(lengths), dtype=np.int64)
    room = np.full(bins, capacity, dtype=np.int64)
    for i, length in enumerate(lengths.tolist()):
        fits = room >= length
        b = int(fits.argmax())
        if not fits[b]:
            return None
        assignment[i] = b
        room[b] -= length
    return assignment


def multifit(lengths: IntArray, bins: int, lower: int, upper: int) -> IntArray | None:
    """MULTIFIT: bisection on the capacity of first fit decreasing (Coffman, Garey and Johnson, 1978).

    Looks for a makespan in ``lower .. upper - 1``; None when it finds none.
    """
    best = None
    while lower < upper:
        middle = (lower + upper) // 2
        found = first_fit_decreasing(lengths, bins, middle)
        if found is None:
            lower = middle + 1
        else:
            best = found
            upper = int(np.bincount(found, weights=lengths, minlength=bins).max())
    return best


def largest_differencing(lengths: IntArray, bins: int) -> IntArray:
    """Largest differencing for several bins (Karmarkar and Karp, 1982; Michiels et al., 2003).

    Starts from one partial assignment a length; merges the two with the largest spread of loads, the largest
    load of one with the smallest of the other, until one is left.
    """
    n = len(lengths)
    assignment = np.empty(n, dtype=np.int64)
    groups: list[tuple[IntArray, list[list[int]]]] = []
    heap: list[tuple[int, int]] = []
    members: list[list[int]]
    for i, length in enumerate(lengths.tolist()):
        loads = np.zeros(bins, dtype=np.int64)
        loads[0] = length
        members = [[i], *([] for _ in range(bins - 1))]
        groups.append((loads, members))
        heap.append((-length, i))
    heapq.heapify(heap)
    while len(heap) > 1:
        _, a = heapq.heappop(heap)
        _, b = heapq.heappop(heap)
        loads, members = _merge(groups[a], groups[b])
        groups[a] = (loads, members)
        heapq.heappush(heap, (int(loads[-1] - loads[0]), a))
    for b, together in enumerate(groups[heap[0][1]][1]):
        assignment[together] = b
    return assignment


def _merge(
    one: tuple[IntArray, list[list[int]]], other: tuple[IntArray, list[list[int]]]
) -> tuple[IntArray, list[list[int]]]:
    """Add loads in decreasing order to loads in increasing order; the result is in decreasing order."""
    loads = one[0] + other[0][::-1]
    joined = [x + y for x, y in zip(one[1], reversed(other[1]), strict=True)]
    order = np.argsort(-loads, kind="stable")
    least = loads.min()
    return loads[order] - least, [joined[k] for k in order]


def subset_fill(lengths: IntArray, bins: int, capacity: int, skeleton: int) -> IntArray:
    """Longest first for the `skeleton` longest lengths, then each bin as full as `capacity` allows.

    The bin with the least room is filled first, by the best subset of the lengths that are left.  This is
    minimum bin slack (Gupta and Ho, 1999) with subset sums as bits of an integer instead of an enumeration;
    long lengths are taken before short ones, which stay for the last bins.  What is left over goes, longest
    first, to the bins with the least load.
    """
    values, assignment = lengths.tolist(), np.full(len(lengths), -1, dtype=np.int64)
    assignment[:skeleton] = longest_first(lengths[:skeleton], bins)
    loads = np.bincount(assignment[:skeleton], weights=lengths[:skeleton], minlength=bins).astype(int).tolist()
    left = list(range(len(lengths) - 1, skeleton - 1, -1))
    for b in sorted(range(bins), key=lambda b: -loads[b]):
        if loads[b] < capacity:
            chosen = {left[k] for k in _fullest_subset([values[i] for i in left], capacity - loads[b])}
            assignment[list(chosen)] = b
            loads[b] += sum(values[i] for i in chosen)
            left = [i for i in left if i not in chosen]
    heap = [(load, b) for b, load in enumerate(loads)]
    heapq.heapify(heap)
    for i in reversed(left):
        load, b = heap[0]
        assignment[i] = b
        heapq.heapreplace(heap, (load + values[i], b))
    return assignment


def _fullest_subset(values: list[int], room: int) -> list[int]:
    """Positions of a subset with the largest sum up to `room`, later (longer) values preferred."""
    sums, mask = [1], (1 << (room + 1)) - 1
    for value in values:
        sums.append((sums[-1] | sums[-1] << value) & mask)
    rest, chosen = sums[-1].bit_length() - 1, []
    for k in range(len(values) - 1, -1, -1):
        if values[k] <= rest and (sums[k] >> (rest - values[k])) & 1:
            chosen.append(k)
            rest -= values[k]
    return chosen
