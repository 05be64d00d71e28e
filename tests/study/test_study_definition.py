"""STUDY.toml: what it means, and what is refused with one line."""

from __future__ import annotations

import pytest
from conftest import ROOT
from small_studies import write_study

from llmsched_mip import write_instance
from llmsched_mip.cli import main
from llmsched_mip.errors import SchedulingError
from llmsched_mip.study.cases import read_study
from llmsched_mip.workload import generate

HEAD = 'name = "s"\nmethods = ["lists"]\n'
FAMILY = '[[instances]]\nfamily = "gsm8k-65b"\nrequests = 5\nslots = 2\n'


def write(folder, text):
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cases_are_the_product_of_what_is_listed(tmp_path):
    text = (
        'name = "s"\nmethods = ["lists", "auto"]\npolicies = ["fcfs"]\nlengths = ["known", "unknown"]\n'
        'objectives = ["makespan", "total_completion"]\ntime_limits = [1, 2]\n' + FAMILY + "seeds = [3, 5, 7]\n"
    )
    study = read_study(write(tmp_path, text))
    assert len(study.cases) == 3 * 2 * 2
    assert {len(case.rows) for case in study.cases} == {4}
    keys = [key for case in study.cases for key in case.keys]
    assert len(set(keys)) == len(keys) == 48
    assert [case.position for case in study.cases] == list(range(0, 48, 4))


def test_the_same_case_twice_is_one_case(tmp_path):
    text = HEAD + FAMILY + "seeds = [1, 1]\n" + FAMILY + "seed_range = {first = 1, count = 2}\n"
    assert [case.source.seed for case in read_study(write(tmp_path, text)).cases] == [1, 2]


def test_files_are_known_by_their_content(tmp_path):
    for seed in (0, 1):
        write_instance(generate("gsm8k-65b", 6, seed, slots=2), tmp_path / f"{seed}.json")
    path = write(tmp_path, HEAD + '[[instances]]\nfiles = ["*.json"]\n')
    first = read_study(path)
    (tmp_path / "1.json").rename(tmp_path / "moved.json")
    assert read_study(path).digest == first.digest
    write_instance(generate("gsm8k-65b", 6, 2, slots=2), tmp_path / "moved.json")
    changed = read_study(path)
    assert changed.digest != first.digest
    assert changed.cases[0].keys == first.cases[0].keys and changed.cases[1].keys != first.cases[1].keys


def test_comments_do_not_make_another_study_but_options_do(tmp_path):
    digests = [
        read_study(write(tmp_path, text)).digest
        for text in (HEAD + FAMILY, "# comment\n" + HEAD + FAMILY, "gap = 0.1\n" + HEAD + FAMILY)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gaps = 0.1\n" + HEAD + FAMILY, ["gaps", "unknown key", "time_limits"]),
        (HEAD + FAMILY + "seed = 3\n", ["instances[0].seed", "unknown key", "seeds"]),
        (HEAD + FAMILY + "seeds = [1]\nseed_range = {count = 2}\n", ["instances[0]", "either seeds or seed_range"]),
        (HEAD + FAMILY + "seed_range = {from = 1, count = 2}\n", ["from", "unknown key"]),
        (HEAD + FAMILY + '[[rows]]\npolicy = "fcfs"\nlength = ["known"]\n', ["rows[0].length", "unknown key"]),
        (HEAD, ["instances", "missing"]),
        (HEAD + FAMILY + 'policies = ["fcfs"]\n', ["instances[0].policies", "unknown key"]),
        ('name = "s"\n' + FAMILY, ["rows", "missing"]),
        (HEAD + '[[instances]]\nfamily = "nope"\n', ["instances[0].family", "'nope'", "gsm8k-65b"]),
        (HEAD + '[[instances]]\nfiles = ["nope.json"]\n', ["instances[0].files[0]", "nope.json"]),
        (HEAD + FAMILY + 'files = ["x.json"]\n', ["instances[0]", "either family or files"]),
        ('name = "s"\nmethods = ["best"]\n' + FAMILY, ["methods[0]", "'best'", "lists"]),
        ('name = "s"\npolicies = ["best"]\n' + FAMILY, ["policies[0]", "'best'", "fcfs"]),
        ("gap = 1.0\n" + HEAD + FAMILY, ["gap", "1.0"]),
        ("time_limits = [inf]\n" + HEAD + FAMILY, ["time_limits[0]", "finite"]),
        ('time_limits = ["4"]\n' + HEAD + FAMILY, ["time_limits[0]", "a number"]),
        ("keep_plans = 1\n" + HEAD + FAMILY, ["keep_plans", "true or false"]),
        (HEAD + FAMILY + '[[rows]]\npolicy = "plan"\n', ["rows[0].plan", "missing"]),
        (HEAD + FAMILY + '[[rows]]\npolicy = "fcfs"\nmethod = "lists"\n', ["rows[0]", "either method or policy"]),
        (HEAD + FAMILY + '[[rows]]\npolicy = "fcfs"\nlengths = ["interval"]\n', ["instances[0]", "intervals"]),
        (HEAD + FAMILY + '[[rows]]\nmethod = "lists"\n', ["rows", "given twice"]),
        (HEAD + FAMILY + 'predictions = "nope:3"\n', ["instances[0]", "nope"]),
        ("name = \n", ["not valid TOML"]),
    ],
)
def test_a_wrong_study_file_is_one_line(tmp_path, capsys, text, words):
    path = write(tmp_path, text)
    assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(path) in error
    for word in words:
        assert word in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study"], ["--out"]),
        (["study", "--out", "{}/new"], ["STUDY.toml"]),
        (["study", "{}/none.toml", "--out", "{}/new"], ["none.toml", "no such file"]),
        (["study", "{}/small.toml", "--out", "{}/small.toml"], ["--out", "is a file"]),
        (["study", "{}/small.toml", "--out", "{}/new", "--jobs", "0"], ["--jobs"]),
        (["study", "{}/small.toml", "--out", "{}/new", "--engine", "ray"], ["--engine", "local", "dask"]),
        (["study", "{}/small.toml", "--out", "{}/new", "--scheduler", "tcp://x:1"], ["--scheduler", "dask"]),
        (["study", "--export", "--out", "{}/new"], ["ledger.sqlite"]),
    ],
)
def test_wrong_use_is_one_line(tmp_path, capsys, arguments, words):
    write_study(tmp_path)
    assert main([part.format(tmp_path) for part in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_the_example_of_the_documentation_and_the_published_studies_are_valid(tmp_path):
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    study = read_study(write(tmp_path, text))
    assert len(study.cases) == 2 and len(study.cases[0].rows) == 5
    counts = {path.stem: len(read_study(path).cases) for path in (ROOT / "docs" / "studies").glob("*.toml")}
    assert counts == {"four_rows": 1, "hundred_cases": 100}


def test_a_study_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SchedulingError, match="not UTF-8"):
        read_study(path)
