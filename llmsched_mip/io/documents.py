"""Layout of the files (docs/problem.md, section 7) and their JSON schemas; `instance` checks what values mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError

from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.limits import MOST_LIMIT

Name = Annotated[str, Field(min_length=1)]
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Limit = Annotated[int, Field(ge=1, le=MOST_LIMIT)]
BlockId = Annotated[int, Field(ge=0, le=2**63 - 1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _one(value: Any) -> Any:
    """Refuse true and 1.0, which equal 1 in Python."""
    if type(value) is not int:
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


Version = Annotated[Literal[1], BeforeValidator(_one)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AffineDocument(_Document):
    """Affine prefill time: base_s + per_token_s * tokens."""

    kind: Literal["affine"]
    base_s: Seconds
    per_token_s: Seconds


class LevelDocument(_Document):
    """One level of a prefill time."""

    tokens: Tokens
    seconds: Seconds


class LevelsDocument(_Document):
    """Prefill time by levels, increasing in tokens and in seconds."""

    kind: Literal["levels"]
    levels: Annotated[list[LevelDocument], Field(min_length=1)]


class DecodeDocument(_Document):
    """Decode round time: base_s + per_sequence_s * active + per_kv_token_s * KV tokens."""

    base_s: Seconds
    per_sequence_s: Seconds = 0.0
    per_kv_token_s: Seconds = 0.0


class CostDocument(_Document):
    """Price and power of a worker, all its GPUs together; plans do not depend on it."""

    price_per_hour: Amount | None = None
    watts_idle: Amount | None = None
    watts_busy: Amount | None = None


class PointDocument(_Document):
    """Seconds of an iteration of so many tokens."""

    tokens: Limit
    seconds: Seconds


class CollectiveDocument(_Document):
    """Collectives of an iteration, over all layers: base_s + per_token_s * tokens of the iteration."""

    base_s: Seconds = 0.0
    per_token_s: Seconds = 0.0


class DecodeIterationDocument(_Document):
    """Iterations without prompt tokens: base_s, or a table by requests in decode, and the parts."""

    base_s: Seconds | None = None
    per_sequence_s: Seconds = 0.0
    per_kv_token_s: Seconds = 0.0
    table: Annotated[list[PointDocument], Field(min_length=1)] | None = None
    collective: CollectiveDocument | None = None


class MixedIterationDocument(DecodeIterationDocument):
    """Iterations with prompt tokens: base_s and per_token_s, or a table by tokens, and the parts."""

    per_token_s: Seconds | None = None
    per_attention_s: Seconds = 0.0


class EngineDocument(_Document):
    """What a mixed replay knows of a worker."""

    token_budget: Limit = 2048
    block_tokens: Limit = 16
    prefix_cache: bool = True
    async_lag: Annotated[int, Field(ge=0, le=1)] = 1
    decode: DecodeIterationDocument | None = None
    mixed: MixedIterationDocument | None = None


class WorkerDocument(_Document):
    """One worker."""

    name: Name
    slots: Limit | None = None
    kv_capacity: Limit | None = None
    prefill_token_cap: Limit | None = None
    prefill_time: Annotated[AffineDocument | LevelsDocument, Field(discriminator="kind")]
    decode_time: DecodeDocument
    cost: CostDocument | None = None
    engine: EngineDocument | None = None


class DeploymentDocument(WorkerDocument):
    """A worker file, as those of the named deployments: a worker and where its figures come from."""

    source: Annotated[str, Field(min_length=1)] = "not said"


class RequestsDocument(_Document):
    """Request columns of equal length."""

    id: list[Name]
    arrival_s: list[Seconds] | None = None
    prefill_tokens: list[Tokens]
    decode_tokens: list[Tokens]
    decode_lower: list[Tokens] | None = None
    decode_upper: list[Tokens] | None = None
    weight: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    prefix_blocks: list[list[BlockId]] | None = None


class InstanceDocument(_Document):
    """An instance file."""

    format: Literal["llmsched-instance"]
    version: Version
    name: Name
    description: str = ""
    source: str = ""
    semantics: Literal["exclusive", "mixed"] = "exclusive"
    objective: Literal["makespan", "total_completion"] = "makespan"
    workers: Annotated[list[WorkerDocument], Field(min_length=1)]
    requests: RequestsDocument


class StageDocument(_Document):
    """One prefill iteration, then decode rounds."""

    requests: list[str]
    slots: list[int] | None = None
    rounds: Annotated[int, Field(ge=-MAX_TOKENS, le=MAX_TOKENS)]
    not_before_s: Number | None = None


class WorkerPlanDocument(_Document):
    """The stages of one worker."""

    name: str
    stages: list[StageDocument]


class DualsDocument(_Document):
    """What a slot-second and a KV-token-second of a worker are worth."""

    slot_s: Seconds
    kv_token_s: Seconds


class StochasticDocument(_Document):
    """Of a plan that was made without seeing the lengths: what was expected of it."""

    lengths: str
    distribution: str
    scenarios: int
    fresh_scenarios: int
    clairvoyant_scenarios: int
    value_in_sample: Number
    expected_value: Number
    expected_value_half_width: Number
    value_of_stochastic_solution: Number | None
    value_of_stochastic_solution_half_width: Number | None
    value_of_perfect_information: Number | None
    value_of_perfect_information_half_width: Number | None
    most_value_of_perfect_information: Number | None
    statistical_bound: Number | None
    overflow_risk: Number
    overflow_share: Number
    executed_value: Number
    evictions: int


class PlanDocument(_Document):
    """A plan file."""

    format: Literal["llmsched-plan"]
    version: Version
    instance: str
    instance_digest: str
    objective: str
    method: str
    status: str
    value: Number | None
    bound: Number | None
    gap: Number | None
    bounds: dict[str, Number] = {}
    seconds: Seconds = 0.0
    duals: dict[str, DualsDocument] = {}
    stochastic: StochasticDocument | None = None
    workers: list[WorkerPlanDocument]


class ParametersDocument(_Document):
    """Numbers of the learned rule, without dimension; what each means and its range: docs/learned.md."""

    length: Number
    machine_time: Number
    volume: Number
    prompt: Number
    weight: Number
    uncertainty: Number
    tail: Number
    place: Number
    age: Number
    endgame: Number
    endgame_spread: Number
    lot_size: Number
    idle_price: Number
    idle_price_kv: Number
    least: Number
    refill: Number
    growth: Number
    reserve: Number
    relief: Number
    ramp_start: Number
    ramp: Number
    in_progress: Number = 5.0


class GenerationDocument(_Document):
    """A generation of the training: value over that of fcfs, of its best candidate and in the mean."""

    generation: Annotated[int, Field(ge=0)]
    best: Number
    mean: Number


class ComparedRuleDocument(_Document):
    """A rule on the held-out seeds: mean value, and of the learned rule over it the mean ratio, how often it is
    better, and the p-value of Wilcoxon's signed-rank test (one-sided)."""

    policy: str
    value: Number
    ratio: Number
    better: Annotated[int, Field(ge=0)]
    p: Number


