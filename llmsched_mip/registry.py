"""Registries: names to what they stand for, imported when it is asked for and not before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Registry(MutableMapping[str, T], Generic[T]):
    """Names to objects; listing the names, and whether one is there, imports nothing.

    Parameters
    ----------
    package : str
        Package that the places are relative to.
    places : mapping of str to str
        Name to ``module:attribute``, in the order in which the names are listed.
    """

    def __init__(self, package: str, places: Mapping[str, str]):
        self._package = package
        self._places: dict[str, str | None] = dict(places)
        self._found: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._found:
            place = self._places[name]
            if place is None:
                raise KeyError(name)
            module, _, attribute = place.partition(":")
            self._found[name] = cast(T, getattr(import_module(f"{self._package}.{module}"), attribute))
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __setitem__(self, name: str, value: T) -> None:
        self._places.setdefault(name, None)
        self._found[name] = value

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._found.pop(name, None)

    def __repr__(self) -> str:
        return f"Registry({', '.join(self)})"

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
