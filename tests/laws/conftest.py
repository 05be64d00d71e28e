"""Laws are tested by a clock that its readers drive: limits are limits of work, and runs repeat exactly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmsched_mip import clock

READING_S = 5e-3


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    with clock.counting(READING_S):
        yield
