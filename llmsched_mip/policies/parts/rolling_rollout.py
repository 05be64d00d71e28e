"""What a plan would lead to: one worker's share of the present state, run on with drawn lengths (compiled).

A model of the executor for comparing plans, not for values: what waits goes to one worker in the order of the plan, as
soon as the KV cache holds it and half of what is expected to come, and a prefill is put off as `idle_worth_waiting`
says, at a rate of completion that is the number of active requests over their mean rounds left.
"""

from __future__ import annotations

import math

import numpy as np

from llmsched_mip.compiled import routine
from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import FloatArray, IntArray

LOOKAHEAD = 48
NEIGHBOURS = (1.0, 0.5, 2.0)
LEAST, MOST = 0.25, 4.0
LONGEST_LIST = 256
GAIN = 0.01
"""Share by which a plan has to be better than the last one: the model is not the executor."""


class WaitingPrice:
    """The multiplier of the price of waiting in a plan: the last plan's, half of it or twice, whichever leads to the
    least sum of completion times over a few draws of the lengths, the same for each.

    Parameters
    ----------
    problem : Problem
    estimator : Estimator
    trials : int
        Runs of the present state for one plan.
    """

    def __init__(self, problem: Problem, estimator: Estimator, trials: int):
        self.problem, self.estimator = problem, estimator
        self.draws = trials // len(NEIGHBOURS)
        self.multiplier, self.plans = 1.0, 0
        self._active: dict[int, dict[int, int]] = {}

    def observe(self, view: WorkerView) -> None:
        """Note what is active on a worker that decides, and the tokens made."""
        self._active[view.index] = {i: view.rounds - start for i, start in view.started.items()}

    def plan(self, ordered: IntArray) -> None:
        """Choose the multiplier for what waits, in the order of the plan; the workers take turns as the one that is
        looked at, with its share of what waits."""
        count = len(self.problem.workers)
        w, self.plans = self.plans % count, self.plans + 1
        share = ordered[w::count][:LONGEST_LIST]
        running = self._active.get(w, {})
        if not self.draws or len(share) < 2 or not running:
            return
        costs = self._costs(w, share, running)
        best = min(costs, key=lambda multiplier: costs[multiplier])
        if costs[best] < (1 - GAIN) * costs[self.multiplier]:
            self.multiplier = best

    def _costs(self, w: int, share: IntArray, running: dict[int, int]) -> dict[float, float]:
        worker, prompts, estimator = self.problem.workers[w], self.problem.prefill_tokens, self.estimator
        requests, made = (np.array([*x], dtype=np.int64) for x in (running.keys(), running.values()))
        rng = np.random.default_rng([self.problem.seed, self.plans])
        left = estimator.sample(rng, requests, made, self.draws) - made
        drawn = estimator.sample(rng, share, np.zeros(len(share), dtype=np.int64), self.draws)
        expected = drawn.mean(axis=0)
        parameters = _parameters(worker)
        candidates = dict.fromkeys(min(max(self.multiplier * x, LEAST), MOST) for x in NEIGHBOURS)
        return {
            price: sum(
                rollout_cost(
                    (prompts[requests] + made, left[k]), (prompts[share], drawn[k], expected), parameters, price
                )
                for k in range(self.draws)
            )
            for price in candidates
        }


def _parameters(worker: Worker) -> FloatArray:
    prefill, decode = worker.prefill_time, worker.decode_time
    limits = (math.inf if most is None else float(most) for most in (worker.kv_capacity, worker.slots))
    times = (decode.base_s, decode.per_sequence_s, decode.per_kv_token_s)
    return np.array([prefill.fixed_seconds, prefill.token_seconds, *times, *limits])


def rollout_cost(
    active: tuple[IntArray, IntArray], waiting: tuple[IntArray, IntArray, FloatArray], worker: FloatArray, price: float
) -> float:
    """Sum of the seconds until each request ends.

    Parameters
    ----------
    active : two int arrays, shape (a,)
        KV tokens held and rounds left.
    waiting : three arrays, shape (m,)
        Prompts, drawn and expected lengths, in the order of the plan.
    worker : float array, shape (7,)
        Seconds of a prefill iteration and of a prompt token; of a round, of a sequence and of a KV token in it; the KV
        capacity; the slots.
    price : float
        Multiplier of the price of waiting.
    """
    total = len(active[0]) + len(waiting[0])
    held, left = np.zeros(total), np.zeros(total)
    held[: len(active[0])], left[: len(active[0])] = active
    return float(_run(held, left, len(active[0]), waiting, worker, price))


@routine
def _run(held, left, active, waiting, worker, price):  # type: ignore[no-untyped-def]
    prompts, drawn, expected = waiting
    fixed_s, prompt_s, base_s, sequence_s, kv_s, capacity, slots = worker
    time, cost, next_one = 0.0, 0.0, 0
    kv = 0.0
    for k in range(active):
        kv += held[k]
    while active or next_one < len(prompts):
        mean = 1.0
        for k in range(active):
            mean += left[k] / active
        # What fits: the prompts, one token each, and half of what is expected to come.
        count, tokens, ahead = 0, 0.0, active * mean / 2
        while next_one + count < len(prompts) and active + count < slots:
            i = next_one + count
            more = kv + tokens + prompts[i] + ahead + expected[i] / 2
            if more > capacity and active + count > 0:
                break
            tokens += prompts[i]
            ahead += expected[i] / 2
            count += 1
        round_s = base_s + sequence_s * active + kv_s * kv
        if count and active:
            idle_s, least = 0.0, fixed_s / count
            step_s = price * round_s * mean / active / (active + count)
            for j in range(min(LOOKAHEAD, active, len(prompts) - next_one - count)):
                idle_s += (count + j) * step_s
                if (fixed_s + idle_s) / (count + j + 1) < least:
                    count = 0
                    break
        if count:
            time += fixed_s + prompt_s * tokens
            for i in range(next_one, next_one + count):
                held[active], left[active] = prompts[i], drawn[i]
                active += 1
            kv += tokens
            next_one += count
            continue
        rounds = left[0]
        for k in range(1, active):
            rounds = min(rounds, left[k])
        time += rounds * (base_s + sequence_s * active + kv_s * (kv + active * (rounds + 1) / 2))
        kept = 0
        kv = 0.0
        for k in range(active):
            if left[k] > rounds:
                held[kept], left[kept] = held[k] + rounds, left[k] - rounds
                kv += held[kept]
                kept += 1
            else:
                cost += time
        active = kept
    return cost
