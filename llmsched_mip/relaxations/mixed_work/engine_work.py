"""What one kind of worker has to do for its requests in a mixed execution, whatever order and chunks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.limits import finite
from llmsched_mip.mixed_engine import IterationTime, MixedEngine, decode_iteration, mixed_iteration
from llmsched_mip.relaxations.mixed_work.lines import Least, Pieces
from llmsched_mip.relaxations.mixed_work.prompts import Prompts
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.worker import Worker


@dataclass(frozen=True, eq=False)
class EngineWork:
    """A kind of worker, the requests that fit it, and what the limits are for these.

    Parameters
    ----------
    worker : Worker
    copies : int
        Workers of the kind.
    fits : bool array, shape (n,)
    p, d : int arrays, shape (m,)
        Prompt and output tokens of those that fit.
    prompts : Prompts
        Of those.
    """

    worker: Worker
    copies: int
    fits: np.ndarray
    p: IntArray
    d: IntArray
    prompts: Prompts

    @property
    def engine(self) -> MixedEngine:
        """The worker's engine, or that of a worker without one."""
        return self.worker.engine or MixedEngine()

    @cached_property
    def decode(self) -> IterationTime:
        """Iterations without prompt tokens."""
        return decode_iteration(self.engine, self.worker.decode_time)

    @cached_property
    def mixed(self) -> IterationTime:
        """Iterations with prompt tokens."""
        return mixed_iteration(self.engine, self.worker.prefill_time, self.worker.decode_time)

    @property
    def prompt_token_s(self) -> float:
        """Seconds of a prompt token beside what the pieces say."""
        return self.mixed.per_token_s if self.mixed.table is None else 0.0

    @cached_property
    def decode_pieces(self) -> Pieces:
        """Lines below an iteration without prompt tokens, in its decodes."""
        return Pieces.below(self.decode, self.tokens)

    @cached_property
    def mixed_pieces(self) -> Pieces:
        """Lines below an iteration with prompt tokens, in all its tokens."""
        return Pieces.below(self.mixed, self.tokens)

    @property
    def tokens(self) -> int:
        """Most tokens in an iteration."""
        return self.engine.token_budget

    @property
    def slots(self) -> int:
        """Most requests in an iteration."""
        return finite(self.worker.slots, len(self.p))

    @property
    def decodes(self) -> int:
        """Most requests in decode in an iteration: each takes a token of the budget."""
        return min(self.slots, self.tokens)

    @property
    def block_tokens(self) -> int:
        """KV tokens of a block."""
        return self.engine.block_tokens

    @property
    def blocks(self) -> int | None:
        """KV blocks of the worker; None: no limit."""
        return None if self.worker.kv_capacity is None else self.worker.kv_capacity // self.block_tokens

    @cached_property
    def may_evict(self) -> bool:
        """Whether a running request can ever find no block: the `slots` largest need more than there are."""
        if self.blocks is None:
            return False
        most = -(-(self.p + self.d) // self.block_tokens)
        return float(np.sum(np.sort(most)[::-1][: self.slots], dtype=np.float64)) > self.blocks

    @cached_property
    def chunks(self) -> FloatArray:
        """Fewest iterations with prompt tokens of each request: shape (m,)."""
        return np.maximum(np.ceil(self.prompts.sole_tokens / self.tokens), 1.0)

    @cached_property
    def prompt_alone_s(self) -> FloatArray:
        """Least seconds of the iterations in which the prompt is computed: shape (m,)."""
        sole = np.maximum(self.prompts.sole_tokens, 1.0)
        whole = self.mixed_pieces.chunks_seconds(self.chunks, sole)
        attention = np.maximum(self.prompts.sole_attention, 0.5)
        return np.asarray(whole + self.prompt_token_s * sole + self.mixed.per_attention_s * attention)

    @cached_property
    def step_alone(self) -> Least:
        """Least seconds of an iteration in which a request that then holds x KV tokens makes a token after its first.

        Alone in an iteration without prompt tokens; in one with a prompt token of another; or, evicted before, as the
        last token of its recomputed prompt.
        """
        mixed, pieces, kv = self.mixed, self.mixed_pieces, self.mixed.per_kv_token_s
        decode_s = self.decode_pieces.least_seconds(1.0) + self.decode.per_sequence_s
        prompt_token_s = self.prompt_token_s + mixed.per_attention_s / 2
        beside_s = pieces.least_seconds(2.0) + prompt_token_s + mixed.per_sequence_s
        again_s = pieces.least_seconds(1.0) + self.prompt_token_s - mixed.per_attention_s / 2
        lines = [(decode_s, self.decode.per_kv_token_s), (beside_s, kv)]
        return Least(tuple(lines + [(again_s, mixed.per_attention_s)] * self.may_evict))

    @cached_property
    def alone_s(self) -> FloatArray:
        """Shortest time from a request's first iteration to its completion: shape (m,), seconds.

        Proof.  The tokens that nobody else computes take `chunks` iterations with prompt tokens or more, the last of
        which makes the first token; every further token is made in an iteration of its own (`step_alone`).
        """
        return self.prompt_alone_s + self.step_alone.run(self.p, self.d - 1)

    @cached_property
    def iterations(self) -> FloatArray:
        """Fewest iterations that a request takes part in: shape (m,)."""
        return self.chunks + self.d - 1


def kinds(instance: Instance) -> list[EngineWork]:
    """Every kind of worker that a request fits, kinds in the order of their first worker."""
    by_kind: dict[object, list[int]] = {}
    for w, worker in enumerate(instance.workers):
        by_kind.setdefault((worker.kind, worker.engine), []).append(w)
    r, found = instance.requests, []
    prompts: dict[tuple[int, bool], Prompts] = {}
    for alike in by_kind.values():
        worker, fits = instance.workers[alike[0]], instance.fits_worker[:, alike[0]]
        engine = worker.engine or MixedEngine()
        key = engine.block_tokens, engine.prefix_cache
        if key not in prompts:
            prompts[key] = Prompts.of(r, *key)
        if fits.any():
            of = prompts[key].take(fits)
            found.append(EngineWork(worker, len(alike), fits, r.prefill_tokens[fits], r.decode_tokens[fits], of))
    return found


def least_over(kinds: list[EngineWork], values: list[FloatArray]) -> FloatArray:
    """Least of values by kind over the kinds that fit a request: shape (n,)."""
    least = np.full(len(kinds[0].fits), np.inf)
    for kind, of_kind in zip(kinds, values, strict=True):
        least[kind.fits] = np.minimum(least[kind.fits], of_kind)
    return least
