"""Prediction intervals for an instance that has none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import MAX_TOKENS, Instance
from llmsched_mip.timing import FloatArray, IntArray
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
    with np.errstate(over="ignore"):
        upper = np.clip(np.floor(lower * ratio), decode, MAX_TOKENS)
    return _predicted(
        instance,
        lower,
        upper,
        f"intervals{ratio:g}",
        f"u = {ratio:g} l, placed at random around the length on a logarithmic scale, seed {seed}",
    )


def with_biased_intervals(instance: Instance, ratio: float, bias: float, seed: int) -> Instance:
    """As `with_intervals`, with both ends multiplied by `bias`: the predictor is off by that factor on the whole.

    Parameters
    ----------
    instance : Instance
    ratio : float
        u / l, at least 1.
    bias : float
        Above 0; below 1 the lengths are predicted too short.  Beyond 1 / ratio or ratio no interval holds its length.
    seed : int

    Raises
    ------
    InvalidInputError
        For a ratio or a bias out of its range.
    """
    if not (math.isfinite(bias) and bias > 0):
        raise InvalidInputError("bias", f"expected a finite number > 0, got {bias}")
    lower, upper = _ends(with_intervals(instance, ratio, seed))
    name = f"intervals{ratio:g}-bias{bias:g}"
    words = f"u = {ratio:g} l around {bias:g} times the length, seed {seed}"
    return _predicted(instance, np.rint(lower * bias), np.rint(upper * bias), name, words)


def with_wrong_intervals(instance: Instance, ratio: float, share: float, seed: int) -> Instance:
    """As `with_intervals`, but a share of the intervals, drawn independently, do not hold the true length.

    A wrong interval is the right one divided or multiplied (an even chance each) by u / l and a factor that is
    uniform in 1..2 on a logarithmic scale.  Where rounding leaves the length at an end, the interval is moved by one
    token more; no interval below 1 can miss a length of 1, so that one is predicted too long.

    Parameters
    ----------
    instance : Instance
    ratio : float
        u / l, at least 1.
    share : float
        Chance of a wrong interval, from 0 to 1.
    seed : int

    Raises
    ------
    InvalidInputError
        For a ratio or a share out of its range.
    """
    if not 0 <= share <= 1:
        raise InvalidInputError("share", f"expected a number from 0 to 1, got {share}")
    lower, upper = _ends(with_intervals(instance, ratio, seed))
    decode, draw = instance.requests.decode_tokens, stream(seed, "wrong intervals").random((3, instance.n))
    wrong, factor = draw[0] < share, ratio * 2.0 ** draw[2]
    short = wrong & (draw[1] < 0.5) & (decode > 1)
    far = wrong & ~short
    upper = np.where(short, np.clip(np.floor(upper / factor), 1, decode - 1), upper)
    lower = np.where(short, np.clip(np.rint(lower / factor), 1, upper), lower)
    lower = np.where(far, np.maximum(np.rint(lower * factor), decode + 1), lower)
    upper = np.where(far, np.maximum(np.floor(upper * factor), lower), upper)
    name = f"intervals{ratio:g}-wrong{share:g}"
    return _predicted(instance, lower, upper, name, f"u = {ratio:g} l, {100 * share:g} % miss the length, seed {seed}")


def with_lognormal_predictions(instance: Instance, sigma: float, seed: int, coverage: float = 0.9) -> Instance:
    """Return the instance with the intervals of a predictor whose error is log-normal.

    The prediction is d exp(σ Z), Z standard normal, and the interval the prediction times exp(± z σ), z the normal
    quantile at which a share `coverage` of the intervals hold the true length (but for rounding).

    Parameters
    ----------
    instance : Instance
    sigma : float
        Standard deviation of the logarithm of the prediction over the length, at least 0.
    seed : int
    coverage : float
        Above 0 and below 1.

    Raises
    ------
    InvalidInputError
        For a sigma or a coverage out of its range.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise InvalidInputError("sigma", f"expected a finite number ≥ 0, got {sigma}")
    if not 0 < coverage < 1:
        raise InvalidInputError("coverage", f"expected a number above 0 and below 1, got {coverage}")
    decode, error = instance.requests.decode_tokens, stream(seed, "log-normal").standard_normal(instance.n)
    reach = NormalDist().inv_cdf(0.5 + coverage / 2)
    lower, upper = (np.rint(decode * _factor(sigma, error + side)) for side in (-reach, reach))
    words = f"log-normal error with sigma {sigma:g}, {100 * coverage:g} % of the lengths inside, seed {seed}"
    return _predicted(instance, lower, upper, f"lognormal{sigma:g}", words)


PREDICTIONS: dict[str, tuple[str, Callable[..., Instance]]] = {
    "intervals": ("intervals:U", lambda instance, seed, ratio: with_intervals(instance, ratio, seed)),
    "biased": (
        "biased:U:FACTOR",
        lambda instance, seed, ratio, bias: with_biased_intervals(instance, ratio, bias, seed),
    ),
    "wrong": ("wrong:U:SHARE", lambda instance, seed, ratio, share: with_wrong_intervals(instance, ratio, share, seed)),
    "lognormal": ("lognormal:SIGMA", lambda instance, seed, sigma: with_lognormal_predictions(instance, sigma, seed)),
}
"""Kinds of predictions by name: how each is written, and what makes it."""


def with_predictions(instance: Instance, kind: str, seed: int) -> Instance:
    """Return the instance with predictions written as in `PREDICTIONS`, e.g. ``biased:5:0.7``.

    Raises
    ------
    InvalidInputError
        For an unknown kind, a wrong number of numbers, or one out of its range.
    """
    name, *numbers = kind.split(":")
    forms = [form for form, _ in PREDICTIONS.values()]
    if name not in PREDICTIONS or len(numbers) != PREDICTIONS[name][0].count(":"):
        raise InvalidInputError("predictions", f"expected one of {', '.join(forms)}, got {kind!r}")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        raise InvalidInputError("predictions", f"expected {PREDICTIONS[name][0]} with numbers, got {kind!r}") from None
    with np.errstate(over="ignore"):  # Ends beyond all numbers are cut to the longest length.
        return PREDICTIONS[name][1](instance, seed, *values)


def _ends(instance: Instance) -> tuple[IntArray, IntArray]:
    requests = instance.requests
    assert requests.decode_lower is not None and requests.decode_upper is not None
    return requests.decode_lower, requests.decode_upper


def _factor(sigma: float, error: FloatArray) -> FloatArray:
    """exp(σ · error), from 0 to what makes the longest of all requests of the shortest."""
    with np.errstate(over="ignore"):
        return np.exp(np.minimum(sigma * error, math.log(MAX_TOKENS)))


def _predicted(instance: Instance, lower: Any, upper: Any, name: str, words: str) -> Instance:
    lower = np.clip(lower, 1, MAX_TOKENS).astype(np.int64)
    upper = np.maximum(lower, np.clip(upper, 1, MAX_TOKENS).astype(np.int64))
    return replace(
        instance,
        name=f"{instance.name}-{name}",
        requests=replace(instance.requests, decode_lower=lower, decode_upper=upper),
        source=f"{instance.source} Prediction intervals: {words}; ours.".lstrip(),
    )
