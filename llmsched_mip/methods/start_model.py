"""Requests on one worker with prefill allowed at given rounds only: a small time-indexed model over length classes.

Given the *prefill rounds* t_0 = 0 < t_1 < ... < t_K-1 and a horizon T (all in decode rounds), choose how many
requests of each length class start at each of them:

    sets        a = length classes (lengths in (d_(a-1), d_a], counted as d_a), k = prefill rounds
    variables   x_ak ≥ 0 integer: requests of class a that start at t_k;  u_a ≥ 0: requests left over
    minimise    Σ_a c_a u_a,  c_a = PENALTY (d_a + EXTRA) / J
    subject to  Σ_k x_ak + u_a = n_a                                                    every class
                Σ_{ak : t_k <= t_m < t_k + d_a} x_ak ≤ J                                slots, every prefill round m
                Σ_{ak : t_k <= t_m < t_k + d_a} (p_a + min(t_m+1 - t_k, d_a)) x_ak ≤ M  KV, every prefill round m

with t_K = T: the KV row counts every request that is active after t_m with the most that it holds before the next
prefill round, as if all of them ended together.  With `looks` there are several rows in its place, each for one round
before the next prefill round and with what is active in it.  A slot that falls idle between two prefill rounds waits.
The objective prices what is left over in decode rounds: somewhat more than the rounds that the slots would need for it.
The model is a heuristic's sub-problem, not a relaxation: lengths are rounded up, prompts are averaged over a class.
What comes out is executed and evaluated with the true values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from llmsched_mip.solvers.arrays import ArrayModel
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, run_kv_peak

PENALTY = 3.0
EXTRA = 10
DISTINCT = 512


@dataclass(frozen=True, eq=False)
class LengthClasses:
    """Requests grouped by length.

    Parameters
    ----------
    length : int array, shape (A,)
        Longest length of each class, tokens.
    prompt : float array, shape (A,)
        Mean prompt length, tokens.
    members : list of int arrays
        Request indices of each class, longest first.
    """

    length: IntArray
    prompt: FloatArray
    members: list[IntArray]

    @classmethod
    def of(cls, prefill_tokens: IntArray, decode_tokens: IntArray, most: int) -> LengthClasses:
        """Group into at most `most` classes with the least total rounding up; exact if there are few lengths."""
        lengths, count = np.unique(decode_tokens, return_counts=True)
        if len(lengths) > DISTINCT:
            width = -(-int(lengths[-1]) // DISTINCT)
            lengths, count = np.unique(-(-decode_tokens // width) * width, return_counts=True)
        tops = lengths[_least_rounding(lengths, count, most)]
        group = np.searchsorted(tops, decode_tokens)
        order = np.lexsort((np.arange(len(group)), -decode_tokens))
        members = [order[group[order] == name] for name in range(len(tops))]
        return cls(
            np.array([decode_tokens[m].max() for m in members], dtype=np.int64),
            np.array([prefill_tokens[m].mean() for m in members]),
            members,
        )

    @property
    def count(self) -> IntArray:
        """Requests in each class."""
        return np.array([len(m) for m in self.members], dtype=np.int64)


def _least_rounding(lengths: IntArray, count: IntArray, most: int) -> IntArray:
    """Positions of the class tops: dynamic program over ascending lengths, cost Σ count · (top - length)."""
    size = len(lengths)
    if size <= most:
        return np.arange(size)
    cum = np.concatenate(([0], np.cumsum(count)))
    work = np.concatenate(([0], np.cumsum(count * lengths)))
    top = np.arange(1, size + 1)
    cost = lengths[None, :] * (cum[None, 1:] - cum[:-1, None]) - (work[None, 1:] - work[:-1, None])
    cost = np.where(np.arange(size)[:, None] < top[None, :], cost, np.inf)
    best = cost[0].copy()
    cuts = []
    for _ in range(most - 1):
        through = np.concatenate(([np.inf], best[:-1]))[:, None] + cost
        cuts.append(through.argmin(axis=0))
        best = through.min(axis=0)
    last, tops = size - 1, [size - 1]
    for cut in reversed(cuts):
        last = int(cut[last]) - 1
        tops.append(last)
    return np.array(sorted(tops))


@dataclass(frozen=True, eq=False)
class StartModel:
    """The model as arrays, with the class and the prefill round of each column (-1: left over)."""

    arrays: ArrayModel
    column_class: IntArray
    column_start: IntArray


def build(
    classes: LengthClasses,
    starts: IntArray,
    horizon: int,
    slots: int,
    kv_capacity: int | None,
    integer: bool = False,
    looks: IntArray | None = None,
) -> StartModel:
    """Build the model.

    Parameters
    ----------
    classes : LengthClasses
    starts : int array, shape (K,)
        Prefill rounds, increasing from 0, all below `horizon`.
    horizon : int
        Rounds; a request must end by then or be left over.
    slots, kv_capacity : int
        J and M; no KV rows where `kv_capacity` is None.
    integer : bool
        Integer counts, or the LP.
    looks : int array, optional
        How many rounds before the next prefill round, and before the horizon, the KV cache is looked at.
    """
    edges = np.append(starts, horizon)
    count, k_count = len(classes.length), len(starts)
    start, group = (grid.ravel() for grid in np.meshgrid(np.arange(k_count), np.arange(count), indexing="ij"))
    end = starts[start] + classes.length[group]
    keep = end <= horizon
    start, group, end = start[keep], group[keep], end[keep]
    stop = np.searchsorted(edges, end, side="left")
    columns = len(start)
    span = stop - start
    column = np.repeat(np.arange(columns), span)
    interval = within(span) + np.repeat(start, span)
    rows = [group, np.arange(count), count + interval]
    cols = [np.arange(columns), columns + np.arange(count), column]
    values = [np.ones(columns), np.ones(count), np.ones(len(column))]
    upper_rows = [np.full(k_count, float(slots))]
    for look in () if kv_capacity is None else (-1,) if looks is None else looks.tolist():
        # What is active in this round before the next prefill round, or in any of them.
        at = edges[interval + 1] - max(look, 0)
        seen = (at > edges[interval]) & ((look < 0) | (end[column] >= at))
        age = np.minimum(at - starts[start[column]], classes.length[group[column]])
        rows.append(count + len(upper_rows) * k_count + interval[seen])
        cols.append(column[seen])
        values.append(run_kv_peak(age, 1, classes.prompt[group[column]])[seen])
        upper_rows.append(np.full(k_count, float(kv_capacity or 0)))
    limits = np.concatenate(upper_rows)
    total = columns + count
    matrix = sparse.csc_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))),
        shape=(count + len(limits), total),
    )
    arrays = _arrays(classes, group, matrix, limits, slots, integer)
    return StartModel(arrays, np.concatenate((group, np.arange(count))), np.concatenate((start, np.full(count, -1))))


def _arrays(
    classes: LengthClasses, group: IntArray, matrix: sparse.csc_array, limits: FloatArray, slots: int, integer: bool
) -> ArrayModel:
    """The model of this matrix: columns of the classes `group`, then what is left over of each class."""
    columns, total = len(group), matrix.shape[1]
    sizes = classes.count.astype(np.float64)
    return ArrayModel(
        cost=np.concatenate((np.zeros(columns), PENALTY * (classes.length + EXTRA) / slots)),
        matrix=matrix,
        row_lower=np.concatenate((sizes, np.full(len(limits), -np.inf))),
        row_upper=np.concatenate((sizes, limits)),
        lower=np.zeros(total),
        upper=np.concatenate((sizes[group], sizes)),
        integer=np.full(total, integer),
    )
