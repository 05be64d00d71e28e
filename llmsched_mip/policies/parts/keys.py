"""Orders of a queue by expected length or volume."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.queue import Key, by_arrival
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume, work_seconds

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


def smallest_machine_time_first(problem: Problem, estimator: Estimator) -> Key:
    """Ascending machine time (`timing.work_seconds`, of several workers the least) over weight, then arrival."""
    if estimator.exact:
        lengths = np.array([estimator.length(i) for i in range(len(problem.prefill_tokens))], dtype=np.int64)
        known = (_machine_time(problem, problem.prefill_tokens, lengths) / problem.weight).tolist()
        return lambda request, number: (known[request], number)

    def key(request: int, number: int) -> tuple[float, int]:
        prompt, length = problem.prefill_tokens[request : request + 1], np.array([estimator.length(request)])
        return float(_machine_time(problem, prompt, length)[0] / problem.weight[request]), number

    return key


def _machine_time(problem: Problem, prompts: IntArray, lengths: IntArray) -> FloatArray:
    """Seconds, shape (n,): the least over the workers."""
    each = [
        work_seconds(worker.prefill_time, worker.decode_time, prompts, lengths, worker.slots, worker.kv_capacity)
        for worker in problem.workers
    ]
    return np.asarray(np.minimum.reduce(each))
