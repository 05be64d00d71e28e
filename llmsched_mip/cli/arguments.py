"""Arguments of the command line: their types, the names that they may have, and their checks."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.names import OBJECTIVES

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.workload.fleet import Limit

InstancePath = Annotated[
    Path, typer.Argument(metavar="INSTANCE", help="Instance file, .json or .json.gz, or example:NAME.")
]
ObjectiveName = Annotated[str | None, typer.Option("--objective", metavar="NAME", help="makespan or total_completion.")]
TimeLimit = Annotated[float | None, typer.Option("--time-limit", metavar="S", help="Wall time, seconds (solve: 20).")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of random numbers, ≥ 0.")]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="Where parts of several workers run: local or dask.")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://node:8786.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="INSTANCE", help="Instance file to write.")]

Workers = Annotated[int, typer.Option("--workers", metavar="N", help="Number of workers of that kind.")]
KvCapacity = Annotated[
    str | None, typer.Option("--kv-capacity", metavar="N", help="KV tokens for the worker's; none: no limit.")
]
PrefillCap = Annotated[
    str | None,
    typer.Option(
        "--prefill-cap",
        metavar="N",
        help="Most prompt tokens of a prefill iteration; none: no limit; engine: that of the named deployment.",
    ),
]
DropUnfit = Annotated[bool, typer.Option("--drop-unfit", help="Leave out the requests that fit no worker.")]


def limit_of(option: str, text: str | None) -> Limit:
    """A number of tokens, ``none``, for a prefill cap ``engine``; None where nothing is given."""
    words = ("none", "engine") if option == "--prefill-cap" else ("none",)
    if text is None or text in words:
        return text  # type: ignore[return-value]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= MOST_LIMIT):
        expected = f"a number of tokens from 1 to {MOST_LIMIT} or {' or '.join(words)}"
        raise InvalidInputError(option, f"expected {expected}, got {text!r}")
    return int(text)


def listed(known: Iterable[str]) -> str:
    """Names in a registry for a help text."""
    return f" One of {', '.join(known)}."


def require_known(field: str, value: str, known: Collection[str]) -> None:
    """Raise `InvalidInputError` with the known names for a name that is not in a registry."""
    if value not in known:
        raise InvalidInputError(field, f"unknown {value!r}, expected one of {', '.join(known)}")


def given_command() -> str:
    """The command as it was given, without the folder of the program."""
    return readable(shlex.join(["llmsched", *sys.argv[1:]]))


def objective_name(name: str | None, instance: Instance) -> str:
    """Objective by its name, with hyphens or underscores; the instance's without one."""
    if name is None:
        return instance.objective
    if name.replace("-", "_") not in OBJECTIVES:
        raise InvalidInputError("--objective", f"expected one of {', '.join(OBJECTIVES)}, got {name!r}")
    return name.replace("-", "_")


def at_least(option: str, value: float | None, least: float, most: int | None = None) -> None:
    """Raise `InvalidInputError` for a number that is not finite, below `least` or above `most`; None is allowed."""
    if value is None or ((isinstance(value, int) or math.isfinite(value)) and least <= value <= (most or value)):
        return
    expected = f"a finite number ≥ {least:g}" if most is None else f"a number from {least:g} to {most}"
    raise InvalidInputError(option, f"expected {expected}, got {value}")


def hyphens(arguments: list[str]) -> list[str]:
    """Long options are accepted with underscores too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [_hyphen(argument) for argument in arguments[:end]] + arguments[end:]


def _hyphen(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument
