"""Arrival times for an instance that has none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import gammaincinv

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.workload.marginals import stream


def with_arrivals(instance: Instance, rate: float, seed: int, cv: float = 1.0) -> Instance:
    """Return the instance with random arrivals, the first request at 0.

    Parameters
    ----------
    instance : Instance
    rate : float
        Requests per second, > 0.
    seed : int
    cv : float
        Coefficient of variation of the times between arrivals: 1 is a Poisson process; otherwise they are
        gamma distributed.

    Raises
    ------
    InvalidInputError
        For a rate or a coefficient of variation that is not positive and finite.
    """
    for name, value in (("rate", rate), ("cv", cv)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidInputError(name, f"expected a finite number > 0, got {value}")
    uniform = stream(seed, "arrivals").random(instance.n - 1)
    shape = 1 / cv**2
    gaps = -np.log1p(-uniform) if cv == 1 else gammaincinv(shape, uniform) / shape
    with np.errstate(over="ignore"):  # A rate that no arrival time can hold: the instance refuses what is not finite.
        arrival = np.round(np.concatenate(([0.0], np.cumsum(gaps))) / rate, 6)
    kind = "a Poisson process" if cv == 1 else f"gamma times between, coefficient of variation {cv:g}"
    return replace(
        instance,
        name=f"{instance.name}-rate{rate:g}" + ("" if cv == 1 else f"-cv{cv:g}"),
        requests=replace(instance.requests, arrival_s=arrival),
        source=f"{instance.source} Arrivals: {kind}, {rate:g} requests per second, seed {seed}; ours.".lstrip(),
    )
