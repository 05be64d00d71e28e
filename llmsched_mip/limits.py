"""Numbers above which an input is a slip of the pen: no machine would come to the end of it."""

from __future__ import annotations

MOST_SEEDS = 1_000_000
"""Seeds of one section of a study."""
MOST_THREADS = 4096
"""Threads of a solver, processes of a study."""
