"""Smallest volume first (arXiv 2606.22327)."""

from __future__ import annotations

from typing import Any

from llmsched_mip.policies.shortest_first import ShortestFirst
from llmsched_mip.timing import request_kv_volume


class SmallestVolumeFirst(ShortestFirst):
    """Ascending KV volume p d + d (d + 1) / 2, stop at the first that fails the forward check.

    In the unit-round model, for a backlog with unit weights, the total completion is at most 1 + 2 / (1 - α) times
    the optimum when every p + d is at most α M (as stated in arXiv 2606.22327).  With weights: volume over weight.
    Where lengths are not known, the volume of the expected length.
    """

    def key(self, request: int, sequence: int) -> Any:
        """Ascending volume over weight, then order of arrival."""
        volume = request_kv_volume(self.prompts[request], self.estimator.length(request))
        return volume / float(self.problem.weight[request]), sequence
