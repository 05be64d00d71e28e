"""The Python of the README runs as written, and prints what the README says of it."""

from __future__ import annotations

import re
from pathlib import Path

from llmsched_mip import Result, clock

ROOT = Path(__file__).parents[2]


def test_python_of_the_readme_runs(capsys, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    with clock.counting(0.1):
        exec(blocks[0], names)
    result, printed = names["result"], capsys.readouterr().out
    assert isinstance(result, Result)
    assert str(result) in printed
    assert f"makespan            {result.value:.4f} s" in printed
