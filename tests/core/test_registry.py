"""Registries: names in their order, objects when they are asked for."""

from __future__ import annotations

import sys

import pytest

from llmsched_mip.bounds import BOUNDS
from llmsched_mip.methods import METHODS
from llmsched_mip.models import MODELS, SIZES
from llmsched_mip.policies import OPTIONS, POLICIES
from llmsched_mip.registry import Registry
from llmsched_mip.workload import FAMILIES, IMPORTERS


@pytest.mark.parametrize("registry", [BOUNDS, FAMILIES, IMPORTERS, METHODS, MODELS, OPTIONS, POLICIES, SIZES])
def test_every_name_stands_for_something(registry):
    assert len(registry) == len(list(registry)) > 0
    for name in registry:
        assert callable(registry[name]) and name in registry


def test_families_go_by_the_names_in_their_files():
    assert all(FAMILIES[name].name == name for name in FAMILIES)


def test_nothing_is_imported_before_it_is_asked_for():
    places = {"colour": "colorsys:rgb_to_hsv", "missing": "nowhere:nothing"}
    registry = Registry("llmsched_mip", places)
    assert list(registry) == ["colour", "missing"] and "llmsched_mip.nowhere" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        registry["missing"]
    with pytest.raises(KeyError):
        registry["unknown"]
    registry["own"] = 7
    assert registry["own"] == 7 and list(registry) == ["colour", "missing", "own"]
    del registry["own"]
    assert "own" not in registry
