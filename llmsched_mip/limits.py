"""Limits: of workers, cut down to what can be needed; and of inputs, above which they are refused.

A worker may have no limit of slots, KV tokens or prompt tokens of an iteration: that is None in an instance and its
file, and nowhere else.  Who computes with a limit asks the worker (`Worker.most_slots`, `most_kv`, `most_prefill`) and
gets a number that is finite and no larger than what the requests can use.  Inputs are refused above numbers that
nobody means, or that no machine would come to the end of.
"""

from __future__ import annotations

MOST_LIMIT = 2**62
"""Slots, KV tokens and prompt tokens in a limit of a worker."""
MOST_REQUESTS = 10_000_000
"""Requests of an instance."""
MOST_WORKERS = 100_000
"""Workers of one kind that are made at once."""
MOST_SEEDS = 1_000_000
"""Seeds of one section of a study."""
MOST_THREADS = 4096
"""Threads of a solver, processes of a study."""
MOST_SCENARIOS = 10_000
"""Scenarios of a stochastic plan."""


def finite(limit: int | None, needed: int) -> int:
    """A limit (None: there is none) cut down to the most that can be needed."""
    return needed if limit is None else min(int(limit), needed)
