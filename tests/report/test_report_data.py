"""What a report reads of ledgers and plans, and what it refuses."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from study_ledger import LedgerWriter, four_rows

from llmsched_mip import generate, write_instance, write_plan
from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError, SchedulingError
from llmsched_mip.methods import solve
from llmsched_mip.report.data import read_report
from llmsched_mip.report.tables import failures_table, gap_table, means_table, summary_table


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return four_rows(tmp_path_factory.mktemp("study") / "out", seeds=6)


@pytest.fixture
def planned(tmp_path):
    """Of an instance that doesn't ship with the package."""
    instance = generate("gsm8k-small", 40, 5)
    (tmp_path / "root" / "instances").mkdir(parents=True)
    write_instance(instance, tmp_path / "root" / "instances" / "forty.json")
    plan = solve(instance, method="lists", time_limit_s=0.2).plan
    write_plan(plan, instance, tmp_path / "one.plan.json")
    return tmp_path / "one.plan.json", instance


def column(table, name):
    names = [column.name for column in table.columns]
    return [line[names.index(name)] for line in table.rows]


def made(folder, values):
    """A ledger with rows of one instance: (label, value, bounds)."""
    writer = LedgerWriter(folder)
    for label, value, bounds in values:
        writer.add(
            {"instance": "i", "row": label, "policy": label},
            {
                "status": "feasible",
                "instance": "i",
                "instance_digest": "d",
                "value": value,
                "bounds": json.dumps(bounds),
            },
        )
    return read_report([folder], [])


def test_the_best_bound_of_an_instance_holds_for_all_its_rows(tmp_path):
    report = made(tmp_path / "s", [("fcfs", 120.0, {"area": 80.0}), ("x", 105.0, {"area": 80.0, "mmbpp": 100.0})])
    assert report.rows["best_bound"].tolist() == [100.0, 100.0]
    assert report.rows["best_bound_name"].tolist() == ["mmbpp", "mmbpp"]
    np.testing.assert_allclose(report.rows["gap_value"], [20 / 120, 5 / 105])
    np.testing.assert_allclose(report.rows["gap_bound"], [0.2, 0.05])
    np.testing.assert_allclose(report.rows["closure"], [0.0, 0.75])


def test_a_bound_above_a_value_is_said_on_the_page(tmp_path):
    report = made(tmp_path / "s", [("fcfs", 90.0, {"area": 100.0})])
    assert "above the value" in report.notes[0]


def test_a_case_without_a_result_and_a_failed_one_stand_in_the_table(tmp_path):
    writer = LedgerWriter(tmp_path / "s")
    writer.add({"instance": "a", "row": "fcfs"}, None)
    writer.add({"instance": "b", "row": "fcfs"}, {"status": "failed", "error": "out of luck", "instance": "b"})
    report = read_report([tmp_path / "s"], [])
    assert column(gap_table(report), "status") == ["not run", "failed"]
    assert report.rows["value"].isna().all()
    assert report.notes == ["1 of 2 results are not there yet: a study is not finished."]
    assert failures_table(report).rows == [["b", "fcfs", "failed", "out of luck"]]
    assert summary_table(report) is None


def test_rows_of_one_label_are_told_apart_by_their_lengths(tmp_path):
    writer = LedgerWriter(tmp_path / "s")
    for lengths in ("known", "interval"):
        writer.add({"instance": "a", "row": "hybrid", "lengths": lengths}, {"status": "feasible", "value": 3.0})
    assert read_report([tmp_path / "s"], []).series == ["hybrid, known", "hybrid, interval"]


def test_an_objective_that_the_ledger_leaves_open_follows_from_the_value(tmp_path):
    writer = LedgerWriter(tmp_path / "s")
    for value in (5.0, 50.0):
        measures = {"value": value, "makespan": 5.0, "total_completion": 50.0}
        writer.add({"instance": "a", "row": "fcfs"}, {"status": "feasible", **measures})
    assert read_report([tmp_path / "s"], []).rows["objective"].tolist() == ["makespan", "total_completion"]


def test_the_summary_of_four_rows(study):
    report = read_report([study], [])
    table = summary_table(report)
    assert column(table, "row") == ["fcfs", "offline only", "online only", "hybrid"]
    assert column(table, "cases") == [6] * 4
    values = report.rows.pivot(index="case", columns="series", values="value")
    for label, (mean, sd) in zip(column(table, "row"), column(table, "total time"), strict=True):
        assert mean == pytest.approx(values[label].mean()) and sd == pytest.approx(values[label].std())
    better = int((values["hybrid"] < values["fcfs"]).sum())
    assert column(table, "better than baseline")[-1] == f"{better} of 6"
    assert column(table, "published time") == [201.00, None, None, 190.58]
    assert column(table, "published utilization") == [80.2, None, None, 89.1]
    traced = dict(
        zip(column(means_table(report), "row"), column(means_table(report), "primal-dual integral, mean"), strict=True)
    )
    assert traced["offline only"] >= 0 and np.isnan(traced["fcfs"])


