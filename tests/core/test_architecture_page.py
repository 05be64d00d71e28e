"""The walks of docs/architecture.md lead through files and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = re.findall(r"`([\w/]+\.py)(?::\s+([\w.]+))?[^`]*`", (ROOT / "docs" / "architecture.md").read_text())


@pytest.mark.parametrize(("file", "name"), sorted(set(PLACES)))
def test_a_place_on_a_walk_exists(file, name):
    path = next((folder / file for folder in (ROOT / "llmsched_mip", ROOT) if (folder / file).is_file()), None)
    assert path is not None
    for part in filter(None, name.split(".")):
        assert re.search(rf"^\s*(def|class) {part}\b|\b{part}\b *[:=]", path.read_text(), re.MULTILINE), part
