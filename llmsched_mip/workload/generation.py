"""Instances of a family, with another worker, arrivals or predictions where they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.workload.arrivals import with_arrivals
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.fleet import Fleet, Limit, fitting
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
    workers : int
        Number of workers of that kind.
    kv_capacity : int or "none", optional
        KV capacity in place of the worker's, tokens.
    prefill_cap : int, "none" or "engine", optional
        Prefill cap in place of the published setting, which has none; "engine": that of the deployment, see `Fleet`.
    drop_unfit : bool
        Leave out the requests that fit no worker.
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
    workers: int
    kv_capacity: Limit
    prefill_cap: Limit
    drop_unfit: bool
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
        See `Setting`.

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
    instance = _on_workers(instance, setting)
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


def _on_workers(instance: Instance, setting: Setting) -> Instance:
    """The instance on other workers, as the published results have them unless something else is asked for."""
    name, slots, count = setting.get("worker"), setting.get("slots"), setting.get("workers", 1)
    kv, cap = setting.get("kv_capacity"), setting.get("prefill_cap")
    worker = instance.workers[0] if name is None else deployment(name, published=True)
    r = instance.requests
    workers = Fleet(worker, count, slots, kv, cap).workers(r.prefill_tokens, r.decode_tokens)
    kept, unfit = fitting(r, workers) if setting.get("drop_unfit") else (r, ())
    if not len(kept):
        raise InvalidInputError("worker", "no request fits it")
    changes = [] if name is None else [f"worker {name}"]
    changes += [f"{value} {unit}" for value, unit in ((slots, "slots"), (kv, "KV tokens")) if value is not None]
    changes += [] if cap is None else [f"prefill cap {cap}"]
    changes += [f"{count} workers"] if count > 1 else []
    changes += [f"{len(kept)} fitting of {len(r)} requests"] if unfit else []
    if not changes:
        return instance
    return replace(
        instance,
        name="-".join([instance.name, *(c.split(" of ")[0].replace("worker ", "").replace(" ", "") for c in changes)]),
        requests=kept,
        workers=workers,
        source=f"{instance.source} In place of the family's own: {', '.join(changes)}.",
    )
