"""Durations as they are read and printed."""

from __future__ import annotations

import pytest

from llmsched_mip.durations import read_duration
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.texts import duration_text


def test_durations_by_hand():
    given = {"8h": 28800, "90m": 5400, "90min": 5400, "3600": 3600, "2h13m": 7980, "2 h 13 min": 7980, "1.5H": 5400,
             "1d2h": 93600, "250ms": 0.25, "1m30.5s": 90.5, "2e3": 2000}  # fmt: skip
    assert {text: read_duration(text) for text in given} == given


@pytest.mark.parametrize("text", ["", "h", "8x", "-3", "0", "0h", "nan", "inf", "13m2h", "1h1h", "1h 5", "1..5h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InvalidInputError, match="8h, 90m, 2h13m or 3600"):
        read_duration(text)


def test_a_text_is_read_back_to_what_it_shows():
    texts = {7980: "2 h 13 min", 785: "13 min 05 s", 8.25: "8.25 s", 3599.7: "1 h 00 min", 59.999: "1 min 00 s",
             0.25: "250 ms", 200000: "2 d 08 h", 7199: "2 h 00 min"}  # fmt: skip
    assert {seconds: duration_text(seconds) for seconds in texts} == texts
    for seconds, text in texts.items():
        assert read_duration(text) == pytest.approx(seconds, rel=0.04)
    assert duration_text(None) == "-"
