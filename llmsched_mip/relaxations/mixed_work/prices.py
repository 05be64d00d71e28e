"""Priced work of a mixed execution: multipliers on what iterations offer turn each request into seconds that add up.

An iteration without prompt tokens lasts at least Σ_l u_l base_l + (Σ_l u_l token_l + seq) B + kv KV for weights u_l ≥ 0
with Σ u_l = 1 of the lines below its seconds (`lines.Pieces`); one with N prompt tokens and attention A at least Σ v_l
base_l + Σ v_l token_l (N + B) + per_token N + att A + seq' B + kv' KV.  Let J = slots, T = token budget, M = KV blocks,
F = Σ (blocks of an active request - those saved by sharing) ≤ M (`prompts`), Q = chunks in the iteration: B ≤ min(J, T)
without prompt tokens, and B + Q ≤ J, N + B ≤ T, N ≥ 1 with them.  A pricing has for each worker a multiplier μ on its
time, Σ_w μ_w ≤ 1, weights u and v with sums μ, and prices ≥ 0

    s, β           on a slot and on a block in an iteration without prompt tokens
    s', t', β', ν  on a slot, a token of the budget and a block in one with them, and on its first prompt token
    λ              on an iteration

with

    λ + s min(J, T) + β M ≤ Σ u_l base_l
    λ + s' J + t' T + β' M - ν ≤ Σ v_l base_l
    g = Σ v_l token_l + μ per_token + t' - ν ≥ 0,

g the price of a prompt token.  For its token number k + 1, k ≥ 1, a request that then holds x = p + k KV tokens and
F(x) = ⌈x / block⌉ - saved blocks is worth w(x), the lower of

    s + Σ u_l token_l + μ seq + μ kv x + β F(x)                  decode, no prompt tokens in the iteration
    s' + t' + Σ v_l token_l + μ seq' + μ kv' x + β' F(x)         decode beside prompt tokens

and for its prompt, with tokens and attention counted once (`prompts`), g · tokens + s' + μ att · attention + β' F(p).

Lemma (rate).  What is worth in an iteration of w is at most μ_w times its duration less λ_w, but for tokens that are
made by prompts computed again after an eviction.
Proof.  Without prompt tokens: s B + β F ≤ s min(J, T) + β M ≤ Σ u_l base_l - λ, and the other terms are those of the
duration.  With them, worth are (s' + t') B + s' Q + (t' - ν) N + β' F and terms of the duration, and s' (B + Q) + t' (N
+ B) + β' F - ν N ≤ s' J + t' T + β' M - ν ≤ Σ v_l base_l - λ.  Chunks beyond those that are counted only add, as g and
all prices are ≥ 0.

Lemma (evictions).  All tokens made by the last chunk of a prompt computed again exceed their pay there by at most D in
all, on all workers (`EnginePrices.head_start`).
Proof.  A request that has made tokens is evicted when a decode finds no block: of all blocks, every one is held by a
running request.  (A chunk that finds none belongs to the last admitted request, as the budget leaves one prompt at
most unfinished; it evicts itself.)  So at each such moment nothing is left in the prefix cache but what running
requests hold, then the blocks of the evicted request are free, and the decode takes one of them.  The evicted request
needs more room than is free until another request on the worker is complete.  When it comes back before the next such
moment it may find all its blocks but the last, and is paid at least s' + g + μ att (x - 1/2) + β' F(x) for the token;
of these there is one at most for every completion of another request, n - 1 in all.  When it comes back later, it finds
no block that is not also another request's, and computes the prompt tokens that are nobody else's and those that it has
made, at least k + sole_i of them.

So any requests that arrive at r or later are complete no earlier than r + Σ_i π_i - D, π_i the least over workers that
fit i of what its prompt and its tokens are worth: every queue order, chunking, placement and any prefix cache is
covered.  On one worker λ · (iterations) may be added: at least as many as the request of most iterations takes.
This is weak duality for the linear program over the totals of both kinds of iterations, and holds for *any* prices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.relaxations.mixed_work.engine_work import EngineWork
from llmsched_mip.relaxations.mixed_work.lines import Least, rounding_up
from llmsched_mip.timing import FloatArray

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class EnginePrices:
    """Multipliers of one worker, in the letters of the module docstring; `u` and `v` are arrays over lines."""

    mu: float
    u: FloatArray
    v: FloatArray
    slot: float
    block: float
    mixed_slot: float
    mixed_token: float
    mixed_block: float
    first_token: float
    iteration: float = 0.0

    def repaired(self, work: EngineWork, mu: float) -> EnginePrices:
        """A solver's multipliers cut down to satisfy all conditions, at `mu`: its tolerances never reach a bound."""
        u, v = _weights(self.u, mu), _weights(self.v, mu)
        base = float(u @ work.decode_pieces.base_s)
        mixed_base = float(v @ work.mixed_pieces.base_s)
        # A line that falls below zero is worth nothing without a price on the first token: take the first alone.
        if base < 0:
            u, base = _first(u, mu), mu * float(work.decode_pieces.base_s[0])
        first = max(self.first_token, 0.0)
        if mixed_base + first < 0:
            v, mixed_base, first = _first(v, mu), mu * float(work.mixed_pieces.base_s[0]), 0.0
        iteration = min(max(self.iteration, 0.0), base, mixed_base + first)
        blocks = float(work.blocks or 0)
        limited = work.blocks is not None
        slot, block = max(self.slot, 0.0), max(self.block, 0.0) * limited
        cut = _shrink(slot * work.decodes + block * blocks, base - iteration)
        mixed_slot, token = max(self.mixed_slot, 0.0), max(self.mixed_token, 0.0)
        mixed_block = max(self.mixed_block, 0.0) * limited
        used = mixed_slot * work.slots + token * work.tokens + mixed_block * blocks
        mixed_cut = _shrink(used, mixed_base + first - iteration)
        made = EnginePrices(
            mu,
            u,
            v,
            slot * cut,
            block * cut,
            mixed_slot * mixed_cut,
            token * mixed_cut,
            mixed_block * mixed_cut,
            first,
            iteration,
        )
        if made.prompt_token(work) >= 0:
            return made
        return replace(self, v=_first(v, mu), first_token=0.0).repaired(work, mu)

    def prompt_token(self, work: EngineWork) -> float:
        """g."""
        tokens_s = float(self.v @ work.mixed_pieces.token_s) + self.mu * work.prompt_token_s
        return tokens_s + self.mixed_token - self.first_token

    def step(self, work: EngineWork) -> Least:
        """w at x KV tokens, with x / `block_tokens` blocks held."""
        mu, size = self.mu, work.block_tokens
        decode = self.slot + float(self.u @ work.decode_pieces.token_s) + mu * work.decode.per_sequence_s
        beside = self.mixed_slot + self.mixed_token + float(self.v @ work.mixed_pieces.token_s)
        return Least(
            (
                (decode, mu * work.decode.per_kv_token_s + self.block / size),
                (
                    beside + mu * work.mixed.per_sequence_s,
                    mu * work.mixed.per_kv_token_s + self.mixed_block / size,
                ),
            )
        )

    def head_start(self, work: EngineWork) -> tuple[float, float]:
        """What a prompt computed again can save: at most for one that finds its blocks, and in all for the others.

        The first is the least over the lines of w of the most that the line is above the pay, at either end of x.  For
        request i let Δ_i be the most by which w is above the pay for k = 1, and γ = g + μ att / 2 the pay of a computed
        token: Σ_k (Δ_i - γ (k - 1))⁺ ≤ Δ_i + Δ_i² / (2 γ), and ≤ (d_i - 1) Δ_i.
        """
        steps = (work.d - 1).astype(np.float64)
        if not (work.may_evict and steps.any()):
            return 0.0, 0.0
        g, att = self.prompt_token(work), self.mu * work.mixed.per_attention_s
        held, least = self.mixed_block / work.block_tokens, self.step(work)
        last = (work.p + work.d - 1).astype(np.float64)
        ends = np.array([float(work.p.min()) + 1, float(last.max())])
        pay = self.mixed_slot + g + att * (ends - 0.5) + held * ends
        one = min(float((at + slope * ends - pay).max()) for at, slope in least.lines)
        rate = g + att / 2
        pay = self.mixed_slot + held * (work.p + 1) + rate * (np.maximum(work.prompts.sole_tokens, 0.0) + 1)
        over = np.maximum(least(last) - pay, 0.0)
        tapering = over + over * over / (2 * rate) if rate > 0 else np.full(len(over), np.inf)
        return max(one, 0.0), float(np.where(over > 0, np.minimum(steps * over, tapering), 0.0).sum()) * (1 + ROUNDING)

    def shared_price(self, work: EngineWork) -> FloatArray:
        """What sharing takes off the price of a token at most: shape (m,)."""
        return np.asarray(max(self.block, self.mixed_block) * work.prompts.saved_blocks)

    def prompt_work(self, work: EngineWork) -> FloatArray:
        """Priced work of the prompts: shape (m,), seconds."""
        prompts = work.prompts
        held = -(-work.p // work.block_tokens) - prompts.saved_blocks
        paid = self.prompt_token(work) * prompts.tokens + self.mixed_slot + self.mixed_block * np.maximum(held, 0.0)
        return np.asarray(paid + self.mu * work.mixed.per_attention_s * prompts.attention) * (1 - ROUNDING)

    def step_work(self, work: EngineWork) -> FloatArray:
        """Priced work of all further tokens of a request: shape (m,), seconds.

        ⌈x / block⌉ is x / block, which is in the lines, and a rest that costs at least the lower price of a block.
        """
        paid = self.step(work).run(work.p, work.d - 1) - self.shared_price(work) * (work.d - 1)
        return np.asarray(np.maximum(paid + self.rounding_work(work), 0.0) * (1 - ROUNDING))

    def rounding_work(self, work: EngineWork) -> FloatArray:
        """The part of it that the blocks that are not full cost: shape (m,), seconds."""
        least = min(self.block, self.mixed_block)
        return least * rounding_up(work.p, work.d - 1, work.block_tokens)


def head_start(kinds: list[EngineWork], prices: list[EnginePrices], requests: int) -> float:
    """D, seconds."""
    saved = [priced.head_start(kind) for kind, priced in zip(kinds, prices, strict=True)]
    return (requests - 1) * max(one for one, _ in saved) + sum(others for _, others in saved)


def unpriced(work: EngineWork, mu: float) -> EnginePrices:
    """Only the time of the worker has a price."""
    u, v = (np.zeros(len(pieces.base_s)) for pieces in (work.decode_pieces, work.mixed_pieces))
    return EnginePrices(mu, u, v, *[0.0] * 6).repaired(work, mu)


def _weights(raw: FloatArray, mu: float) -> FloatArray:
    """Weights ≥ 0 with the sum mu."""
    positive = np.maximum(raw, 0.0)
    total = float(positive.sum())
    return positive * (mu / total) if total > 0 else _first(positive, mu)


def _first(weights: FloatArray, mu: float) -> FloatArray:
    first = np.zeros(len(weights))
    first[0] = mu
    return first


def _shrink(used: float, available: float) -> float:
    return 1.0 if used <= available else available / used
