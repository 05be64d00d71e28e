"""Links of README and docs lead somewhere, and a link that leads nowhere is found."""

from __future__ import annotations

import runpy

import pytest
from conftest import ROOT

LINKS = runpy.run_path(str(ROOT / "scripts" / "links"))
PAGES = LINKS["markdown_files"]()


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_of_a_page(page):
    assert list(LINKS["dead"](page)) == []


def test_what_is_dead_and_what_is_not(tmp_path):
    (tmp_path / "b.md").write_text("# A `b`, c\n\n# Two\n\n# Two\n\n#### Four\n")
    live = ["b.md", "b.md#a-b-c", "b.md#two", "b.md#two-1", ".", "#one", "https://example.org/no#no", "mailto:a@b"]
    dead = ["c.md", "b.md#two-2", "b.md#four", "#two", "../no.svg"]
    links = "\n\n".join(f"![x]({link}) and [y]({link})" for link in live + dead)
    page = tmp_path / "a.md"
    page.write_text(f"# One\n\n{links}\n\n`[no](no.md)`\n\n    [no](no.md)\n\n| a |\n|---|\n| [t](t.md) |\n")
    assert [found.split(": ")[0] for found in LINKS["dead"](page)] == [link for link in dead for _ in "12"] + ["t.md"]


def test_html_pages(tmp_path):
    (tmp_path / "b.html").write_text("<p id=there>")
    (tmp_path / "a.html").write_text('<a href="b.html#there"><a href="b.html#where"><img src="c%20d.png"><a href="#">')
    (tmp_path / "c d.png").touch()
    assert list(LINKS["dead"](tmp_path / "a.html")) == ["b.html#where: no such place in it"]
