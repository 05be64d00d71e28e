"""The files in instances/: made again byte for byte, valid, and the tiny ones with their proven optima."""

from __future__ import annotations

import csv
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from conftest import ROOT
from exhaustive import optimum

from llmsched_mip import read_instance

TINY = ROOT / "instances" / "tiny"
with open(TINY / "OPTIMA.csv", newline="") as table:
    OPTIMA = [(row["instance"], row["objective"], float(row["optimum_s"])) for row in csv.DictReader(table)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = ROOT / "scripts" / "make_instances"
    script = module_from_spec(spec_from_loader("make_instances", SourceFileLoader("make_instances", str(path))))
    script.__spec__.loader.exec_module(script)
    folder = tmp_path_factory.mktemp("instances")
    script.write_all(folder)
    return folder


def files(folder):
    return sorted(str(path.relative_to(folder)) for pattern in ("*.json", "tiny/*") for path in folder.glob(pattern))


def test_the_script_writes_every_file_and_the_same_bytes(written, root):
    library = root / "instances"
    assert files(written) == files(library)
    for name in files(written):
        assert (written / name).read_bytes() == (library / name).read_bytes(), name


def test_every_instance_file_says_where_it_comes_from(root):
    paths = [path for path in (root / "instances").rglob("*.json") if path.parent.name != "plans"]
    assert len(paths) >= 9
    for path in paths:
        instance = read_instance(path)
        assert instance.name == path.stem
        assert instance.description and instance.source


def test_every_tiny_instance_is_in_the_table():
    assert {name for name, _, _ in OPTIMA} == {path.name for path in TINY.glob("*.json")}
    for name, objective, _ in OPTIMA:
        names = [o for n, o, _ in OPTIMA if n == name]
        assert read_instance(TINY / name).objective in names, (name, objective)


@pytest.mark.parametrize(("name", "objective", "value"), OPTIMA)
def test_hand_computed_optimum(name, objective, value):
    assert optimum(read_instance(TINY / name), objective) == pytest.approx(value, rel=1e-12)
