"""The ledger: atomic, one writer, one study, nothing twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from small_studies import write_study

from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.study import LedgerError, read_head, read_ledger
from llmsched_mip.study.cases import read_study
from llmsched_mip.study.ledger import Ledger
from llmsched_mip.study.runner import RowResult, run_case


@pytest.fixture
def study(tmp_path):
    return read_study(write_study(tmp_path, extra="keep_plans = true"))


def test_what_was_recorded_is_read_back(tmp_path, study):
    with Ledger(tmp_path / "o", study) as ledger:
        results = run_case(study.cases[1])
        ledger.record(results)
        frame = read_ledger(tmp_path / "o")
    assert list(frame["position"]) == list(range(15))
    done = frame[frame["status"].notna()]
    assert list(done["key"]) == list(study.cases[1].keys)
    assert list(done["row"]) == ["fcfs", "offline only", "online only", "online only", "hybrid"]
    first = done.iloc[0]
    assert isinstance(first["bounds"], dict) and first["bound"] == max(first["bounds"].values())
    assert first["gap"] == pytest.approx((first["value"] - first["bound"]) / first["value"])
    assert first["versions"]["numpy"] and first["options"]["requests"] == 40
    assert (done["value"] >= done["bound"]).all() and (done["bound"] == first["bound"]).all()
    assert (tmp_path / "o" / "plans" / done.iloc[1]["plan"]).is_file()
    assert read_head(tmp_path / "o")["definition"] == study.definition


def test_results_of_a_case_are_written_all_or_none(tmp_path, study):
    results = run_case(study.cases[0])
    wrong = RowResult(results[0].key, dict(results[0].columns))
    with Ledger(tmp_path / "o", study) as ledger:
        with pytest.raises(LedgerError, match="second time"):
            ledger.record([*results, wrong])
        assert ledger.recorded() == set()
        ledger.record(results)
        with pytest.raises(LedgerError, match="second time"):
            ledger.record(results[:1])
        assert ledger.recorded() == set(study.cases[0].keys)


def test_a_full_disk_loses_nothing_that_was_written(tmp_path, study):
    with Ledger(tmp_path / "o", study) as ledger:
        ledger.record(run_case(study.cases[0]))
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        results = run_case(study.cases[1])
        for result in results:
            result.columns["error"] = "x" * 5000
        with pytest.raises(LedgerError, match=r"full.*--resume") as caught:
            ledger.record(results)
        assert "\n" not in str(caught.value)
    with Ledger(tmp_path / "o", study, resume=True) as ledger:
        assert ledger.recorded() == set(study.cases[0].keys)
        ledger.record(results)
        assert ledger.recorded() == {*study.cases[0].keys, *study.cases[1].keys}


def refused(capsys, *arguments):
    assert main(["study", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_one_writer_and_any_number_of_readers(tmp_path, study, capsys):
    with Ledger(tmp_path / "o", study):
        error = refused(capsys, tmp_path / "small.toml", "--out", tmp_path / "o", "--resume")
        assert "another process writes this ledger" in error
        assert len(read_ledger(tmp_path / "o")) == 15
    Ledger(tmp_path / "o", study).close()


def test_another_program_that_locks_the_file(tmp_path, study):
    with Ledger(tmp_path / "o", study) as ledger, closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger._connection.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(LedgerError, match="locked by another process"):
            ledger.record(run_case(study.cases[0]))
        other.execute("ROLLBACK")
        ledger.record(run_case(study.cases[0]))


def test_another_study_in_the_same_folder_is_refused(tmp_path, study, capsys):
    Ledger(tmp_path / "o", study).close()
    for other in (write_study(tmp_path, name="other"), write_study(tmp_path, seeds=4)):
        assert "holds another study" in refused(capsys, other, "--out", tmp_path / "o", "--resume")
    assert read_head(tmp_path / "o")["name"] == "small"


def test_results_are_continued_only_when_asked(tmp_path, study, capsys):
    with Ledger(tmp_path / "o", study) as ledger:
        ledger.record(run_case(study.cases[0]))
    assert "--resume" in refused(capsys, tmp_path / "small.toml", "--out", tmp_path / "o")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, "other tables"])
def test_a_file_that_is_no_ledger(tmp_path, study, capsys, content):
    (tmp_path / "o").mkdir()
    path = tmp_path / "o" / "ledger.sqlite"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE other(x)")
    before = path.read_bytes()
    assert "ledger of a study" in refused(capsys, tmp_path / "small.toml", "--out", tmp_path / "o", "--resume")
    assert path.read_bytes() == before
    with pytest.raises(LedgerError):
        read_ledger(tmp_path / "o")


def test_a_damaged_column_is_named(tmp_path, study):
    with Ledger(tmp_path / "o", study) as ledger:
        ledger.record(run_case(study.cases[0]))
        ledger._connection.execute("UPDATE results SET trace = '{'")
    with pytest.raises(InvalidInputError, match="trace"):
        read_ledger(tmp_path / "o")
    assert len(read_ledger(tmp_path / "o", decode=False)) == 15
