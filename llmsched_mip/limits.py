"""Numbers above which an input is refused: nobody means them, or no machine would come to the end of them."""

from __future__ import annotations

MOST_LIMIT = 2**62
"""Slots, KV tokens and prompt tokens in a limit of a worker."""
MOST_REQUESTS = 10_000_000
"""Requests of an instance."""
MOST_SEEDS = 1_000_000
"""Seeds of one section of a study."""
MOST_THREADS = 4096
"""Threads of a solver, processes of a study."""
