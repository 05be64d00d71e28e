"""Orders of a queue by expected length or volume."""

from __future__ import annotations

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.queue import Key, by_arrival
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import request_kv_volume

MAX_LENGTH = 2**32
MAX_REQUESTS = 2**40


def longest_first(estimator: Estimator) -> Key:
    """Descending expected length, then arrival; by arrival where nothing is visible."""
    if estimator.visible == "unknown":
        return by_arrival
    return lambda request, number: (MAX_LENGTH - estimator.length(request)) * MAX_REQUESTS + number


def shortest_first(problem: Problem, estimator: Estimator) -> Key:
    """Ascending expected length over weight, d / ω, then arrival; by arrival where nothing is visible."""
    if estimator.visible == "unknown":
        return by_arrival
    return lambda request, number: (estimator.length(request) / float(problem.weight[request]), number)


def largest_volume_first(problem: Problem, estimator: Estimator) -> Key:
    """Descending KV volume of the expected length, then arrival."""
    prompts: list[int] = problem.prefill_tokens.tolist()

    def key(request: int, number: int) -> tuple[float, int]:
        return -float(request_kv_volume(prompts[request], estimator.length(request))), number

    return key


def smallest_volume_first(problem: Problem, estimator: Estimator) -> Key:
    """Ascending KV volume of the expected length over weight, then arrival."""
    prompts: list[int] = problem.prefill_tokens.tolist()

    def key(request: int, number: int) -> tuple[float, int]:
        volume = request_kv_volume(prompts[request], estimator.length(request))
        return volume / float(problem.weight[request]), number

    return key
