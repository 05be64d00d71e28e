"""Prediction intervals for an instance that has none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import MAX_TOKENS, Instance
from llmsched_mip.workload.marginals import stream


def with_intervals(instance: Instance, ratio: float, seed: int) -> Instance:
    """Return the instance with prediction intervals [l, u], u = ratio · l, that contain the true lengths.

    The place of the length inside its interval is uniform on a logarithmic scale and independent of
    everything else, so that neither an end nor the middle of the interval tells the length.

    Parameters
    ----------
    instance : Instance
    ratio : float
        u / l, at least 1 (1: the lengths themselves); u is rounded down to an integer.
    seed : int
        Of the places; the lengths of the same seed are drawn from other random numbers.

    Raises
    ------
    InvalidInputError
        For a ratio below 1 or not finite.
    """
    if not (math.isfinite(ratio) and ratio >= 1):
        raise InvalidInputError("intervals", f"expected a finite ratio ≥ 1, got {ratio}")
    decode = instance.requests.decode_tokens
    place = stream(seed, "intervals").random(instance.n)
    least = np.maximum(np.ceil(decode / ratio), 1.0)
    lower = np.clip(np.rint(decode * ratio**-place), least, decode)
    upper = np.clip(np.floor(lower * ratio), decode, MAX_TOKENS)
    return replace(
        instance,
        name=f"{instance.name}-intervals{ratio:g}",
        requests=replace(
            instance.requests,
            decode_lower=lower.astype(np.int64),
            decode_upper=upper.astype(np.int64),
        ),
        source=f"{instance.source} Prediction intervals: u = {ratio:g} l, placed at random around the length "
        f"on a logarithmic scale, seed {seed}; ours.".lstrip(),
    )
