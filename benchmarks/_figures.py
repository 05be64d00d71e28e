"""What a benchmark hands to the table of results by version."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """Seconds that something takes, and their ratio to something else that ran beside it.

    The ratio says more than the seconds: machines differ, and are shared.
    """

    what: str
    seconds: float
    reference: str
    ratio: float
