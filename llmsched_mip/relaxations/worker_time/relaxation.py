"""Total completion of several, maybe unlike, workers by prices on the time of each, and the bound that they give.

Letters: u = priced work of `relaxations.fluid.pricing` with all its multipliers on one worker w, μ_w = 1; a, b, c of
its decode time; t_i its prefill_time(p_i).  A price π_w(x) ≥ 0 of its time x ≥ 0, convex, not increasing, 0 from the
horizon on:

    π_w(x) = Σ_e s_we (x_e - x)⁺,  s_we ≥ 0,  ∫ π_w = Σ_e s_we x_e² / 2.

    Σ ω_i C_i ≥ Σ_i min over w that fits i and C ≥ r_i + (i alone on w)
                      of  ω_i C + Σ_g u_iwg π_w(C - h_iwg)   -   Σ_w ∫ π_w.

Proof.  In a plan i runs on one worker w and completes at C ≥ r_i + (i alone on w).  By the rate lemma of `pricing`,
which holds for w by itself, all requests together do at most 1 of priced work on w in every second, so what all their
work pays by π_w is at most ∫ π_w.  The work of a round is done evenly over it; the rounds k.. d of i last at least a +
b + c (p + k) each, so the middle of round k comes no later than C - (half of round k and the rounds after it, i alone).
The work of its prefill iteration is done evenly over at least t_i seconds before all rounds, so their middle is no
later than C - t_i / 2 - (all rounds, i alone).  Put the work into groups g of some rounds each, u_g of work with the
mean of these moments C - h_g.  As π_w is convex and does not increase, the group pays at least u_g π_w(C - h_g).

So Σ ω_i C_i + Σ_w ∫ π_w ≥ Σ_i (ω_i C_i + what i pays).  It is weak duality for a linear program in which requests are
spread over workers and moments; for one worker and short requests it is the mean busy time relaxation (Goemans and
others, SIAM J. Discrete Math. 15 (2002)).  For unlike workers it sees that a request takes another work and another
time on each, where one fast machine takes the least of both.

The minimum over C is that of a convex function: between two moments with slopes below and above 0 it is at least where
the tangents cross.  A tangent at a wrong piece of π_w lies below it too, so a rounded index keeps the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from llmsched_mip.alone import alone_seconds
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices, extreme_prices, priced_parts
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.timing import FloatArray, IntArray, weighted_tail_seconds

GROUPS = 8
HORIZON = 1.5


@dataclass(frozen=True, eq=False)
class WorkerTime:
    """The relaxation of an instance: its workers by kind, and a pricing of the work of each kind.

    Parameters
    ----------
    instance : Instance
    """

    instance: Instance

    @cached_property
    def kinds(self) -> list[IntArray]:
        """Numbers of the workers of each kind that any request fits."""
        return self.instance.fitting_kinds

    @cached_property
    def count(self) -> FloatArray:
        """Number of workers of each kind: shape (kinds,)."""
        return np.array([len(workers) for workers in self.kinds], dtype=np.float64)

    @cached_property
    def pricing(self) -> list[WorkerPrices]:
        """Multipliers of each kind: slots and KV have a part of a round in proportion to the rounds they need."""
        tokens = float(exact_sum(self.instance.requests.prefill_tokens))
        return [self._prices(Limits.of(self.instance, int(workers[0])), tokens) for workers in self.kinds]

    def _prices(self, limits: Limits, tokens: float) -> WorkerPrices:
        of_kv = float(np.sum(self.instance.kv_volume, dtype=np.float64)) / limits.kv
        of_slots = exact_sum(limits.d) / limits.slots
        part = of_kv / (of_kv + of_slots)
        slot, kv = (extreme_prices(limits, name, tokens, self.instance.n) for name in ("slots", "kv"))
        return replace(kv, alpha=(1 - part) * slot.alpha, beta=part * kv.beta)

    @cached_property
    def horizon_s(self) -> float:
        """Where every price ends, seconds: after about all the work."""
        least = float(self.instance.work_seconds.min(axis=1).sum()) / len(self.instance.workers)
        alone = float(alone_seconds(self.instance).max())
        return HORIZON * least + alone + float(self.instance.requests.arrival_s.max())

    def columns(self, chosen: IntArray) -> Columns:
        """Work and times of some requests."""
        part = self.instance.take(chosen)
        shape = len(self.kinds), len(chosen), GROUPS + 1
        work, before = np.zeros(shape), np.zeros(shape)
        alone = np.full(shape[:2], np.inf)
        for k, workers in enumerate(self.kinds):
            fits = part.fits_worker[:, workers[0]]
            if fits.any():
                limits = Limits.of(part, int(workers[0]))
                work[k, fits], before[k, fits], alone[k, fits] = _groups(limits, self.pricing[k])
        return Columns(work, before, alone, part.requests.weight, part.requests.arrival_s)


class Columns(NamedTuple):
    """Requests as a kernel takes them.

    Parameters
    ----------
    work, before : float arrays, shape (kinds, m, GROUPS + 1)
        u_g and h_g, seconds; group 0 is the prefill.
    alone : float array, shape (kinds, m)
        Seconds of the request alone; infinite where it does not fit.
    weight, arrival_s : float arrays, shape (m,)
    """

    work: FloatArray
    before: FloatArray
    alone: FloatArray
    weight: FloatArray
    arrival_s: FloatArray


def sum_of_groups(columns: Columns) -> FloatArray:
    """Priced work of each request on each kind, infinite where it does not fit: shape (kinds, m), seconds."""
    return np.where(np.isfinite(columns.alone), columns.work.sum(axis=2), np.inf)


def _groups(limits: Limits, prices: WorkerPrices) -> tuple[FloatArray, FloatArray, FloatArray]:
    """u_g and h_g, shape (m, GROUPS + 1), and the seconds of each request alone, shape (m,)."""
    p, d = limits.p, limits.d
    decode, prefill_s = limits.worker.decode_time, np.asarray(limits.worker.prefill_time.seconds(p), dtype=np.float64)
    share, rounds_s = prices.round_share(limits.worker), np.asarray(decode.run_seconds(d, 1, p), dtype=np.float64)
    work, before = np.zeros((len(p), GROUPS + 1)), np.zeros((len(p), GROUPS + 1))
    work[:, 0], before[:, 0] = priced_parts(limits, prices)[0], rounds_s + prefill_s / 2
    for g in range(GROUPS):
        done, until = d * g // GROUPS, d * (g + 1) // GROUPS
        some = np.maximum(until - done, 1)
        work[:, g + 1] = np.where(until > done, share.run_seconds(some, 1, p + done), 0.0)
        tail = weighted_tail_seconds(share, decode, p + done, some)
        mean = np.divide(tail, work[:, g + 1], out=np.zeros(len(p)), where=work[:, g + 1] > 0)
        before[:, g + 1] = mean + decode.run_seconds(d - until, 1, p + until)
    return work, np.minimum(before, (rounds_s + prefill_s)[:, None]), rounds_s + prefill_s
