"""One worker and its requests as flat numbers, and the formulas of `timing` for compiled searches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.compiled import kernel
from llmsched_mip.instance import Instance
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.timing import FloatArray, IntArray, run_kv_volume
from llmsched_mip.worker import Worker

kv_volume = kernel(run_kv_volume)


class SingleWorker(NamedTuple):
    """The problem of one worker, lengths known.

    Parameters
    ----------
    makespan : bool
        Else the weighted sum of completion times.
    p, d : int arrays, shape (n,)
        Prompt and output tokens.
    weight, arrival_s : float arrays, shape (n,)
    slots, capacity, cap : int
        Most requests at once, KV tokens, prompt tokens of a prefill iteration; very large where nothing limits them.
    level_tokens, level_s : float arrays, shape (L,)
        Prefill iterations: the seconds of the first level that holds the prompt tokens, and `token_s` for each.
    token_s, round_s, sequence_s, kv_token_s : float
        Seconds of a prompt token, of a decode round, of a request in it, of a KV token in it.
    """

    makespan: bool
    p: IntArray
    d: IntArray
    weight: FloatArray
    arrival_s: FloatArray
    slots: int
    capacity: int
    cap: int
    level_tokens: FloatArray
    level_s: FloatArray
    token_s: float
    round_s: float
    sequence_s: float
    kv_token_s: float

    @classmethod
    def of(cls, instance: Instance) -> SingleWorker:
        """The problem of an instance with one worker."""
        (worker,), r = instance.workers, instance.requests
        decode, levels = worker.decode_time, worker.prefill_time.levels()
        return cls(
            instance.objective == "makespan",
            np.array(r.prefill_tokens),
            np.array(r.decode_tokens),
            np.array(r.weight),
            np.array(r.arrival_s),
            worker.most_slots(instance.n),
            worker.most_kv(MOST_LIMIT),
            worker.most_prefill(MOST_LIMIT),
            levels.tokens,
            levels.seconds,
            float(worker.prefill_time.prompt_seconds(1)),
            decode.base_s,
            decode.per_sequence_s,
            decode.per_kv_token_s,
        )

    @property
    def most_active(self) -> int:
        """More requests than can ever be active: slots, and the smallest KV use in a first round, bound them."""
        return min(self.slots, self.capacity // (int(self.p.min()) + 1)) + 1


@kernel
def prefill_seconds(problem, tokens):  # type: ignore[no-untyped-def]
    """Duration of a prefill iteration: `timing.PrefillTime.seconds`."""
    level = 0
    while problem.level_tokens[level] < tokens:
        level += 1
    return problem.level_s[level] + problem.token_s * tokens


@kernel
def run_seconds(problem, rounds, active, kv_before):  # type: ignore[no-untyped-def]
    """Duration of rounds with an unchanged active set: `timing.DecodeTime.run_seconds`."""
    volume = kv_volume(rounds, active, kv_before)
    return rounds * (problem.round_s + problem.sequence_s * active) + problem.kv_token_s * volume


@kernel
def rounds_to_pass(problem, seconds, active, kv_before, most):  # type: ignore[no-untyped-def]
    """Fewest rounds, 1 to `most`, whose duration reaches `seconds`: `timing.DecodeTime.rounds_to_pass`."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if run_seconds(problem, middle, active, kv_before) >= seconds:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def seconds_left(problem, rounds, kv_held):  # type: ignore[no-untyped-def]
    """Seconds of a full worker that an active request with so many rounds left takes: `timing.work_seconds`."""
    volume = kv_volume(rounds, 1, kv_held)
    share = max(volume / problem.capacity, rounds / problem.slots)
    return problem.round_s * share + problem.sequence_s * rounds + problem.kv_token_s * volume


class Starts(NamedTuple):
    """When each request is prefilled: after how many rounds, and in which prefill iteration; int arrays, shape (n,)."""

    rounds: IntArray
    iteration: IntArray

    @classmethod
    def empty(cls, n: int) -> Starts:
        """Arrays to be filled."""
        return cls(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64))

    def copy(self) -> Starts:
        """A copy."""
        return Starts(self.rounds.copy(), self.iteration.copy())

    @classmethod
    def of(cls, plan: Plan) -> Starts:
        """Those of a plan for one worker in which every request appears once."""
        (stages,) = plan.workers
        found = cls.empty(len(stages.requests))
        stage = np.repeat(np.arange(len(stages)), np.diff(stages.offsets))
        found.iteration[stages.requests] = stage
        found.rounds[stages.requests] = np.concatenate(([0], np.cumsum(stages.rounds)))[stage]
        return found

    def plan(self, instance: Instance, method: str) -> Plan:
        """The plan of an instance with one worker; iterations are numbered from 0 in order of time, without gaps."""
        stages = self.stages(instance.workers[0], instance.requests.decode_tokens)
        return Plan(instance.name, instance.digest, instance.objective, method, (stages,))

    def stages(self, worker: Worker, decode_tokens: IntArray) -> WorkerPlan:
        """The stages of a worker with these requests, by their numbers here."""
        order, d = np.argsort(self.iteration, kind="stable"), decode_tokens
        sizes = np.bincount(self.iteration)
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        begins = self.rounds[order][offsets[:-1]]
        rounds = np.diff(np.append(begins, (self.rounds + d).max()))
        slots = None
        if worker.slots is not None:
            by_end = np.argsort((self.rounds + d)[order], kind="stable")
            slots = _free_slots(self.rounds[order], d[order], by_end)
        return WorkerPlan(worker.name, order, offsets, rounds, slots)


@njit(cache=True)
def _free_slots(begin, d, by_end):  # type: ignore[no-untyped-def]
    """A slot for each request, given by start: of the free ones that which was freed last, else a new one."""
    n = len(begin)
    slot, free = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    waiting = used = ended = 0
    for k in range(n):
        while begin[by_end[ended]] + d[by_end[ended]] <= begin[k] and by_end[ended] < k:
            free[waiting] = slot[by_end[ended]]
            waiting, ended = waiting + 1, ended + 1
        if waiting:
            waiting -= 1
            slot[k] = free[waiting]
        else:
            slot[k], used = used, used + 1
    return slot
