"""The rule of a stochastic plan for the executor, which shows it only what may be seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.methods.stochastic.kernel import Rule
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.estimator import FixedEstimator
from llmsched_mip.policies.protocol import Decision, Problem, WorkerView, decode_or_wait, prompt_tokens


class Reserve(FixedEstimator):
    """KV is set aside for a given number of tokens; past it, for a quarter more than what is made."""

    def length(self, request: int, made: int = 0) -> int:
        """The reserve, or a quarter more than `made`."""
        reserve = self.values[request]
        return reserve if made < reserve else made + max(1, made // 4)


class PlacedBacklog(Backlog):
    """A backlog whose requests each wait for one worker, or, at -1, for any."""

    placed: list[int]

    def candidates(self, view: WorkerView) -> Iterator[int]:
        """Those that may run on the worker of the view."""
        return (i for i in super().candidates(view) if self.placed[i] in (-1, view.index))


class OrderPolicy(BacklogPolicy):
    """Prefill the next requests of an order that fit, as soon as `least` do; else decode.

    Parameters
    ----------
    problem : Problem
        Of its lengths nothing is looked at.
    rule : Rule
    """

    def __init__(self, problem: Problem, rule: Rule):
        estimator, prompts = Reserve(problem.lengths, rule.reserve.tolist()), prompt_tokens(problem)
        place = np.empty(len(rule.order), dtype=np.int64)
        place[rule.order] = np.arange(len(rule.order))
        places: list[int] = place.tolist()
        admission = [Admission(worker, estimator, prompts, rule.margin) for worker in problem.workers]
        self.backlog = PlacedBacklog(problem, lambda request, _: places[request], estimator, admission)
        self.backlog.placed, self.least = rule.placed.tolist(), int(rule.least)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill what fits, else decode until the next completion or arrival."""
        batch = self.backlog.choose(view, self.least)
        return self.backlog.take(batch) if batch else decode_or_wait(view, wake=view.free_slots > 0)
