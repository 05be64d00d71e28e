"""What a rule is trained for: a workload, an objective and what is visible; and what a rule is worth there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import read_instance
from llmsched_mip.policies import POLICIES
from llmsched_mip.policies.learned import LearnedRule
from llmsched_mip.policies.parts.learned_file import likeness
from llmsched_mip.policies.parts.learned_parameters import Parameters
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import FloatArray
from llmsched_mip.workload import FAMILIES, generate
from llmsched_mip.workload.marginals import stream
from llmsched_mip.workload.predictions import with_predictions

BASELINE = "fcfs"
NOT_COMPARED = ("learned", "plan", "plan-order", "vllm", "h-sf", "sorted-lp", "lp-swap")
"""Policies that need a plan or the lengths themselves, that are no rule for batches, or that solve a program first."""


@dataclass(frozen=True)
class Goal:
    """A workload with an objective and a view of the lengths.

    Parameters
    ----------
    source : str
        A family, or the path of an instance file.
    lengths : str
        What the rule may see: ``known``, ``interval`` or ``unknown``.
    objective : str, optional
        In place of the workload's.
    requests : int, optional
        In place of the family's number.
    predictions : str, optional
        Kind of the prediction intervals (`workload.predictions`), in place of those of the file.
    """

    source: str
    lengths: str
    objective: str | None = None
    requests: int | None = None
    predictions: str | None = None

    @property
    def name(self) -> str:
        """For people: workload, objective and view."""
        return f"{self.family} {self.instance(0).objective.replace('_', ' ')} {self.lengths}"

    @property
    def family(self) -> str:
        """The family, or the name of the instance in the file."""
        return self.source if self.source in FAMILIES else self.instance(0).name

    def instance(self, seed: int) -> Instance:
        """The instance of a seed: of a family as `generate` has it; of a file its requests, drawn with replacement
        (but for seed 0), at the same arrival times.

        Raises
        ------
        UnreadableFileError, InvalidInputError, InfeasibleInstanceError
            One line.
        """
        return _instance(self, seed)

    def value(self, seed: int, parameters: Parameters) -> float:
        """Objective of the learned rule, seconds."""
        instance = self.instance(seed)
        executor = Executor(instance, LearnedRule(Problem.of(instance, self.lengths), parameters))
        executor.run()
        return float(executor.outcome("learned", 0.0).measures.objective(instance.objective))

    def loss(self, seed: int, vector: tuple[float, ...]) -> float:
        """Logarithm of the objective over that of first come, first served, which sees the same."""
        return math.log(self.value(seed, Parameters.of(np.array(vector))) / _rule_value(self, seed, BASELINE))

    def rule_value(self, seed: int, policy: str) -> float:
        """Objective of a hand-made rule, seconds."""
        return _rule_value(self, seed, policy)

    def likeness(self) -> tuple[float, ...]:
        """See `learned_file.likeness`: of seed 0, all that is there at the beginning."""
        instance = self.instance(0)
        first = np.flatnonzero(instance.requests.arrival_s <= instance.requests.arrival_s.min())
        return likeness(Problem.of(instance, "unknown"), first)

    def free(self) -> np.ndarray:
        """Which of the numbers can make a difference, shape (22,)."""
        instance = self.instance(0)
        names = dict.fromkeys(Parameters.__dataclass_fields__, True)
        names["weight"] = len(np.unique(instance.requests.weight)) > 1
        names["age"] = bool(instance.requests.arrival_s.max() > instance.requests.arrival_s.min())
        names["uncertainty"] = names["tail"] = self.lengths == "interval"
        names["endgame_spread"] = self.lengths == "interval"
        names["ramp"] = names["ramp_start"] = any(worker.slots for worker in instance.workers)
        binds = any(worker.kv_capacity for worker in instance.workers)
        names["growth"] = names["reserve"] = names["relief"] = binds and self.lengths != "known"
        names["idle_price_kv"] = binds
        names["in_progress"] = instance.objective == "total_completion"
        names["refill"] = names["lot_size"] = False  # Either or: chosen by the first tries.
        return np.array(list(names.values()))


def compared() -> tuple[str, ...]:
    """Hand-made rules that run with hidden lengths."""
    return tuple(name for name in POLICIES if name not in NOT_COMPARED)


@lru_cache(maxsize=64)
def _instance(goal: Goal, seed: int) -> Instance:
    if goal.source in FAMILIES:
        instance = generate(goal.source, goal.requests, seed)
    else:
        instance = read_instance(goal.source)
        if goal.requests is not None:
            raise InvalidInputError("--requests", "goes with families, not with instance files")
        if instance.semantics != "exclusive":
            raise InvalidInputError("semantics", "training takes exclusive ones", None, goal.source)
        instance = _drawn(instance, seed)
    if goal.predictions is not None:
        instance = with_predictions(instance, goal.predictions, seed)
    if goal.lengths == "interval" and instance.requests.decode_lower is None:
        raise InvalidInputError("--lengths", f"interval needs --predictions: {goal.source} has no intervals")
    return instance if goal.objective is None else instance.with_objective(goal.objective)


def _drawn(instance: Instance, seed: int) -> Instance:
    """As many requests, drawn from those of the instance; seed 0 is the instance itself."""
    r, n = instance.requests, instance.n
    if seed == 0:
        return instance
    drawn = stream(seed, "pairs").integers(0, n, n)
    columns: dict[str, FloatArray | None] = {
        name: None if getattr(r, name) is None else getattr(r, name)[drawn]
        for name in ("prefill_tokens", "decode_tokens", "decode_lower", "decode_upper", "weight")
    }
    return instance.with_requests(replace(r, **columns, prefix_blocks=None))  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def _rule_value(goal: Goal, seed: int, policy: str) -> float:
    instance = goal.instance(seed)
    outcome = replay(instance, policy, lengths=goal.lengths, seed=seed)
    return float(outcome.measures.objective(instance.objective))
