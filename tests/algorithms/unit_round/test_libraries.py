"""The libraries of instances: made again byte for byte, every entry checked with `evaluate`."""

from __future__ import annotations

from dataclasses import replace
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest
from conftest import ROOT

from llmsched_mip import read_plan
from llmsched_mip.errors import SchedulingError


def script(name):
    module = module_from_spec(spec_from_loader(name, SourceFileLoader(name, str(ROOT / "scripts" / name))))
    module.__spec__.loader.exec_module(module)
    return module


UPDATE = script("update_best")
FOLDERS = [ROOT / "instances" / name for name in UPDATE.FOLDERS]


def test_the_script_writes_the_same_bytes(tmp_path):
    script("make_libraries").write_all(tmp_path)
    for folder in FOLDERS:
        names = sorted(path.name for path in folder.glob("*.json"))
        assert names == sorted(path.name for path in (tmp_path / folder.name).glob("*.json"))
        for name in names:
            assert (folder / name).read_bytes() == (tmp_path / folder.name / name).read_bytes(), name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_entry_holds(folder):
    table = UPDATE.read_table(folder)
    known = UPDATE.instances(folder)
    assert {instance.name for instance in known} >= table.keys()
    for instance in known:
        if instance.name in table:
            assert UPDATE.faults(folder, instance, table[instance.name]) == []


def first_entry():
    folder = FOLDERS[0]
    instance = UPDATE.instances(folder)[0]
    return folder, instance, UPDATE.read_table(folder)[instance.name]


def test_a_wrong_entry_is_found():
    folder, instance, entry = first_entry()
    assert UPDATE.faults(folder, instance, entry._replace(value=entry.value * 1.01))
    assert UPDATE.faults(folder, instance, entry._replace(bound=entry.value * 1.01))
    assert UPDATE.faults(folder, instance, None) == ["not in the table"]


def test_only_a_better_value_or_bound_replaces():
    folder, instance, entry = first_entry()
    plan = read_plan(UPDATE.plan_path(folder, instance.name), instance)
    assert UPDATE.better(instance, entry, plan) == (None, False)
    worse = entry._replace(value=entry.value * 1.1, bound=0.9 * entry.bound)
    new, keep = UPDATE.better(instance, worse, plan)
    assert keep and new.value == entry.value
    half = plan.claims.value * 0.5
    lower = replace(plan, claims=replace(plan.claims, bound=half, bounds={"x": half}, gap=0.5, status="feasible"))
    assert UPDATE.better(instance, entry, lower) == (None, False)
    with pytest.raises(SchedulingError, match="below"):
        UPDATE.better(instance, entry._replace(value=entry.value * 2, bound=entry.value * 1.5), plan)
