"""The prices of `relaxations.mixed_work.prices` under which all work together costs most.

Sets
    W    kinds of workers, c_w of each;  I  request types, n_i of each;  J  runs of the tokens of a type
    D_w, X_w   lines below an iteration without and with prompt tokens
Variables
    mu, u_l, v_l, s, β, s', t', β', ν (≥ 0, by w), λ ≥ 0    as there, prices of limits times the limit
    y_ijw        price of a token of run j of type i on w
    z_i ≥ 0      priced work of a request of type i
Objective
    max  Σ n_i z_i + L λ          L iterations at least; λ on one worker alone
Constraints
    z_i ≤ prompt_iw + Σ_j m_ij y_ijw          where i fits w, m_ij tokens in run j
    y_ijw ≤ both prices of a decode           at the KV tokens in the middle of the run
    the conditions on the prices, Σ_w c_w mu_w ≤ 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.mixed_work.engine_work import EngineWork, least_over
from llmsched_mip.relaxations.mixed_work.prices import EnginePrices, unpriced
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.timing import FloatArray

MOST_TYPES, RUNS = 120, 4
SHARES = ("slot", "block", "mixed_slot", "mixed_token", "mixed_block", "first_token")


class _Rows:
    """Rows ``coefficients · x ≤ limit`` (or equal) of a program whose columns are added by name."""

    def __init__(self) -> None:
        self.columns, self.rows = 0, 0
        self.parts: list[tuple[int, int, float]] = []
        self.upper: list[float] = []
        self.equal: list[bool] = []

    def add_columns(self, count: int) -> np.ndarray:
        """Numbers of so many new columns."""
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def add(self, terms: list[tuple[int, float]], upper: float = 0.0, equal: bool = False) -> None:
        """Add a row."""
        self.parts += [(self.rows, int(column), float(value)) for column, value in terms if value]
        self.upper.append(upper)
        self.equal.append(equal)
        self.rows += 1

    def model(self, cost: FloatArray, lower: FloatArray) -> ArrayModel:
        """The program that maximises `cost`."""
        row, column, value = (np.array(part) for part in zip(*self.parts, strict=True))
        matrix = sparse.csc_array((value, (row, column)), shape=(self.rows, self.columns))
        upper = np.array(self.upper)
        row_lower = np.where(self.equal, upper, -np.inf)
        free = np.full(self.columns, np.inf)
        return ArrayModel(cost, matrix, row_lower, upper, lower, free, np.zeros(self.columns, bool), maximise=True)


@dataclass(frozen=True, eq=False)
class _Kind:
    """Columns of a kind of worker."""

    work: EngineWork
    mu: int
    u: np.ndarray
    v: np.ndarray
    share: dict[str, int]


def best_prices(
    instance: Instance, kinds: list[EngineWork], budget: Budget, iterations: float = 0.0
) -> list[EnginePrices]:
    """Prices of each kind; any result is valid, a good one gives a strong bound.

    Parameters
    ----------
    instance : Instance
    kinds : list of EngineWork
    budget : Budget
    iterations : float
        L: how often λ counts; 0 keeps it at 0.
    """
    rows = _Rows()
    unit = math.frexp(max(_largest_base(kind) for kind in kinds))[1]
    columns = [_conditions(rows, kind, unit) for kind in kinds]
    price_of_iteration = int(rows.add_columns(1)[0])
    for kind in columns:
        _capacity_rows(rows, kind, unit, price_of_iteration)
    rows.add([(kind.mu, float(kind.work.copies)) for kind in columns], 1.0)
    z, counts = _request_rows(rows, instance, columns, unit)
    cost, lower = np.zeros(rows.columns), np.full(rows.columns, -np.inf)
    cost[z], cost[price_of_iteration] = counts / instance.n, iterations / instance.n
    lower[: price_of_iteration + 1] = 0.0
    if iterations == 0:
        rows.add([(price_of_iteration, 1.0)])
    x = solve_arrays(rows.model(cost, lower), budget=budget).x
    if x is None:
        return _equal_shares(kinds)
    total = max(1.0, sum(max(float(x[kind.mu]), 0.0) * kind.work.copies for kind in columns))
    return [_extract(kind, x, unit, x[price_of_iteration], total) for kind in columns]


def _equal_shares(kinds: list[EngineWork]) -> list[EnginePrices]:
    workers = sum(kind.copies for kind in kinds)
    return [unpriced(kind, 1.0 / workers) for kind in kinds]


def _largest_base(kind: EngineWork) -> float:
    lines = np.concatenate((kind.decode_pieces.base_s, kind.mixed_pieces.base_s, kind.prompt_alone_s, kind.alone_s))
    return float(lines.max()) or 1.0


def _conditions(rows: _Rows, work: EngineWork, unit: int) -> _Kind:
    """The columns of a kind, its sums of weights and its g ≥ 0."""
    mu = int(rows.add_columns(1)[0])
    u, v = rows.add_columns(len(work.decode_pieces.base_s)), rows.add_columns(len(work.mixed_pieces.base_s))
    share = dict(zip(SHARES, rows.add_columns(len(SHARES)).tolist(), strict=True))
    kind = _Kind(work, mu, u, v, share)
    for weights in (u, v):
        rows.add([(mu, -1.0), *((w, 1.0) for w in weights)], equal=True)
    if work.blocks is None:
        rows.add([(share["block"], 1.0), (share["mixed_block"], 1.0)])
    rows.add([(column, -value) for column, value in _prompt_token(kind, unit)])
    return kind


def _prompt_token(kind: _Kind, unit: int) -> list[tuple[int, float]]:
    """g as terms."""
    work = kind.work
    tokens = np.ldexp(work.mixed_pieces.token_s, -unit)
    terms = [(int(v), float(token)) for v, token in zip(kind.v, tokens, strict=True)]
    token = (kind.share["mixed_token"], 1.0 / work.tokens)
    return [*terms, (kind.mu, math.ldexp(work.prompt_token_s, -unit)), token, (kind.share["first_token"], -1.0)]


def _capacity_rows(rows: _Rows, kind: _Kind, unit: int, iteration: int) -> None:
    work, share = kind.work, kind.share
    base = [(int(u), -math.ldexp(s, -unit)) for u, s in zip(kind.u, work.decode_pieces.base_s.tolist(), strict=True)]
    rows.add([(iteration, 1.0), (share["slot"], 1.0), (share["block"], 1.0), *base])
    base = [(int(v), -math.ldexp(s, -unit)) for v, s in zip(kind.v, work.mixed_pieces.base_s.tolist(), strict=True)]
    limits = [(share[name], 1.0) for name in ("mixed_slot", "mixed_token", "mixed_block")]
    rows.add([(iteration, 1.0), *limits, (share["first_token"], -1.0), *base])


def _request_rows(rows: _Rows, instance: Instance, kinds: list[_Kind], unit: int) -> tuple[np.ndarray, FloatArray]:
    """The columns z of request types, and how many requests each stands for."""
    r = instance.requests
    typical = least_over([kind.work for kind in kinds], [kind.work.alone_s for kind in kinds])
    order = np.lexsort((r.prefill_tokens, r.decode_tokens, typical))
    groups = np.array_split(order, min(MOST_TYPES, instance.n))
    z = rows.add_columns(len(groups))
    places = [np.cumsum(kind.work.fits) - 1 for kind in kinds]
    for column, group in zip(z.tolist(), groups, strict=True):
        i = int(group[len(group) // 2])
        d = int(r.decode_tokens[i])
        ends = np.unique(np.linspace(0, d - 1, RUNS + 1).astype(np.int64)).tolist()
        middles = [(last - before, (before + 1 + last) / 2) for before, last in pairwise(ends)]
        for kind, place in zip(kinds, places, strict=True):
            if kind.work.fits[i]:
                members = place[group[kind.work.fits[group]]]
                _type_rows(rows, kind, column, int(place[i]), members, (unit, middles))
    return z, np.array([len(group) for group in groups], dtype=np.float64)


def _type_rows(
    rows: _Rows,
    kind: _Kind,
    column: int,
    at: int,
    members: np.ndarray,
    scale: tuple[int, list[tuple[int, float]]],
) -> None:
    work, share, (unit, middles) = kind.work, kind.share, scale
    prompts, size = work.prompts, work.block_tokens
    blocks, att = float(work.blocks or 1), math.ldexp(work.mixed.per_attention_s, -unit)
    saved = float(prompts.saved_blocks[members].mean())
    tokens, attention = float(prompts.tokens[members].mean()), float(prompts.attention[members].mean())
    slot, mixed_slot = (share["slot"], 1.0 / work.decodes), (share["mixed_slot"], 1.0 / work.slots)
    g = _prompt_token(kind, unit)
    terms = [(c, -value * tokens) for c, value in g]
    held = max(math.ceil(float(work.p[at]) / size) - saved, 0.0) / blocks
    terms += [(share["mixed_slot"], -1.0 / work.slots), (share["mixed_block"], -held), (kind.mu, -att * attention)]
    y = rows.add_columns(len(middles)).tolist()
    rows.add([(column, 1.0), *terms, *((c, -float(m)) for c, (m, _) in zip(y, middles, strict=True))])
    decode = [(int(u), math.ldexp(s, -unit)) for u, s in zip(kind.u, work.decode_pieces.token_s.tolist(), strict=True)]
    beside = [(int(v), math.ldexp(s, -unit)) for v, s in zip(kind.v, work.mixed_pieces.token_s.tolist(), strict=True)]
    token = (share["mixed_token"], 1.0 / work.tokens)
    for c, (_, k) in zip(y, middles, strict=True):
        x = float(work.p[at]) + k
        f = max((x + (size - 1) / 2) / size - saved, 0.0) / blocks
        decode_s = math.ldexp(work.decode.per_sequence_s + work.decode.per_kv_token_s * x, -unit)
        beside_s = math.ldexp(work.mixed.per_sequence_s + work.mixed.per_kv_token_s * x, -unit)
        block, mixed_block = (share["block"], f), (share["mixed_block"], f)
        ways = [
            [slot, block, *decode, (kind.mu, decode_s)],
            [mixed_slot, token, mixed_block, *beside, (kind.mu, beside_s)],
        ]
        for way in ways:
            rows.add([(c, 1.0), *((column, -value) for column, value in way)])


def _extract(kind: _Kind, x: FloatArray, unit: int, iteration: float, total: float) -> EnginePrices:
    """The prices in a solution, of one worker of the kind, repaired; `total` is Σ c_w mu_w where that is above 1."""
    work = kind.work
    value = {name: math.ldexp(float(x[column]), unit) for name, column in kind.share.items()}
    blocks = float(work.blocks or 1)
    mu = max(float(x[kind.mu]), 0.0) / total
    raw = EnginePrices(
        mu,
        x[kind.u],
        x[kind.v],
        value["slot"] / work.decodes,
        value["block"] / blocks,
        value["mixed_slot"] / work.slots,
        value["mixed_token"] / work.tokens,
        value["mixed_block"] / blocks,
        value["first_token"],
        math.ldexp(iteration, unit),
    )
    return raw.repaired(work, mu)
