"""`llmsched compile`: the machine code of all searches, once on a machine."""

from __future__ import annotations

from time import monotonic
from typing import Annotated

import typer

from llmsched_mip import methods
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson


def compile_(
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing.")] = False,
) -> None:
    """Compile the searches now, once on this machine, so that no solve waits for it."""
    began = monotonic()
    if not quiet:
        console.note("llmsched compile: compiling what is not in the cache, about a minute or two the first time")
    functions = methods.compile_kernels()
    seconds = monotonic() - began
    if as_json:
        console.emit_json({"functions": functions, "seconds": seconds})
    elif not quiet:
        console.emit(f"{functions} functions compiled in {seconds:.1f} s; what is in the cache was left as it is")
