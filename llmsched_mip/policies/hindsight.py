"""Hindsight shortest first: the reference of the papers on unknown lengths."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.shortest_first import ShortestFirst


class HindsightShortestFirst(ShortestFirst):
    """Shortest first with the forward check, by the true lengths (H-SF of Chen, Ye and Zhou, arXiv 2508.14544).

    Raises
    ------
    InvalidInputError
        When the lengths are not known.
    """

    def __init__(self, problem: Problem):
        if problem.lengths.visible != "known":
            raise InvalidInputError("policy", "h-sf is a reference in hindsight: it needs lengths 'known'")
        super().__init__(problem)