class ValidationDocument(_Document):
    """The learned rule on held-out seeds: its mean value, and the rules with the same view of the lengths."""

    instances: Annotated[int, Field(ge=0)]
    value: Number
    rules: list[ComparedRuleDocument]


class EntryDocument(_Document):
    """One trained rule."""

    family: Name
    objective: Literal["makespan", "total_completion"]
    lengths: Literal["known", "interval", "unknown"]
    predictions: str | None = None
    requests: Limit | None = None
    likeness: Annotated[list[Number], Field(min_length=4, max_length=4)]
    start: str
    parameters: ParametersDocument
    curve: list[GenerationDocument] = []
    validation: ValidationDocument | None = None


class TrainingDocument(_Document):
    """How the training was run."""

    seed: Annotated[int, Field(ge=0)]
    seeds: Limit
    population: Limit
    generations: Annotated[int, Field(ge=0)]
    seconds: Seconds
    interrupted: bool


class TrainingStateDocument(_Document):
    """Where a training stands: settings, and by goal the losses of each batch of candidates."""

    format: Literal["llmsched-training"]
    version: Version
    settings: dict[str, Any]
    losses: dict[str, list[list[Number]]]


class PolicyDocument(_Document):
    """A policy file."""

    format: Literal["llmsched-policy"]
    version: Version
    description: str = ""
    training: TrainingDocument | None = None
    entries: Annotated[list[EntryDocument], Field(min_length=1)]


DOCUMENTS: dict[str, type[BaseModel]] = {
    "instance": InstanceDocument,
    "plan": PlanDocument,
    "worker": DeploymentDocument,
    "policy": PolicyDocument,
    "training": TrainingStateDocument,
}


def json_schema(name: str) -> dict[str, Any]:
    """JSON schema of ``instance``, ``plan``, ``worker`` (named deployment) or ``policy`` files."""
    schema = DOCUMENTS[name].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
