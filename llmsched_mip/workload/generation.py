"""Instances of a family, with another worker, arrivals or predictions where they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.workload.arrivals import with_arrivals
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.predictions import with_intervals, with_predictions
from llmsched_mip.workload.registry import FAMILIES


class Setting(TypedDict, total=False):
    """What is asked for in place of the family's, by its name; what is None is the family's.

    Parameters
    ----------
    worker : str, optional
        A deployment in place of the family's worker.
    slots : int, optional
        Slots in place of the worker's.
    rate, cv : float, optional
        Arrivals per second and coefficient of variation of the times between them, see `with_arrivals`;
        a backlog by default.
    intervals : float, optional
        Ratio u / l of prediction intervals, see `with_intervals`; none by default.
    predictions : str, optional
        Predictions of another kind, see `with_predictions`; in place of `intervals`.
    """

    worker: str | None
    slots: int | None
    rate: float | None
    cv: float
    intervals: float | None
    predictions: str | None


def generate(family: str, requests: int | None = None, seed: int = 0, **setting: Unpack[Setting]) -> Instance:
    """Generate an instance of a family; the same arguments give the same instance.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    requests : int, optional
        Number of requests; the family's own by default.
    seed : int
        At least 0.
    **setting
        See `Setting`: ``worker``, ``slots``, ``rate``, ``cv``, ``intervals``, ``predictions``.

    Raises
    ------
    InvalidInputError
        For an unknown family or deployment, or a number out of its range.
    InfeasibleInstanceError
        When a request does not fit the worker.
    """
    if unknown := setting.keys() - Setting.__annotations__:
        raise TypeError(f"generate() got an unexpected keyword argument {min(unknown)!r}")
    if family not in FAMILIES:
        raise InvalidInputError("family", f"unknown {family!r}, expected one of {', '.join(FAMILIES)}")
    if seed < 0:
        raise InvalidInputError("seed", f"expected an integer ≥ 0, got {seed}")
    instance = FAMILIES[family](requests, seed)
    worker, slots = setting.get("worker"), setting.get("slots")
    if worker is not None or slots is not None:
        instance = _on_worker(instance, worker, slots)
    rate = setting.get("rate")
    if rate is not None:
        instance = with_arrivals(instance, rate, seed, setting.get("cv", 1.0))
    intervals, predictions = setting.get("intervals"), setting.get("predictions")
    if intervals is not None and predictions is not None:
        raise InvalidInputError("predictions", "intervals and predictions cannot both be given")
    if intervals is not None:
        instance = with_intervals(instance, intervals, seed)
    if predictions is not None:
        instance = with_predictions(instance, predictions, seed)
    return instance


def _on_worker(instance: Instance, name: str | None, slots: int | None) -> Instance:
    worker = instance.workers[0] if name is None else deployment(name)
    changes = [] if name is None else [f"worker {name}"]
    if slots is not None:
        worker = replace(worker, slots=slots)
        changes.append(f"{slots} slots")
    return replace(
        instance,
        name="-".join([instance.name, *(c.replace("worker ", "").replace(" ", "") for c in changes)]),
        workers=(worker,),
        source=f"{instance.source} In place of the family's own: {', '.join(changes)}.",
    )
