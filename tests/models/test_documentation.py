"""The snippet of docs/models.md that adds a row to the round-indexed model."""

from __future__ import annotations

import re


def test_the_row_of_the_page_is_kept(root, monkeypatch, capsys):
    """Three requests of 3 rounds, one after the other: 9 rounds of 1 s."""
    section = (root / "docs" / "models.md").read_text(encoding="utf-8").partition("## A row of your own")[2]
    monkeypatch.chdir(root)
    names = {}
    exec(re.search(r"```python\n(.*?)```", section, re.S).group(1), names)
    assert capsys.readouterr().out == "9.0\n"
    assert names["plan"].workers[0].requests.tolist() == [0, 1, 2]
