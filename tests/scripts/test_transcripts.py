"""What the pages print is what the commands print; the picture of a request's life is that of its plan."""

from __future__ import annotations

import runpy

import pytest
from conftest import ROOT

TRANSCRIPTS = runpy.run_path(str(ROOT / "scripts" / "transcripts"))
PAGES = TRANSCRIPTS["pages"]()


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_prints_what_its_commands_print(page):
    assert TRANSCRIPTS["comparable"](TRANSCRIPTS["run"](page)) == TRANSCRIPTS["comparable"](page.read_text())


def test_only_wall_times_may_differ():
    same = TRANSCRIPTS["comparable"]
    assert same("time   1.03 s\nmakespan  2.0 s") == same("time   9.20 s\nmakespan  2.0 s")
    assert same("makespan  2.0 s") != same("makespan  2.1 s")


def test_the_picture_of_a_life_is_that_of_the_plan():
    picture = runpy.run_path(str(ROOT / "docs" / "_sphinx" / "life_picture.py"))
    assert picture["life_svg"](*picture["picture_plan"]()) == (ROOT / "docs" / "life.svg").read_text()
