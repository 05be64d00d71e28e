"""Move, swap and pair search for P||Cmax on lengths sorted in decreasing order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmsched_mip.timing import IntArray

MATRIX_ENTRIES = 4_000_000
PAIR_WORK = 20_000_000


class PairSearch:
    """Lowers the largest load of an assignment towards a target.

    First moves and swaps of single lengths out of the fullest bin; where none helps, the fullest bin and
    another one are divided anew: the subset sums of their lengths (bits of an integer) give every way to do
    it.  Where that does not help either, a pair is divided into another way of the same quality, at random
    with a fixed seed, so that the walk leaves the local optimum.

    Parameters
    ----------
    lengths : int array, shape (n,)
    assignment : int array, shape (n,)
        Bin of each length; not changed.
    bins : int
    target : int
        Stop once no load is above it.
    seed : int
    """

    def __init__(self, lengths: IntArray, assignment: IntArray, bins: int, target: int, seed: int = 0):
        self.lengths, self.target, self.bins = lengths, int(target), bins
        self.length_list = lengths.tolist()
        self.assignment = assignment.copy()
        self.loads = np.bincount(assignment, minlength=bins, weights=lengths).astype(np.int64)
        order = np.argsort(assignment, kind="stable")
        borders = np.searchsorted(assignment[order], np.arange(1, bins))
        self.items = [part.tolist() for part in np.split(order, borders)]
        self.changes = [0] * bins
        self.failed: set[tuple[int, int, int, int]] = set()
        self.best_makespan, self.best_fullest = 2**62, bins
        self._keep()
        self.random = np.random.default_rng(seed)

    def run(self, steps: int, done: Callable[[], bool]) -> IntArray:
        """Make at most `steps` steps; returns the best assignment met, shape (n,)."""
        for _ in range(steps):
            if self.best_makespan <= self.target or done():
                break
            full = int(self.loads.argmax())
            if not (self._swap(full) or self._divide(full)):
                self._walk(full)
            self._keep()
        return self.best

    def _keep(self) -> None:
        """Keep the assignment if its makespan is smaller, or reached by fewer bins."""
        makespan = int(self.loads.max())
        fullest = int(np.count_nonzero(self.loads == makespan))
        if (makespan, fullest) < (self.best_makespan, self.best_fullest):
            self.best_makespan, self.best_fullest = makespan, fullest
            self.best = self.assignment.copy()

    def _swap(self, full: int) -> bool:
        """Best move or swap out of the fullest bin that lowers the larger load of the two bins."""
        load = self.loads[full]
        here = np.array(self.items[full])
        here = here[np.unique(self.lengths[here], return_index=True)[1]]
        bins = np.flatnonzero(self.loads < load - 1)
        if len(here) * len(self.lengths) > MATRIX_ENTRIES:
            bins = bins[np.argsort(self.loads[bins], kind="stable")[:8]]
            here = here[:: max(1, len(here) // 64)]
        inside = np.zeros(self.bins, dtype=bool)
        inside[bins] = True
        others = np.flatnonzero(inside[self.assignment])
        other_bin = np.concatenate((self.assignment[others], bins))
        if not len(other_bin):
            return False
        other_length = np.concatenate((self.lengths[others], np.zeros(len(bins), dtype=np.int64)))
        shift = self.lengths[here][:, None] - other_length[None, :]
        after = np.where(shift > 0, np.maximum(load - shift, self.loads[other_bin][None, :] + shift), load)
        k = int(after.argmin())
        if after.flat[k] >= load:
            return False
        a, b = divmod(k, after.shape[1])
        moved = [int(others[b])] if b < len(others) else []
        self._exchange(full, int(other_bin[b]), int(here[a]), moved)
        return True

    def _exchange(self, full: int, other: int, item: int, back: list[int]) -> None:
        self.items[full].remove(item)
        self.items[other].append(item)
        for k in back:
            self.items[other].remove(k)
            self.items[full].append(k)
        self._settle(full, other)

    def _settle(self, *changed: int) -> None:
        """Bring assignment and loads in line with the items of the changed bins."""
        for b in changed:
            self.assignment[self.items[b]] = b
            self.loads[b] = sum(self.length_list[i] for i in self.items[b])
            self.changes[b] += 1

    def _divide(self, full: int) -> bool:
        """Divide the fullest bin and another anew so that both loads fall below the largest load."""
        load = int(self.loads[full])
        sums = None
        candidates = np.flatnonzero(self.loads < load - 1)
        candidates = candidates[np.argsort(self.loads[candidates], kind="stable")]
        for other in candidates.tolist():
            pair = (full, self.changes[full], other, self.changes[other])
            if pair in self.failed:
                continue
            if sums is None:
                sums = self._sums([1], self.items[full], load)
            total = load + int(self.loads[other])
            aim = max(self.target, -(-total // 2))
            if self._halve(full, other, total - load + 1, load - 1, aim, sums):
                return True
            self.failed.add(pair)
        return False

    def _walk(self, full: int) -> None:
        """Divide pairs of bins anew at random, the larger of the two loads not growing."""
        for _ in range(4):
            one = full if self.random.random() < 0.5 else int(self.random.integers(self.bins))
            other = int(self.random.integers(self.bins))
            high = int(max(self.loads[one], self.loads[other], self.target))
            low = max(0, int(self.loads[one] + self.loads[other]) - high)
            if one != other:
                self.items[one] = [self.items[one][k] for k in self.random.permutation(len(self.items[one]))]
                sums = self._sums([1], self.items[one], high)
                self._halve(one, other, low, high, int(self.random.integers(low, high + 1)), sums)

    def _sums(self, sums: list[int], items: list[int], most: int) -> list[int]:
        """Subset sums up to `most` after each item, as bits: `sums` and one more integer an item."""
        last, mask = sums[-1], (1 << (most + 1)) - 1
        result = sums.copy()
        for i in items:
            last = (last | last << self.length_list[i]) & mask
            result.append(last)
        return result

    def _halve(self, one: int, other: int, low: int, high: int, aim: int, sums: list[int]) -> bool:
        """Give bin `one` a subset of both bins with load in low..high, the nearest to `aim`.

        `sums` are the subset sums of the items of `one`.
        """
        items = self.items[one] + self.items[other]
        if len(items) * (high + 1) > PAIR_WORK:
            return False
        sums = self._sums(sums, self.items[other], high)
        left = _nearest_bit(sums[-1], low, aim)
        if left < 0 or left > high:
            return False
        chosen: list[int] = []
        rest: list[int] = []
        for k in range(len(items) - 1, -1, -1):
            if (sums[k] >> left) & 1:
                rest.append(items[k])
            else:
                chosen.append(items[k])
                left -= self.length_list[items[k]]
        self.items[one], self.items[other] = chosen, rest
        self._settle(one, other)
        return True


def _nearest_bit(bits: int, low: int, aim: int) -> int:
    """Position of a set bit at or above `low`: the highest up to `aim`, else the lowest above; -1: none."""
    below = (bits & ((1 << (aim + 1)) - 1)).bit_length() - 1
    if below >= low:
        return below
    above = bits >> (aim + 1)
    return aim + (above & -above).bit_length() if above else -1
