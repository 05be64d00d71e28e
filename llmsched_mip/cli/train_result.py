"""What `llmsched train` prints with ``--json``."""

from __future__ import annotations

from llmsched_mip.cli.result_object import ResultObject


class GenerationObject(ResultObject):
    """A generation of a training: objective over that of fcfs, of its best candidate and in the mean."""

    generation: int
    best: float
    mean: float


class ComparedRuleObject(ResultObject):
    """A hand-made rule on held-out seeds, and the learned one over it; `p`: Wilcoxon's signed-rank test, one-sided."""

    policy: str
    value: float
    ratio: float
    better: int
    p: float


class ValidationObject(ResultObject):
    """The learned rule on held-out seeds, and every hand-made rule that sees the same."""

    instances: int
    value: float
    rules: list[ComparedRuleObject]


class TrainedObject(ResultObject):
    """One trained rule, as the policy file has it."""

    family: str
    objective: str
    lengths: str
    predictions: str | None
    requests: int | None
    likeness: list[float]
    start: str
    parameters: dict[str, float]
    curve: list[GenerationObject]
    validation: ValidationObject | None


class TrainingObject(ResultObject):
    """How the training was run."""

    seed: int
    seeds: int
    population: int
    generations: int
    seconds: float
    interrupted: bool


class TrainResult(ResultObject):
    """Of `llmsched train`: the policy file that was written, and its new entries."""

    file: str
    training: TrainingObject
    entries: list[TrainedObject]
