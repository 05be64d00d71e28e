"""Deflected subgradient ascent of a concave function L of prices ≥ 0: the parts that its step rules share (compiled).

A step goes from the prices λ along d = g + m d', g a subgradient of L at λ and d' the direction of the step before,
by σ (aim - L(λ)) / |d|², and prices below 0 become 0; directions that would only push a price of 0 down are cut off
(Camerini, Fratta and Maffioli, Mathematical Programming Study 3 (1975)).  Two rules say what is aimed at:

- Polyak's: the value of a known plan is the aim.  σ begins at 1 and shrinks when L does not grow for `patience` steps.
- Brännlund's level rule: the aim lies `reach` above the best L and σ is 1.  The reach grows when it is met and shrinks
  when L does not grow by a hundredth of it for `patience` steps.

When either shrinks, the ascent goes on from the best prices without a direction.  However prices are found, a bound is
L for the prices as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.timing import FloatArray

BEST, REACH, IDLE, STEPS = 0, 1, 2, 3


class Ascent(NamedTuple):
    """Where an ascent stands.

    Parameters
    ----------
    prices, best, direction : float arrays of one shape
        Current prices, those of the largest L, and d.
    state : float array, shape (4,)
        Largest L, σ or the reach, steps since L last grew, steps made.
    """

    prices: FloatArray
    best: FloatArray
    direction: FloatArray
    state: FloatArray

    @classmethod
    def begin(cls, prices: FloatArray, reach: float) -> Ascent:
        """No step made yet."""
        prices = np.ascontiguousarray(prices)
        return cls(prices, prices.copy(), np.zeros_like(prices), np.array([-np.inf, reach, 0.0, 0.0]))


class Rule(NamedTuple):
    """A step rule.

    Parameters
    ----------
    memory : float
        m, the part of the direction before.
    patience : float
        Steps without a gain before σ or the reach shrinks.
    shrink : float
        Factor by which it does.
    least_norm : float
        |d|² up to which there is nowhere to go.
    aim : float
        Value that Polyak's rule aims at, -inf for the level rule.
    """

    memory: float
    patience: float
    shrink: float
    least_norm: float
    aim: float = -np.inf


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def settle(ascent, rule, value):  # type: ignore[no-untyped-def]
    """Take note of L at the prices; whether they went back to the best ones."""
    best, reach = ascent.state[BEST], ascent.state[REACH]
    level = rule.aim == -np.inf
    gain = best + 0.01 * reach if level else best * (1 + 1e-7)
    ascent.state[STEPS] += 1.0
    ascent.state[IDLE] = 0.0 if value > gain else ascent.state[IDLE] + 1.0
    if level and value > best + reach:
        ascent.state[REACH] *= 1.5
    if value > best:
        ascent.state[BEST] = value
        ascent.best[:] = ascent.prices
    if ascent.state[IDLE] < rule.patience:
        return False
    ascent.state[REACH] *= rule.shrink
    ascent.state[IDLE] = 0.0
    ascent.prices[:] = ascent.best
    ascent.direction[:] = 0.0
    return True


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def move(ascent, rule, value, gradient, unit):  # type: ignore[no-untyped-def]
    """One step from prices where L is `value`; False where there is nowhere to go.

    `gradient` is a subgradient over `unit`.  Polyak's rule cuts it off at prices of 0 before it joins the direction,
    the level rule only the direction.
    """
    level = rule.aim == -np.inf
    prices, direction, load = ascent.prices.ravel(), ascent.direction.ravel(), gradient.ravel()
    norm = 0.0
    for t in range(len(prices)):
        pull = load[t]
        if not level and prices[t] <= 0.0 and pull < 0.0:
            pull = 0.0
        direction[t] = pull + rule.memory * direction[t]
        if prices[t] <= 0.0 and direction[t] < 0.0:
            direction[t] = 0.0
        norm += direction[t] * direction[t]
    if norm <= rule.least_norm:
        ascent.state[REACH] = 0.0
        return False
    if level:
        step = (ascent.state[BEST] + ascent.state[REACH] - value) / (norm * unit)
    else:
        step = ascent.state[REACH] * (rule.aim - value) / norm
    for t in range(len(prices)):
        prices[t] = max(0.0, prices[t] + step * direction[t])
    return True
