"""Whether the content of a plan is of the right type, shape and range at all, before `evaluate` reads it.

Plans from files are checked when they are read; plans made in Python, by a user's model for one, are checked here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.magnitudes import MOST_SECONDS, MOST_TOKEN_ROUNDS
from llmsched_mip.plan import Claims, Duals, Plan, WorkerPlan
from llmsched_mip.stochastic_values import StochasticValues
from llmsched_mip.timing import IntArray
from llmsched_mip.violations import Violation


class _UnsoundError(Exception):
    """What is wrong with one part of a plan."""


def sound(instance: Instance, plan: Plan) -> tuple[Plan, list[Violation]]:
    """The plan without what cannot be read, and a violation for each such part.

    Parameters
    ----------
    instance : Instance
    plan : Plan
        Any content.

    Returns
    -------
    Plan
        Integer columns as int64; a worker with a column that cannot be read has no stages, a claim that cannot be read
        is left out.
    list of Violation
        Empty for a plan of the right types.
    """
    plan, found = _claims(plan)
    workers: list[WorkerPlan] = []
    given = plan.workers if isinstance(plan.workers, (tuple, list)) else ()
    if given is not plan.workers:
        found.append(Violation("worker", f"workers are {type(plan.workers).__name__}, expected WorkerPlan objects"))
    for k, worker_plan in enumerate(given):
        if not isinstance(worker_plan, WorkerPlan):
            found.append(Violation("worker", f"workers[{k}] is {type(worker_plan).__name__}, expected a WorkerPlan"))
            continue
        if not isinstance(worker_plan.name, str):
            found.append(
                Violation("worker", f"workers[{k}].name is {type(worker_plan.name).__name__}, expected a string")
            )
            continue
        try:
            workers.append(_columns(instance, worker_plan))
        except _UnsoundError as error:
            found.append(Violation("worker", f"worker {worker_plan.name!r}: {error}", worker_plan.name))
            empty = np.zeros(0, dtype=np.int64)
            workers.append(WorkerPlan(worker_plan.name, empty, np.zeros(1, dtype=np.int64), empty))
    return replace(plan, workers=tuple(workers)), found


def _claims(plan: Plan) -> tuple[Plan, list[Violation]]:
    """The plan with the claims that are of the right type, and a violation for each other."""
    found: list[Violation] = []
    changed: dict[str, Any] = {}
    for name in ("instance", "instance_digest", "objective", "method"):
        if not isinstance(getattr(plan, name), str):
            found.append(Violation("claim", f"{name} is {type(getattr(plan, name)).__name__}, expected a string"))
            changed[name] = ""
    if not _sound_duals(plan.duals):
        found.append(Violation("claim", "duals are not Duals of two finite numbers ≥ 0 by the name of a worker"))
        changed["duals"] = {}
    if not (plan.stochastic is None or isinstance(plan.stochastic, StochasticValues)):
        found.append(Violation("claim", f"stochastic is {type(plan.stochastic).__name__}, expected StochasticValues"))
        changed["stochastic"] = None
    claims = plan.claims
    if not isinstance(claims, Claims):
        found.append(Violation("claim", f"claims are {type(claims).__name__}, expected Claims"))
        return replace(plan, claims=Claims(), **changed), found
    sound_claims = replace(claims, **_changed_claims(claims, found))
    return replace(plan, claims=sound_claims, **changed), found


def _changed_claims(claims: Claims, found: list[Violation]) -> dict[str, Any]:
    """What takes the place of claims of a wrong type; a violation for each is added to `found`."""
    changed: dict[str, Any] = {}
    if not isinstance(claims.status, str):
        found.append(Violation("claim", f"status is {type(claims.status).__name__}, expected a string"))
        changed["status"] = ""
    for name in ("value", "bound", "gap", "seconds"):
        value = getattr(claims, name)
        if not (_finite(value) or (value is None and name != "seconds")):
            found.append(Violation("claim", f"{name} is {_short(value)}, expected a finite number"))
            changed[name] = 0.0 if name == "seconds" else None
    bounds = claims.bounds
    if not isinstance(bounds, dict):
        found.append(Violation("claim", f"bounds are {type(bounds).__name__}, expected numbers by name"))
        changed["bounds"] = {}
    elif not all(isinstance(name, str) and _finite(value) for name, value in bounds.items()):
        for name, value in bounds.items():
            if not (isinstance(name, str) and _finite(value)):
                found.append(Violation("claim", f"bound {_short(name)} is {_short(value)}, expected a finite number"))
        changed["bounds"] = {k: v for k, v in bounds.items() if isinstance(k, str) and _finite(v)}
    return changed


def _sound_duals(duals: Any) -> bool:
    return isinstance(duals, dict) and all(
        isinstance(name, str) and isinstance(one, Duals) and all(_finite(x) and x >= 0 for x in one)
        for name, one in duals.items()
    )


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)
    except OverflowError:
        return False


def _short(value: Any) -> str:
    return repr(value)[:40] if isinstance(value, (int, float, str, type(None))) else type(value).__name__


def _columns(instance: Instance, worker_plan: WorkerPlan) -> WorkerPlan:
    """The stages of one worker with int64 columns of matching lengths; raises `_UnsoundError`."""
    requests, offsets, rounds = (
        _integers(name, getattr(worker_plan, name)) for name in ("requests", "offsets", "rounds")
    )
    if len(offsets) != len(rounds) + 1:
        raise _UnsoundError(f"{len(offsets)} offsets for {len(rounds)} stages, expected one more than stages")
    if offsets[0] != 0 or offsets[-1] != len(requests) or (np.diff(offsets) < 0).any():
        raise _UnsoundError(f"offsets do not rise from 0 to the number of requests, {len(requests)}")
    if float(np.sum(np.maximum(rounds, 0), dtype=np.float64)) > MOST_TOKEN_ROUNDS:
        raise _UnsoundError("too many rounds")
    slots = None if worker_plan.slots is None else _integers("slots", worker_plan.slots)
    if slots is not None and len(slots) != len(requests):
        raise _UnsoundError(f"{len(slots)} slots for {len(requests)} requests")
    if not isinstance(worker_plan.unknown, dict):
        raise _UnsoundError(f"unknown is {type(worker_plan.unknown).__name__}, expected a dict")
    known = requests[(requests >= 0) & (requests < instance.n)]
    if float(np.sum(instance.kv_volume[known], dtype=np.float64)) > MOST_TOKEN_ROUNDS:
        raise _UnsoundError("requests stand in it so often that KV token-rounds cannot be counted")
    return replace(
        worker_plan,
        requests=requests,
        offsets=offsets,
        rounds=rounds,
        slots=slots,
        not_before_s=_times(worker_plan.not_before_s, len(rounds)),
    )


def _integers(name: str, values: Any) -> IntArray:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        raise _UnsoundError(f"{name} is {_kind(values)}, expected a one-dimensional array of integers")
    if len(values) and (int(values.max()) > MOST_LIMIT or int(values.min()) < -MOST_LIMIT):
        raise _UnsoundError(f"{name} has a number outside ±{MOST_LIMIT}")
    return values.astype(np.int64, copy=False)


def _times(values: Any, stages: int) -> Any:
    if values is None:
        return None
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iuf":
        raise _UnsoundError(f"not_before_s is {_kind(values)}, expected a one-dimensional array of numbers")
    if len(values) != stages:
        raise _UnsoundError(f"{len(values)} values of not_before_s for {stages} stages")
    values = values.astype(np.float64, copy=False)
    bad = np.flatnonzero(~(np.abs(values) <= MOST_SECONDS))
    if len(bad):
        raise _UnsoundError(f"not_before_s of stage {bad[0]} is {values[bad[0]]}, expected a finite number of seconds")
    return values


def _kind(values: Any) -> str:
    if isinstance(values, np.ndarray):
        return f"an array of {values.dtype} and shape {values.shape}"
    return type(values).__name__
