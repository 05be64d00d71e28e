"""The numbers of the learned rule: what each means, its range, and the hand-made rules as points among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.timing import FloatArray

FEATURES = ("length", "machine_time", "volume", "prompt", "weight", "uncertainty", "tail", "place", "age")
"""What the score of a waiting request is made of; each has a weight of the same name."""
NO_LIMIT = 5.0
"""A factor of e⁵ on the work in progress, which is taken for none."""
NEVER_WAITS = 5.0
"""A price of idle slots, e⁵ times the Lagrangian one, at which no waiting pays."""


@dataclass(frozen=True)
class Parameters:
    """One learned rule; all numbers are without dimension, so that other units of time change no decision.

    Requests wait in ascending order of a score, the sum of `length` to `age` times what they weigh: logarithms of the
    expected length in tokens, of the machine time (`timing.work_seconds`), of the KV volume, of the prompt and of the
    weight ω, standard deviation of the length over its mean, chance of being longer than nine tenths of those that
    wait, place by arrival (0 to 1), and age over the mean age.

    Parameters
    ----------
    length, machine_time, volume, prompt, weight, uncertainty, tail, place, age : float
        Weights of the score.
    endgame : float
        Longest first once the rounds left are fewer than so many times the longest expected length; 0: never.
    endgame_spread : float
        Standard deviations that are added to the mean length in that order.
    idle_price : float
        Logarithm of the price of idle slots over the Lagrangian one: high does not wait for more completions.
    lot_size : float
        Above 1/2: waiting is decided by the lot size (`parts.lot_size`), else by the cost per refilled slot.
    idle_price_kv : float
        What is added to that at a full KV cache, and taken off at an empty one, twice over.
    least : float
        Least batch as a share of the slots, while something is active and more are waiting.
    refill : float
        Above 1/2: the KV check counts the refills of slots that end (`parts.refill_admission`), with `reserve` alone.
    growth : float
        How much of the expected growth of the KV held an admission counts on in the rounds ahead; 0: what fits now.
    reserve : float
        Standard deviations of the KV held in the rounds ahead that an admission leaves free.
    relief : float
        Share of the KV cache that has to be free after an overflow before anything is admitted.
    ramp_start : float
        Share of the slots that may be filled at once at the start.
    ramp : float
        Mean lengths, in rounds, over which the other slots open.
    in_progress : float
        Logarithm of the factor on what may be in progress (`parts.work_in_progress`); from 5 on there is no limit, and
        a stall of what is in progress has no price.
    """

    length: float = 0.0
    machine_time: float = 0.0
    volume: float = 0.0
    prompt: float = 0.0
    weight: float = 0.0
    uncertainty: float = 0.0
    tail: float = 0.0
    place: float = 0.0
    age: float = 0.0
    endgame: float = 0.0
    endgame_spread: float = 0.0
    lot_size: float = 0.0
    idle_price: float = 0.0
    idle_price_kv: float = 0.0
    least: float = 0.0
    refill: float = 0.0
    growth: float = 1.0
    reserve: float = 1.645
    relief: float = 0.0
    ramp_start: float = 1.0
    ramp: float = 0.5
    in_progress: float = NO_LIMIT

    @classmethod
    def of(cls, values: FloatArray) -> Parameters:
        """From their vector, each cut to its range."""
        return cls(*np.clip(values, LOWER, UPPER).tolist())

    @property
    def vector(self) -> FloatArray:
        """All of them, shape (22,)."""
        return np.array(list(asdict(self).values()))

    def require(self) -> Parameters:
        """Themselves; raises `InvalidInputError` for one out of its range."""
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InvalidInputError(name, f"expected a number from {least:g} to {most:g}, got {value}")
        return self


RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(FEATURES, (-10.0, 10.0)),
    "endgame": (0.0, 10.0),
    "endgame_spread": (-3.0, 3.0),
    "lot_size": (0.0, 1.0),
    "idle_price": (-5.0, NEVER_WAITS),
    "idle_price_kv": (-10.0, 10.0),
    "least": (0.0, 0.5),
    "refill": (0.0, 1.0),
    "growth": (0.0, 3.0),
    "reserve": (-2.0, 5.0),
    "relief": (0.0, 0.5),
    "ramp_start": (0.05, 1.0),
    "ramp": (0.0, 4.0),
    "in_progress": (-3.0, NO_LIMIT),
}
LOWER, UPPER = (np.array(ends) for ends in zip(*RANGES.values(), strict=True))
STEPS = Parameters(
    **dict.fromkeys(FEATURES, 0.5),
    endgame=0.4,
    endgame_spread=0.5,
    lot_size=0.5,
    idle_price=1.0,
    idle_price_kv=1.0,
    least=0.05,
    refill=0.5,
    growth=0.25,
    reserve=0.7,
    relief=0.05,
    ramp_start=0.2,
    ramp=0.4,
    in_progress=0.7,
)
"""A step in each that is worth trying, as the search scales them."""
NAMES = tuple(field.name for field in fields(Parameters))
FCFS = Parameters(place=1.0, idle_price=NEVER_WAITS)
STARTS: dict[str, Parameters] = {
    "fcfs": FCFS,
    "longest-first": Parameters(length=-1.0, idle_price=NEVER_WAITS),
    "svf": Parameters(volume=1.0, weight=-1.0, idle_price=NEVER_WAITS),
    "machine-time": Parameters(machine_time=1.0, weight=-1.0, idle_price=NEVER_WAITS),
    "lagrangian": replace(FCFS, idle_price=0.0, endgame=0.8, refill=1.0, lot_size=1.0),
    "lagrangian, by volume": Parameters(volume=1.0, weight=-1.0, in_progress=0.0),
    "lagrangian, by machine time": Parameters(machine_time=1.0, weight=-1.0, in_progress=0.0),
}
"""Hand-made rules in these numbers, nearly: what the training starts from is the best of them."""
TRIES: tuple[tuple[dict[str, float], ...], ...] = (
    ({"refill": 1.0, "lot_size": 1.0}, {"refill": 1.0}, {"lot_size": 1.0}),
    ({"growth": 0.0, "reserve": 0.0}, {"reserve": 0.0}, {"growth": 1.3, "reserve": 0.0}),
    ({"ramp_start": 0.6}, {"ramp_start": 0.3}),
    ({"idle_price": -1.0}, {"idle_price": -2.0}),
    ({"in_progress": -0.7}, {"in_progress": 0.7}),
)
"""Changes that are tried in turn on the best of the hand-made rules, of each group the best, before the search."""
