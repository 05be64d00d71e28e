"""Prices on KV against slots that are tried, and blocks of a table of lengths that stay small."""

from __future__ import annotations

from llmsched_mip.instance import Instance
from llmsched_mip.timing import IntArray

PRICES = tuple(k / 8 for k in range(9))
MOST_ENTRIES = 2**20


def prices(instance: Instance) -> tuple[float, ...]:
    """λ that are worth trying: 0 is slots alone, 1 KV alone; a worker without a KV capacity has no price on KV."""
    if any(worker.kv_capacity is None for worker in instance.workers):
        return (0.0,)
    return (1.0,) if any(worker.slots is None for worker in instance.workers) else PRICES


def row_blocks(table: IntArray) -> list[slice]:
    """Rows of a table in blocks of at most about a million entries."""
    rows = max(1, MOST_ENTRIES // table.shape[1])
    return [slice(k, k + rows) for k in range(0, len(table), rows)]
