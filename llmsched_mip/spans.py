"""Index arithmetic of spans: entries that belong together, laid one after the other in a flat array."""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import IntArray


def within(lengths: IntArray) -> IntArray:
    """Place of every entry in its span: ``0, 1, .., s - 1`` for each length s, shape (Σ s,).

    Beside ``np.repeat(what, lengths)``, which says for every entry to which span it belongs.
    """
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(lengths) else 0) - np.repeat(ends - lengths, lengths)
