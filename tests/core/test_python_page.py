"""The Python of docs/python.md runs as written, and the names that its tables list are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

from llmsched_mip.workload.frames import ALIASES

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()


def test_ten_lines(monkeypatch, tmp_path, capsys):
    matplotlib.use("Agg")
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(block.splitlines()) <= 11
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert "time_limit_s=5" in block
    exec(block.replace("time_limit_s=5", "method='lists', time_limit_s=0.2"), names)
    matplotlib.pyplot.close("all")
    assert (tmp_path / "plan.png").stat().st_size > 10_000
    result = names["result"]
    assert str(result) in capsys.readouterr().out
    for view in ("schedule", "stages"):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `result.{view}()`"))
        assert re.findall(r"`(\w+)`", row.split("|")[3]) == list(getattr(result, view)().columns)


def test_the_table_lists_every_name_that_is_taken():
    rows = re.findall(r"^\| (`.*?) \|.*?\|(.*?)\|$", PAGE, re.MULTILINE)
    listed = {
        name: tuple(re.findall(r"`([^`]+)`", rest)) for names, rest in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert {name: listed[name] for name in ALIASES} == ALIASES
