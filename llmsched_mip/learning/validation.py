"""The learned rule against every hand-made one with the same view of the lengths, on seeds that no training sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from llmsched_mip.errors import SchedulingError
from llmsched_mip.learning.crew import Crew
from llmsched_mip.learning.goal import Goal, compared
from llmsched_mip.policies.parts.learned_parameters import Parameters
from llmsched_mip.timing import FloatArray


def validate(
    goal: Goal, parameters: Parameters, count: int, crew: Crew, policies: Sequence[str] | None = None
) -> dict[str, Any]:
    """The layout of `io.documents.ValidationDocument`, over the seeds 0 to `count` - 1, best rules first; `policies`:
    default every hand-made one."""
    seeds = list(range(count))
    learned = np.array(crew.map(goal.value, seeds, [parameters] * count))
    rules: list[dict[str, Any]] = []
    for policy in policies or compared():
        try:
            values = np.array(crew.map(goal.rule_value, seeds, [policy] * count))
        except SchedulingError:
            continue  # It cannot work with what this goal shows.
        rules.append(
            {
                "policy": policy,
                "value": float(values.mean()),
                "ratio": float(np.mean(learned / values)),
                "better": int(np.sum(learned < values)),
                "p": _p_value(learned, values),
            }
        )
    rules.sort(key=lambda rule: float(rule["value"]))
    return {"instances": count, "value": float(learned.mean()), "rules": rules}


def _p_value(learned: FloatArray, values: FloatArray) -> float:
    """Of Wilcoxon's signed-rank test that the learned rule is not smaller; 1 where all are equal."""
    if np.all(learned == values):
        return 1.0
    return float(wilcoxon(learned, values, alternative="less").pvalue)
