"""Total completion from several bounds on when the requests of a set have ended.

Given work π_i(y) ≥ 0 of every request i at each of some prices y, such that the requests of any set have all ended no
sooner than Σ π_i(y) over the set, for every y.  One price alone gives Smith's rule.  Small sets may want another price
than large ones:  let W = Σ ω, S(u) the requests complete when weight u is, in the order of completion, so Σ ω_i C_i =
∫_0^W C(u) du with C(u) the completion of the last of S(u).  For every price y(u) and every ρ(u) ≥ 0, u in [0, W),

    Σ ω_i C_i ≥ Σ_i min over s in [0, W] of ∫_s^W (π_i(y(u)) - ω_i ρ(u)) du  +  ∫_0^W ρ(u) ω(u) du,

where ω(u) is the least weight of S(u): u, and where all weights are one ω, ω ⌈u / ω⌉.

Proof.  C(u) ≥ Σ_S(u) π_i(y(u)) ≥ Σ_S(u) (π_i(y(u)) - ω_i ρ(u)) + ρ(u) ω(u).  Integrate: i is in S(u) from some s on,
up to W.

y and ρ are constant on cells of [0, W], so the minimum is at the end of a cell.  ρ is what the requests of a cell take
for their weight, in the order of the smallest work for the weight.
"""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import FloatArray, IntArray

BLOCKS, MOST_CELLS = 6, 240
"""Parts of [0, W] that have a price of their own, and cells."""
MOST_ENTRIES = 200_000
"""Cells times requests."""
SWEEPS = 2
ROUNDING = 1e-11


def total_completion(work: FloatArray, weight: FloatArray) -> float:
    """Bound on Σ ω_i C_i, from the first arrival on.

    Parameters
    ----------
    work : float array, shape (prices, n)
        π_i(y), seconds; the prices in rising order.
    weight : float array, shape (n,)
    """
    best = max(range(len(work)), key=lambda y: smith(work[y], weight))
    value = smith(work[best], weight)
    cells = min(len(weight), MOST_CELLS, MOST_ENTRIES // len(weight))
    if cells < BLOCKS:
        return value
    levels = Levels(work, weight, cells)
    chosen = [best] * BLOCKS
    for _ in range(SWEEPS):
        for block in range(BLOCKS):
            for step in (-1, 1):
                value = _walk(levels, chosen, block, step, value)
    return value


def smith(work: FloatArray, weight: FloatArray) -> float:
    """Σ ω_i C_i of one machine that does the work in the order of the smallest for its weight."""
    order = np.argsort(work / weight, kind="stable")
    return float(np.sum(weight[order] * np.cumsum(work[order]))) * (1 - ROUNDING)


def _walk(levels: Levels, chosen: list[int], block: int, step: int, value: float) -> float:
    """Change the price of a block as long as that is better; the best value."""
    while 0 <= chosen[block] + step < len(levels.work):
        chosen[block] += step
        found = levels.value(np.array(chosen))
        if found <= value:
            chosen[block] -= step
            break
        value = found
    return value


class Levels:
    """Cells of [0, W] and what requests take in them."""

    def __init__(self, work: FloatArray, weight: FloatArray, cells: int):
        self.work, self.weight = work, weight
        self.order = np.argsort(work[len(work) // 2] / weight, kind="stable")
        done = np.concatenate(([0.0], np.cumsum(weight[self.order])))
        self.starts: IntArray = np.arange(cells, dtype=np.int64) * len(weight) // cells
        edges = done[np.append(self.starts, len(weight))]
        self.length = np.diff(edges)
        self.block = np.arange(cells) * BLOCKS // cells
        equal = bool((weight == weight[0]).all())
        self.passed = np.diff(edges * (edges + weight[0]) / 2 if equal else edges**2 / 2)

    def value(self, chosen: IntArray) -> float:
        """The bound with these prices, one for each block."""
        price = chosen[self.block]
        ordered = np.add.reduceat(self.work[:, self.order], self.starts, axis=1)
        rho = ordered[price, np.arange(len(price))] / self.length
        # Weight of an entry: its cell's length; the sums over later cells are taken from the end.
        taken = self.work[price] - rho[:, None] * self.weight
        suffix = np.cumsum((taken * self.length[:, None])[::-1], axis=0)
        least = np.minimum(suffix.min(axis=0), 0.0)
        size = float(np.abs(suffix).max(initial=0.0)) * len(self.weight)
        return float(least.sum() + np.sum(rho * self.passed)) - ROUNDING * size
