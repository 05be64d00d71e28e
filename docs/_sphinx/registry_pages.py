"""A page for every bound, model, relaxation, policy, method and public name, from its docstring."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import llmsched_mip
from llmsched_mip import methods, models, relaxations
from llmsched_mip.bounds import BOUNDS
from llmsched_mip.policies import POLICIES

Page = tuple[str, list[str]]


def write_pages(folder: Path) -> None:
    """Write all pages; those that are as they should be keep their date, those of things that are gone go."""
    kinds = {
        "bounds": _of_registry(BOUNDS),
        "policies": _of_registry(POLICIES),
        "methods": _of_package(methods.__name__, methods.__path__),
        "models": _of_package(models.__name__, models.__path__),
        "relaxations": _of_package(relaxations.__name__, relaxations.__path__),
        "api": _of_names(llmsched_mip.__all__),
    }
    for kind, pages in kinds.items():
        written = {folder / kind / f"{name}.md": _page(name, modules) for name, modules in pages}
        for old in set((folder / kind).glob("*.md")) - set(written):
            old.unlink()
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, text)
    names = "\n".join(f"   llmsched_mip.{name}" for name in sorted(llmsched_mip.__all__))
    _write(folder / "api_table.md", f"```{{eval-rst}}\n.. autosummary::\n   :nosignatures:\n\n{names}\n```\n")


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _page(name: str, directives: list[str]) -> str:
    blocks = "\n\n".join(directives)
    return f"# {name}\n\n```{{eval-rst}}\n{blocks}\n```\n"


def _of_registry(registry: Mapping[str, object]) -> Iterable[Page]:
    """The function or class of each entry, after the text of its file."""
    for name, entry in registry.items():
        module = inspect.getmodule(entry)
        assert module is not None
        kind = "autoclass" if inspect.isclass(entry) else "autofunction"
        yield (
            name,
            [
                f".. automodule:: {module.__name__}\n   :no-index:",
                f".. {kind}:: {module.__name__}.{entry.__name__}",  # type: ignore[attr-defined]
            ],
        )


def _of_package(package: str, folders: Iterable[str]) -> Iterable[Page]:
    """All files below a package that say more than a line of themselves, with what they define."""
    for found in pkgutil.walk_packages(folders, f"{package}."):
        module = import_module(found.name)
        if "\n" in (module.__doc__ or ""):
            yield found.name.removeprefix(f"{package}."), [f".. automodule:: {found.name}\n   :members:"]


def _of_names(names: Iterable[str]) -> Iterable[Page]:
    """The public names of the package, each under the name by which it is imported."""
    for name in names:
        found = getattr(llmsched_mip, name)
        if inspect.ismodule(found):
            yield name, [f".. automodule:: {found.__name__}\n   :members:"]
        else:
            kind = "autoclass" if inspect.isclass(found) else "autofunction"
            members = "\n   :members:" if kind == "autoclass" else ""
            yield name, [f".. {kind}:: llmsched_mip.{name}{members}"]
