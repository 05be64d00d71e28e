"""The scripts behind docs/results: charts, tables, and every page at a small size."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from conftest import DATA, ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import _charts
import _results
import arrivals
import engines
import exactness
import mixture
import ratios
import uncertainty

SVG = "{http://www.w3.org/2000/svg}"


def test_a_power_law_is_a_straight_line(tmp_path):
    path = tmp_path / "line.svg"
    points = [(x, 3 * x**0.5) for x in (1, 10, 100, 1000)]
    _charts.write_loglog(path, "a < b", "size", "ratio", {"a & b": points, "flat": [(1, 2), (1000, 2)]})
    root = ElementTree.parse(path).getroot()
    curve = next(group for group in root.iter(f"{SVG}g") if group.get("id") == "line-0").find(f"{SVG}path").get("d")
    found = [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve)]
    assert len(found) == 4
    steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(found)]
    assert all(step == pytest.approx(steps[0], abs=0.2) for step in steps) and steps[0][1] < 0
    assert {"a & b", "flat", "a < b", "1000"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_markdown_table():
    table = _results.markdown_table(["a", "b"], [["x", 1], ["y", 2]])
    assert table == "| a | b |\n| :-- | --: |\n| x | 1 |\n| y | 2 |\n"


def run(module, page, monkeypatch, tmp_path, *arguments: str) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
    module.main()
    return (tmp_path / "docs" / "results" / page).read_text(encoding="utf-8")


def test_ratios_page(monkeypatch, tmp_path):
    text = run(ratios, "ratios.md", monkeypatch, tmp_path, "--families", "whales", "--sizes", "2")
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith(("| 100", "| 400"))]
    place = next(line for line in text.splitlines() if line.startswith("| M")).split(" | ").index("shortest-first")
    assert [float(row[place]) for row in cells] == pytest.approx([2.7, 5.0], abs=0.05)
    assert (tmp_path / "docs" / "results" / "ratios-whales.svg").exists()


@pytest.mark.skipif(not DATA.exists(), reason="measured tables are not there: ../shared/data")
def test_engines_page(monkeypatch, tmp_path):
    options = ("--data", str(DATA), "--requests", "20", "--plan-seconds", "0.2", "--cases", "run-4090")
    text = run(engines, "engines.md", monkeypatch, tmp_path, *options)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| vllm", "| svf", "| plan for"))]
    assert len(rows) == 4 and all(float(row[k].rstrip(" %|")) >= 0 for row in rows for k in (2, 4))
    again = run(engines, "engines.md", monkeypatch, tmp_path, *options)
    assert again == text and (tmp_path / "docs" / "results" / "engines_latency.svg").exists()


def test_mixture_page(monkeypatch, tmp_path):
    text = run(
        mixture, "mixture.md", monkeypatch, tmp_path, "--requests", "60", "--seeds", "2", "--bound-seconds", "0.2"
    )
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert {"fcfs", "svf", "sorted-f", "lp-swap"} <= set(rows)
    assert all(float(rows[policy][3]) >= 1 for policy in ("fcfs", "svf", "sorted-f", "lp-swap"))


def test_uncertainty_page(monkeypatch, tmp_path):
    options = ("--requests", "120", "--seeds", "1", "--families", "lmsys-chat")
    text = run(uncertainty, "uncertainty.md", monkeypatch, tmp_path, *options)
    rows = [line for line in text.splitlines() if line.startswith("| a-m")]
    assert len(rows) == 6
    assert all(line.endswith("| 0 |") for line in rows)


def test_exactness_page(monkeypatch, tmp_path, root):
    with pytest.raises(SystemExit) as ended:
        run(exactness, "exactness.md", monkeypatch, tmp_path, "--folders", str(root / "instances" / "tiny"))
    assert ended.value.code == 0
    assert "| svf | 10 of 10 | 0 |" in (tmp_path / "docs" / "results" / "exactness.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not (DATA / "vtc_arena_clients.csv").exists(), reason="no ../shared/data beside the repository")
def test_arrivals_page(monkeypatch, tmp_path):
    monkeypatch.setattr(arrivals, "DATA", DATA)
    text = run(arrivals, "arrivals.md", monkeypatch, tmp_path, "--limit", "60")
    assert "## azure_conv_2023" in text and "## vtc_arena_clients" in text
    assert "| svf | known |" in text and "| a-min | interval |" in text
