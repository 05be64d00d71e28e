"""The pages of the published studies, at a small size."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import _charts
import _results
import _study
import four_rows
import hundred_cases

from llmsched_mip.study import LedgerError, read_ledger
from llmsched_mip.study.cases import read_study
from llmsched_mip.study.ledger import Ledger
from llmsched_mip.study.runner import run_case


def small(name, folder, seeds=None):
    """Ledger of a published study with 60 requests on 8 slots."""
    path = folder / f"{name}.toml"
    text = _study.study_file(name, folder / "files", seeds).read_text()
    text = text.replace("time_limits = [20]", "time_limits = [0.3]")
    path.write_text(text.replace('family = "gsm8k-65b"', 'family = "gsm8k-65b"\nrequests = 60\nslots = 8'))
    study = read_study(path)
    with Ledger(folder / "ledger", study) as ledger:
        for case in study.cases:
            ledger.record(run_case(case))
    return _study.complete(read_ledger(folder / "ledger"), folder)


@pytest.fixture(autouse=True)
def _results_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(_results, "RESULTS", tmp_path / "results")


def cells(page):
    return [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]


def test_four_rows(tmp_path):
    frame = small("four_rows", tmp_path).set_index("row")
    page = four_rows._page(frame, "rows", "how")
    rows = {row[0]: row for row in cells(page)[2:]}
    assert list(rows) == list(_study.ROWS)
    for label, row in rows.items():
        assert float(row[1]) == pytest.approx(frame.loc[label, "makespan"], abs=0.005)
    assert rows["fcfs"][4] == "0.0 %" and rows["hybrid"][7:] == ["190.58", "89.1 %", "52.4 %"]
    ElementTree.parse(tmp_path / "results" / "rows.svg")


def test_hundred_cases(tmp_path):
    frame = small("hundred_cases", tmp_path, seeds=6)
    assert len(frame) == 6 * 12
    page = hundred_cases._page(frame, "cases", "how")
    found = [row for row in cells(page) if row[0] in _study.ROWS]
    assert [row[0] for row in found] == list(_study.ROWS) * 3
    runs = frame[(frame["row"] == "hybrid") & (frame["lengths"] == "known")]
    base = frame[(frame["row"] == "fcfs") & (frame["lengths"] == "known")]
    mean, spread = map(float, found[3][1].split(" ± "))
    assert mean == pytest.approx(runs["makespan"].mean(), abs=0.006)
    assert spread == pytest.approx(runs["makespan"].std(), abs=0.006)
    difference = 100 * (runs["utilization"].to_numpy() - base["utilization"].to_numpy())
    assert float(found[3][5].split(" ± ")[0]) == pytest.approx(difference.mean(), abs=0.006)
    better = int(np.sum(runs["makespan"].to_numpy() < base["makespan"].to_numpy()))
    assert found[3][6] == f"{better} of 6"
    assert re.fullmatch(r"[\d.]+e-\d\d", found[3][7])
    ElementTree.parse(tmp_path / "results" / "cases.svg")


def test_a_row_that_failed_is_not_averaged_away(tmp_path):
    frame = pd.DataFrame({"status": ["feasible", "failed"], "row": ["a", "b"], "error": [None, "why"]})
    with pytest.raises(LedgerError, match="b: why"):
        _study.complete(frame, tmp_path)


def test_a_study_that_has_results_is_not_killed(tmp_path):
    small("four_rows", tmp_path)
    with pytest.raises(LedgerError, match="new folder"):
        _study.run_killed(tmp_path / "four_rows.toml", tmp_path / "ledger", 1)


def test_boxes_are_quartiles_and_the_file_repeats(tmp_path):
    path, again = tmp_path / "boxes.svg", tmp_path / "again.svg"
    groups = {"one": [1.0, 2.0, 3.0, 9.0], "same": [4.0, 4.0]}
    for file in (path, again):
        _charts.write_boxes(file, "a < b", "s", groups, {"mark": 0.5})
    assert path.read_bytes() == again.read_bytes()
    root = ElementTree.parse(path).getroot()
    svg = "{http://www.w3.org/2000/svg}"
    parts = {group.get("id"): group for group in root.iter(f"{svg}g")}
    assert {"box-0", "point-1"} <= set(parts) and not {"point-0", "box-1"} & set(parts)
    ticks = {text.text for text in root.iter(f"{svg}text")}
    assert {"a < b", "one", "same", "mark 0.50"} <= ticks
    box = sorted({float(x) for x in re.findall(r"[ML] ([\d.]+)", parts["box-0"].find(f"{svg}path").get("d"))})
    point = float(parts["point-1"].find(f".//{svg}use").get("x"))
    mark = float(re.search(r"M ([\d.]+)", parts["mark-0"].find(f"{svg}path").get("d"))[1])
    scale = (point - mark) / (4.0 - 0.5)
    quartiles = np.quantile(groups["one"], [0.25, 0.75])
    assert box == pytest.approx([mark + scale * (value - 0.5) for value in quartiles], abs=0.01)
