"""Markdown, CSV and LaTeX tables, and that nothing from a file gets out of its cell."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_ledger import LedgerWriter

from llmsched_mip.cli import main
from llmsched_mip.report.charts import all_charts, literal
from llmsched_mip.report.columns import Column, Table
from llmsched_mip.report.data import Report, complete, read_report
from llmsched_mip.report.formats import csv_text, data_columns, guarded, latex_cell, latex_text, markdown_text, packed
from llmsched_mip.report.page import report_page
from llmsched_mip.report.sources import json_text
from llmsched_mip.report.tables import all_tables

NAMES = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://x\")",
    "+1", "-1+2", "@SUM(A1)", "\tx", 'a "quoted", name', "a|b_c*d`e[f](g)",
    "100 % & #1 $x$ {y} ~ ^ \\input{x}", "ü\u2028é",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "s"
    writer = LedgerWriter(folder, name=NAMES[0], command=f"llmsched study '{NAMES[1]}'")
    for name in NAMES:
        for row, value in (("fcfs", 10.0), (name, 9.0)):
            writer.add(
                {"instance": name, "row": row, "family": name},
                {
                    "status": name, "instance": name, "instance_digest": name, "value": value, "makespan": value,
                    "bounds": json.dumps({name: 8.0}), "bound_name": name, "bound": 8.0, "host": name,
                    "versions": json.dumps({name: name}), "seconds": 1.0, "trace": "[[0.1, 10, 8], [0.5, 9, 8]]",
                    "started": name, "utilization": 0.5,
                },
            )  # fmt: skip
        writer.add({"instance": name, "row": name}, {"status": "failed", "error": name, "instance": name})
    return folder


class Elements(HTMLParser):
    """Every start tag of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_hostile_names_add_no_element_to_the_page(hostile):
    parser = Elements()
    page = report_page(read_report([hostile], []), f"llmsched report '{NAMES[1]}'")
    parser.feed(page)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 3 and "img" not in tags and "iframe" not in tags
    assert not [name for _, attributes in parser.found for name in attributes if name.startswith("on")]
    links = [str(given[key]) for _, given in parser.found for key in ("src", "href") if key in given]
    assert links and all(link.startswith(("#", "data:")) for link in links)


def test_json_in_the_page_ends_no_script_and_is_the_same_data():
    value = {"a": [*NAMES, "<!--", "]]>"]}
    text = json_text(value)
    assert not set("<>&\u2028") & set(text) and json.loads(text) == value


def test_csv_of_hostile_names_starts_no_formula(hostile):
    columns = data_columns(read_report([hostile], []).rows)
    lines = list(csv.reader(io.StringIO(csv_text(columns))))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 1 + 3 * len(NAMES)
    numbers = re.compile(r"^-?\d+(\.\d+)?(e-?\d+)?$")
    assert not [cell for line in lines for cell in line if cell[:1] in "=+-@\t\r" and cell and not numbers.match(cell)]
    assert guarded(-1.5) == -1.5 and guarded("-1") == "'-1" and guarded("a-1") == "a-1"


def test_markdown_of_hostile_names_keeps_its_columns(hostile):
    text = markdown_text(all_tables(read_report([hostile], [])))
    assert "<script" not in text and "<img" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1, block


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_latex_cells_hold_no_command_of_the_text(text):
    written = latex_cell(text)
    rest = re.sub(r"\\(text[a-z]+\{\}|[&%$#_{}])|\$-\$|\$\\pm\$", "", written)
    assert not set(r"\&%$#_{}~^") & set(rest)


def test_latex_tables_are_booktabs(hostile):
    text = latex_text(all_tables(read_report([hostile], [])))
    count = text.count(r"\begin{tabular}")
    assert count == 4 and text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == count
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    tabular = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body} == {len(columns) for columns in tabular}


def test_charts_show_names_as_they_are(hostile):
    charts = all_charts(read_report([hostile], []))
    assert {"breakdown", "convergence", "profile-value", "box-gap"} <= set(charts)
    shown = json.dumps([[view["data"], view["layout"]] for chart in charts.values() for view in chart["views"]])
    assert "<script" not in shown and "<img" not in shown
    assert literal("<b>&") == "&lt;b&gt;&amp;"


def test_packed_columns_hold_the_same_values():
    columns = {"a": ["x", None, "x", "x", None], "b": [1, 2, 3, 4, 5], "c": [0.5] * 5}
    found = packed(columns)
    assert found["b"] == columns["b"] and found["c"] == {"values": [0.5], "index": [0] * 5}
    assert [found["a"]["values"][k] for k in found["a"]["index"]] == columns["a"]


def test_a_page_of_ten_thousand_results_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"instance": np.repeat([f"gsm8k-65b-n1319-s{k}" for k in range(2500)], 4)})
    rows["instance_digest"] = [f"sha256:{hash(name) % 16**16:064x}" for name in rows["instance"]]
    rows["row"] = ["fcfs", "offline only", "online only", "hybrid"] * 2500
    for name in ("value", "seconds", "makespan", "total_completion", "mean_latency", "p99_latency", "utilization"):
        rows[name] = rng.random(len(rows)) + 1
    rows["bounds"] = [{"area": low, "mmbpp": low + 0.01, "kv_volume": low / 2} for low in rng.random(len(rows))]
    rows["trace"] = [[[0.1, 2.0, 1.0], [0.2, 1.9, 1.1]]] * len(rows)
    page = report_page(Report(complete(rows)))
    assert len(page.encode()) < 10_000_000
    assert "The first 2000 of 10000 rows" in page


def test_cells_as_text():
    column = Column("gap", "%", 2)
    assert column.head == "gap (%)"
    assert [column.text(v) for v in (None, float("nan"), 1.234, (1.0, 0.5), (1.0, float("nan")))] == [
        "–", "–", "1.23", "1.00 ± 0.50", "1.00",
    ]  # fmt: skip
    assert Column("p", digits=4).text(1e-9) == "1.0e-09"
    table = Table("t", "T", [Column("a"), column], [["x\ny", 1.0]])
    assert "| x y | 1.00 |" in markdown_text([table])


@pytest.mark.parametrize(("name", "start"), [("t.md", "## "), ("t.csv", "source,"), ("t.tex", "% Needs")])
def test_the_file_name_chooses_the_format(hostile, tmp_path, capsys, name, start):
    assert main(["report", str(hostile), "-o", str(tmp_path / name)]) == 0
    written = (tmp_path / name).read_text(encoding="utf-8")
    assert written.startswith(start)
    capsys.readouterr()
    form = {"t.md": "md", "t.csv": "csv", "t.tex": "latex"}[name]
    assert main(["report", str(hostile), "--format", form]) == 0
    assert capsys.readouterr().out.strip() == written.strip()
