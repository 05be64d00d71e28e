"""What was planned or executed as pandas DataFrames: a row a request, or a row a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.evaluation import evaluate, require_feasible, worker_usage
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Schedule, WorkerUsage
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.timing import IntArray

if TYPE_CHECKING:
    import pandas as pd


def plan_schedule(instance: Instance, plan: Plan) -> pd.DataFrame:
    """When each request of a feasible plan runs; the columns of `schedule_frame`.

    Raises
    ------
    InvalidPlanError
        The plan breaks the model, or is one of another instance.
    """
    evaluation = evaluate(instance, plan)
    require_feasible(evaluation, plan.method)
    return schedule_frame(instance, evaluation.schedule, plan.workers)


def schedule_frame(instance: Instance, schedule: Schedule, stages: Sequence[WorkerPlan]) -> pd.DataFrame:
    """One row a request, in the order of the instance.

    Parameters
    ----------
    instance : Instance
    schedule : Schedule
    stages : one WorkerPlan a worker
        The stages that gave the schedule; of a request in several of them the last counts.

    Returns
    -------
    DataFrame
        ``request`` (id), ``worker`` (name), ``slot`` (missing where there are no slots), ``stage`` (from 0, on its
        worker), ``arrival_s``, ``prefill_start_s``, ``prefill_end_s``, ``first_token_s``, ``completion_s`` (seconds
        from the start), ``waiting_s`` (from arrival to prefill) and ``latency_s`` (from arrival to completion).
    """
    import pandas as pd

    requests = instance.requests
    names = np.array([*(worker.name for worker in instance.workers), None], dtype=object)
    stage = np.full(instance.n, -1, dtype=np.int64)
    for here in stages:
        stage[here.requests] = np.repeat(np.arange(len(here)), np.diff(here.offsets))
    return pd.DataFrame(
        {
            "request": requests.id,
            "worker": names[schedule.worker],
            "slot": _known(schedule.slot),
            "stage": _known(stage),
            "arrival_s": requests.arrival_s,
            "prefill_start_s": schedule.prefill_start_s,
            "prefill_end_s": schedule.decode_start_s,
            "first_token_s": schedule.first_token_s,
            "completion_s": schedule.completion_s,
            "waiting_s": schedule.prefill_start_s - requests.arrival_s,
            "latency_s": schedule.completion_s - requests.arrival_s,
        }
    )


def plan_stages(instance: Instance, plan: Plan) -> pd.DataFrame:
    """One row a stage of a feasible plan, by worker and time.

    Returns
    -------
    DataFrame
        ``worker`` (name), ``stage`` (from 0), ``start_s``, ``prefill_end_s``, ``end_s`` (seconds from the start),
        ``requests`` and ``prompt_tokens`` (of its prefill iteration), ``rounds`` (decode rounds after it), ``active``
        (most requests in service at once) and ``kv_peak`` (most KV tokens held).

    Raises
    ------
    InvalidPlanError
        The plan breaks the model, or is one of another instance.
    """
    import pandas as pd

    require_feasible(evaluate(instance, plan), plan.method)
    sizes = {here.name: np.diff(here.offsets) for here in plan.workers}
    parts = [_stages(usage, sizes[usage.name]) for usage in worker_usage(instance, plan)]
    return pd.concat(parts, ignore_index=True)


def _stages(usage: WorkerUsage, sizes: IntArray) -> pd.DataFrame:
    """The stages of one worker: each begins with a prefill iteration, and all runs up to the next one are its own."""
    import pandas as pd

    first = np.flatnonzero(usage.prefill)
    last = np.append(first[1:], len(usage.prefill)) - 1
    return pd.DataFrame(
        {
            "worker": usage.name,
            "stage": np.arange(len(first)),
            "start_s": usage.start_s[first],
            "prefill_end_s": usage.end_s[first],
            "end_s": usage.end_s[last],
            "requests": sizes,
            "prompt_tokens": usage.tokens[first],
            "rounds": np.add.reduceat(usage.rounds, first),
            "active": np.maximum.reduceat(usage.held, first),
            "kv_peak": np.maximum.reduceat(usage.kv_last, first),
        }
    )


def _known(values: IntArray) -> pd.Series:
    """Integers in which -1 stands for none."""
    import pandas as pd

    return pd.Series(values, dtype="Int64").mask(values < 0)
