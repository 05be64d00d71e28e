"""Variables of the round-indexed model and the columns that they stand in, in the letters of `round_indexed`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.models.blocks import LinearBlocks
from llmsched_mip.models.round_indexed.sets import Sets
from llmsched_mip.timing import IntArray

NONE = np.zeros(0, dtype=np.int64)


class Columns(NamedTuple):
    """Columns of each variable, in the order of its set; empty where the model has no such variable."""

    x: IntArray
    z: IntArray
    """Over the members; x itself where no round has several iterations."""
    used: IntArray
    on: IntArray
    extra: IntArray = NONE
    begin: IntArray = NONE
    extra_of: IntArray = NONE
    makespan: IntArray = NONE


class Formulation(NamedTuple):
    """A model: its sets, where its variables stand, and its blocks."""

    sets: Sets
    columns: Columns
    form: LinearBlocks


def declare(s: Sets, form: LinearBlocks) -> Columns:
    """Add the variables to a form without any."""
    n, (k, w, t), members = s.types.count, s.starts, s.members
    x = z = form.add_variables("x", s.names(w, t, k=k), 0, n[k], integer=True)
    if s.split:
        names = s.names(members.w, members.t, members.q, k=members.k)
        z = form.add_variables("z", names, 0, n[members.k], integer=True)
    used = extra = begin = extra_of = makespan = NONE
    if not s.completion:
        used = form.add_variables("used", s.names(*s.rounds), s.surely, 1, integer=True)
    at = s.switches.iteration
    on_names = s.names(*(index[at] for index in s.iterations), s.switches.level)
    on = form.add_variables("on", on_names, 0, 1, integer=True)
    if s.timed:
        extra = form.add_variables("extra", s.names(*s.rounds))
        if s.arrivals:
            begin = form.add_variables("begin", s.names(*s.iterations))
        if s.completion:
            extra_of = form.add_variables("extra_of", s.types.labels, s.least_extra_s)
    if not s.completion:
        makespan = form.add_variables("makespan", ["seconds"])
    return Columns(x, z, used, on, extra, begin, extra_of, makespan)