def test_plans_of_a_study_are_drawn_from_generated_instances(study):
    report = read_report([study], [])
    assert [document["method"] for document in report.schedules] == ["fcfs", "offline only", "online only", "hybrid"]
    assert report.notes == []


def test_a_plan_finds_its_instance_beside_it_or_says_so(planned, root, tmp_path, monkeypatch):
    path, instance = planned
    monkeypatch.chdir(tmp_path)
    alone = read_report([path], [])
    assert alone.schedules == [] and "--instance" in alone.notes[0]
    assert alone.rows["instance"].tolist() == [instance.name]
    given = read_report([path], [tmp_path / "root" / "instances" / "forty.json"])
    assert len(given.schedules) == 1 and given.notes == []
    monkeypatch.chdir(tmp_path / "root")
    assert len(read_report([path], []).schedules) == 1
    with pytest.raises(InvalidInputError, match="instance_digest"):
        monkeypatch.chdir(tmp_path)
        read_report([path], [root / "instances" / "gsm8k-65b.json"])


def test_a_plan_file_that_points_out_of_the_folder_is_not_read(tmp_path):
    writer = LedgerWriter(tmp_path / "s")
    writer.add({"instance": "a", "row": "x"}, {"status": "feasible", "value": 3.0, "plan": "../../etc/passwd"})
    report = read_report([tmp_path / "s"], [])
    assert "plain name" in report.notes[0]


@pytest.mark.parametrize("damage", ["empty", "text", "no tables", "layout", "json", "list"])
def test_a_damaged_ledger_is_one_line(tmp_path, damage, capsys):
    folder = tmp_path / "s"
    if damage in ("layout", "json", "list"):
        LedgerWriter(folder).add({"instance": "a", "row": "x"}, {"status": "feasible"})
        change = {
            "layout": "UPDATE study SET layout = 7",
            "json": "UPDATE results SET bounds = '{'",
            "list": "UPDATE results SET bounds = '[1]'",
        }[damage]
        with sqlite3.connect(folder / "ledger.sqlite") as database:
            database.execute(change)
    else:
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(b"not a ledger" * 100 if damage == "text" else b"")
    assert main(["report", str(folder), "-o", str(tmp_path / "r.html")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "ledger.sqlite" in captured.err
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "{}/missing", "-o", "{}/r.html"], ["missing", "no such"]),
        (["report", "{}/empty", "-o", "{}/r.html"], ["empty", "no ledger.sqlite"]),
        (["report", "{}/one.plan.json", "-o", "{}/r.pdf"], ["--output", ".html"]),
        (["report", "{}/one.plan.json", "-o", "{}/nowhere/r.html"], ["nowhere"]),
        (["report", "{}/one.plan.json", "-o", "{}/empty"], ["--output", ".html"]),
        (["report", "{}/one.plan.json"], ["--output"]),
        (["report", "{}/one.plan.json", "--format", "html"], ["--output"]),
        (["report", "{}/one.plan.json", "--format", "doc"], ["--format", "latex"]),
        (["report", "{}/one.plan.json", "--instance", "{}/missing", "--format", "md"], ["missing"]),
        (["gantt", "{}/one.plan.json", "-o", "{}/g.png"], ["--output", ".svg"]),
        (["gantt", "{}/one.plan.json", "-o", "{}/g.svg"], ["one.plan.json", "--instance"]),
        (["gantt", "{}/missing.json", "-o", "{}/g.svg"], ["missing.json"]),
    ],
)
def test_wrong_use_is_one_line(planned, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main([text.format(tmp_path) for text in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err


def test_a_plan_that_breaks_the_model_is_refused(planned, tmp_path, capsys):
    path, _ = planned
    document = json.loads(path.read_text())
    document["workers"][0]["stages"][0]["rounds"] += 1
    path.write_text(json.dumps(document))
    instance = str(tmp_path / "root" / "instances" / "forty.json")
    for arguments in (
        ["report", str(path), "-o", str(tmp_path / "r.html")],
        ["gantt", str(path), "-o", str(tmp_path / "g.svg")],
    ):
        assert main([*arguments, "--instance", instance]) == 1
        assert "not a feasible plan" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists() and not (tmp_path / "g.svg").exists()


def test_errors_of_a_report_are_errors_of_the_toolkit(tmp_path):
    with pytest.raises(SchedulingError):
        read_report([tmp_path], [])
