"""Move, swap and pair search for P||Cmax on lengths sorted in decreasing order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmsched_mip.timing import IntArray

MATRIX_ENTRIES = 4_000_000
PAIR_WORK = 20_000_000


class PairSearch:
    """Lowers the largest load of an assignment towards a target.

    First moves and swaps of single lengths out of the fullest bin; where none helps, the fullest bin and another
    one are divided anew: the subset sums of their lengths (bits of an integer) give every way to do it.  Where
    that does not help either, a pair is divided into another way of the same quality, at random with a fixed
    seed, so that the walk leaves the local optimum.

    Parameters
    ----------
    lengths : int array, shape (n,)
    assignment : int array, shape (n,)
        Bin of each length; not changed.
    bins : int
    target : int
        Stop once no load is above it.
    """

    def __init__(self, lengths: IntArray, assignment: IntArray, bins: int, target: int, seed: int = 0):
        self.lengths, self.target, self.bins = lengths, target, bins
        self.assignment = assignment.copy()
        self.loads = np.bincount(assignment, minlength=bins, weights=lengths).astype(np.int64)
        self.best, self.best_makespan = self.assignment.copy(), int(self.loads.max())
        self.random = np.random.default_rng(seed)

    def run(self, steps: int, done: Callable[[], bool]) -> IntArray:
        """Make at most `steps` steps; returns the best assignment met, shape (n,)."""
        for _ in range(steps):
            if self.best_makespan <= self.target or done():
                break
            full = self._fullest()
            if not (self._swap(full) or self._divide(full)):
                self._walk(full)
            makespan = int(self.loads.max())
            if makespan < self.best_makespan:
                self.best_makespan = makespan
                self.best = self.assignment.copy()
        return self.best

    def _fullest(self) -> int:
        return int(self.loads.argmax())

    def _swap(self, full: int) -> bool:
        """Best move or swap out of the fullest bin that lowers the larger load of the two bins."""
        load = self.loads[full]
        own = np.flatnonzero(self.assignment == full)
        own = own[np.unique(self.lengths[own], return_index=True)[1]]
        bins = np.argsort(self.loads, kind="stable")[: max(1, MATRIX_ENTRIES // len(self.lengths))]
        bins = bins[self.loads[bins] < load]
        if len(self.lengths) * len(own) > MATRIX_ENTRIES:
            bins = bins[:8]
            own = own[:: max(1, len(own) // 64)]
            others = np.flatnonzero(np.isin(self.assignment, bins))
        else:
            others = np.flatnonzero(self.assignment != full)
        other_bin = np.concatenate((self.assignment[others], bins))
        other_length = np.concatenate((self.lengths[others], np.zeros(len(bins), dtype=np.int64)))
        if not len(own) or not len(other_bin):
            return False
        shift = self.lengths[own][:, None] - other_length[None, :]
        after = np.where(shift > 0, np.maximum(load - shift, self.loads[other_bin][None, :] + shift), load)
        k = int(after.argmin())
        if after.flat[k] >= load:
            return False
        a, b = divmod(k, after.shape[1])
        self.assignment[own[a]] = other_bin[b]
        if b < len(others):
            self.assignment[others[b]] = full
        self.loads[full] -= shift[a, b]
        self.loads[other_bin[b]] += shift[a, b]
        return True

    def _divide(self, full: int) -> bool:
        """Divide the fullest bin and another anew so that both loads fall below the largest load."""
        load = int(self.loads[full])
        for other in np.argsort(self.loads, kind="stable").tolist():
            if self.loads[other] >= load - 1:
                return False
            total = load + int(self.loads[other])
            if self._halve(full, other, total - load + 1, load - 1, max(self.target, -(-total // 2))):
                return True
        return False

    def _walk(self, full: int) -> None:
        """Divide a pair of bins anew at random, the larger of its loads not growing."""
        for _ in range(4):
            one = full if self.random.random() < 0.5 else int(self.random.integers(self.bins))
            other = int(self.random.integers(self.bins))
            high = int(max(self.loads[one], self.loads[other], self.target))
            total = int(self.loads[one] + self.loads[other])
            low = max(0, total - high)
            if one != other and low <= total - low:
                aim = int(self.random.integers(low, total - low + 1))
                self._halve(one, other, low, total - low, aim)

    def _halve(self, one: int, other: int, low: int, high: int, aim: int) -> bool:
        """Give bin `one` a subset of both bins with load in low..high, the nearest to `aim`."""
        items = np.flatnonzero((self.assignment == one) | (self.assignment == other))
        if len(items) * (high + 1) > PAIR_WORK:
            return False
        items = self.random.permutation(items)
        lengths = self.lengths[items].tolist()
        mask = (1 << (high + 1)) - 1
        sums = [1]
        for length in lengths:
            sums.append((sums[-1] | sums[-1] << length) & mask)
        load = _nearest_bit(sums[-1], low, aim)
        if load < 0:
            return False
        chosen, left = np.zeros(len(items), dtype=bool), load
        for k in range(len(items) - 1, -1, -1):
            if not (sums[k] >> left) & 1:
                chosen[k] = True
                left -= lengths[k]
        self.assignment[items] = np.where(chosen, one, other)
        self.loads[other] += self.loads[one] - load
        self.loads[one] = load
        return True


def _nearest_bit(bits: int, low: int, aim: int) -> int:
    """Position of a set bit at or above `low`: the highest up to `aim`, else the lowest above it; -1: none."""
    below = (bits & ((1 << (aim + 1)) - 1)).bit_length() - 1
    if below >= low:
        return below
    above = bits >> (aim + 1)
    return aim + (above & -above).bit_length() if above else -1
