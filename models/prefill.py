"""How the prefill iterations of a worker enter a model: their time, their limits, and how many a round may need."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.instance import Worker
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class PrefillForm:
    """Prefill iterations of one worker.

    Parameters
    ----------
    seconds : float array, shape (L,)
        Seconds of an iteration of each level; one level, the base, for an affine time.
    tokens : float array, shape (L,)
        Most prompt tokens of each level; infinite for an affine time without a cap.
    prompt_s : float array, shape (K,)
        Seconds that a request of each type adds to its iteration.
    iterations : int
        Most iterations before one round that an optimal plan needs.
    """

    seconds: FloatArray
    tokens: FloatArray
    prompt_s: FloatArray
    iterations: int

    @property
    def switched(self) -> bool:
        """Whether an iteration needs a binary: it has a cost or a limit."""
        return bool(self.seconds.any()) or bool(np.isfinite(self.tokens).any())

    def at_most(self, iterations: int) -> PrefillForm:
        """The same with at most so many iterations before one round."""
        return replace(self, iterations=max(1, min(self.iterations, iterations)))

    @classmethod
    def of(cls, worker: Worker, p: IntArray, count: IntArray, arrival_s: FloatArray, served: int) -> PrefillForm:
        """Form for the types that fit the worker.

        Parameters
        ----------
        worker : Worker
        p, count, arrival_s : arrays, shape (K,)
            Prompt, number and arrival of the requests of each type; number 0 where the type does not fit.
        served : int
            Most requests in service at once.

        Notes
        -----
        `iterations`.  Take an optimal plan, and of these one with the fewest prefill iterations.  Everything
        prefilled before round t is in service in round t, so two iterations B, B' before t may be one where
        p(B ∪ B') ≤ c, c the cap and the last level: slots and KV hold.  Suppose B' comes later and all of it has
        arrived when B starts.  Running B ∪ B' in the place of B ends this iteration at most prefill_time(B')
        later if prefill_time(B ∪ B') ≤ prefill_time(B) + prefill_time(B'), and then what follows B' starts no
        later: the plan had not the fewest.  An affine time has this property, levels have it when the test of
        `_mergeable` passes for c, else up to the smaller c0 that it returns.  So where A different arrival times
        part the time into A spans, the iterations that start in one span hold in pairs more than c0 tokens: m ≥ 2
        of them hold more than m c0 / 2 together.  With N the most tokens in service at once, at most
        A + ⌊2 N / c0⌋ iterations precede a round; without arrivals (A = 1), at most max(1, ⌈2 N / c0⌉ - 1).  And
        none is empty: at most `served`.  An iteration without time can be repeated freely: one stands for all.
        """
        limit, prefill = worker.max_prefill_tokens, worker.prefill_time
        if prefill.free:
            return cls(np.zeros(1), np.full(1, np.inf), np.zeros(len(p)), 1)
        # A cap beyond all prompts never binds, and as a coefficient it may be out of a solver's range.
        if prefill.affine and limit is not None and limit >= max(1, int((p * count).sum())):
            limit = None
        seconds, tokens = prefill.levels(limit)
        spans = len(np.unique(arrival_s[count > 0]))
        most = _most(worker, p, count, served, _mergeable(seconds, tokens), spans)
        return cls(seconds, tokens, np.asarray(prefill.prompt_seconds(p), dtype=np.float64), most)


def _mergeable(seconds: FloatArray, tokens: FloatArray) -> float:
    """Most tokens c0 up to which one iteration never takes longer than the two that it replaces.

    Iterations of levels l and m hold more than tokens[l-1] and tokens[m-1], at most tokens[l] + tokens[m]
    together, and what may be one holds at most the last level.  Where the time of the level for that most is
    above their sum, the pair may fail: it holds at least tokens[l-1] + tokens[m-1] + 2 tokens.  Two iterations that
    fit the first level together always may be one.
    """
    if not np.isfinite(tokens[-1]):
        return float("inf")
    below = np.concatenate(([0.0], tokens[:-1]))
    together = np.minimum(tokens[:, None] + tokens[None, :], tokens[-1])
    merged_s = seconds[np.searchsorted(tokens, together)]
    fails = merged_s > (seconds[:, None] + seconds[None, :]) * (1 + 1e-12)
    least = (below[:, None] + below[None, :] + 1)[fails]
    return float(max(tokens[0], least.min())) if len(least) else float(tokens[-1])


def _most(worker: Worker, p: IntArray, count: IntArray, served: int, mergeable: float, spans: int) -> int:
    if not np.isfinite(mergeable):
        return max(1, min(served, spans))
    prompts = np.sort(np.repeat(p, np.minimum(count, served)))[::-1][:served]
    tokens = int(prompts.sum())
    if worker.kv_capacity is not None:
        tokens = min(tokens, worker.kv_capacity - 1)
    if spans > 1:
        return max(1, min(served, spans + int(2 * tokens // mergeable)))
    return max(1, min(served, -int(-2 * tokens // mergeable) - 1))
