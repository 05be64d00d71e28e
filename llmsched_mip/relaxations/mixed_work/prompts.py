"""Prompt tokens that a prefix cache can't save, and KV blocks that sharing can't save, request by request.

Letters: T block tokens; a prompt of p tokens begins with ⌊p / T⌋ blocks at most that have ids; S_b = the requests with
block b.  The token at position y of a prompt attends to y + 1/2 tokens in A = Σ chunk · (context + chunk / 2), however
the prompt is cut into chunks: a chunk of c tokens after x others gives Σ_{y = x}^{x + c - 1} (y + 1/2).  So tokens and
attention both add up over the tokens that are computed.

- *counted once*: a block is computed on a worker before any of its requests there has made a token, and after the
  first of them has arrived.  It is counted for the first of S_b to arrive alone.  For that request's worker this is
  work between its arrival and its first token; so the sums over any requests on a worker are no more than what it
  computes, and sums over all that arrive late are no more than what is computed from then on.
- *nobody else's*: what blocks with another request can save is left out.
- *saved*: at every moment the blocks held by the active requests are at least Σ_i (⌈tokens of i / T⌉ - saved_i),
  saved_i = Σ_b (1 - 1 / |S_b|) over its blocks: a block that is there is counted 1 / |S_b| by at most |S_b| requests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched_mip.requests import Requests
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Prompts:
    """Arrays of shape (n,): tokens and attention counted once, those that are nobody else's, and blocks saved."""

    tokens: FloatArray
    attention: FloatArray
    sole_tokens: FloatArray
    sole_attention: FloatArray
    saved_blocks: FloatArray

    def take(self, chosen: np.ndarray) -> Prompts:
        """Those of some requests; what is counted for whom stays."""
        columns = self.tokens, self.attention, self.sole_tokens, self.sole_attention, self.saved_blocks
        return Prompts(*(column[chosen] for column in columns))

    @classmethod
    def of(cls, requests: Requests, block_tokens: int, prefix_cache: bool) -> Prompts:
        """What the module says, for blocks of `block_tokens`; without a prefix cache nothing is saved."""
        p = requests.prefill_tokens.astype(np.float64)
        tokens, attention = p, p * p / 2
        if requests.prefix_blocks is None or not prefix_cache:
            return cls(tokens, attention, tokens, attention, np.zeros(len(p)))
        owner, place, block = _occurrences(requests, block_tokens)
        if not len(owner):
            return cls(tokens, attention, tokens, attention, np.zeros(len(p)))
        size, n = float(block_tokens), len(p)
        block_attention = size * (size * place + size / 2)
        without = tokens - np.bincount(owner, minlength=n) * size
        rest = attention - np.bincount(owner, block_attention, minlength=n)
        order = np.lexsort((requests.decode_tokens, requests.prefill_tokens, requests.arrival_s))
        rank = np.empty(n, dtype=np.int64)
        rank[order] = np.arange(n)
        blocks = int(block.max()) + 1
        first, least = np.full(blocks, n, dtype=np.int64), np.full(blocks, np.inf)
        np.minimum.at(first, block, rank[owner])
        np.minimum.at(least, block, block_attention)
        pairs = np.sort(owner * blocks + block)
        holder, held = np.divmod(pairs[np.append(True, pairs[1:] != pairs[:-1])], blocks)
        users = np.bincount(held, minlength=blocks)
        alone = (users[block] == 1) & (np.bincount(block, minlength=blocks)[block] == 1)
        counted, blocks_of = order[first], np.bincount(owner, minlength=n).astype(np.float64)
        return cls(
            without + np.bincount(counted, minlength=n) * size,
            rest + np.bincount(counted, least, minlength=n),
            without + np.bincount(owner[alone], minlength=n) * size,
            rest + np.bincount(owner[alone], block_attention[alone], minlength=n),
            blocks_of - np.bincount(holder, 1.0 / users[held], minlength=n),
        )


def _occurrences(requests: Requests, block_tokens: int) -> tuple[IntArray, IntArray, IntArray]:
    """Request, place in its prompt and number of every block that a prompt has whole."""
    whole = requests.prefill_tokens // block_tokens
    lists = [ids[:most] for ids, most in zip(requests.prefix_blocks or (), whole.tolist(), strict=True)]
    lengths = np.array([len(ids) for ids in lists], dtype=np.int64)
    owner = np.repeat(np.arange(len(lists)), lengths)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ids = np.concatenate(lists) if len(owner) else np.zeros(0, dtype=np.int64)
    return owner, place, np.unique(ids, return_inverse=True)[1].reshape(-1)
