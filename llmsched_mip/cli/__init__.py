"""The command line (docs/problem.md, section 8): arguments to calls and results to text, one command a file.

The file of a command is imported when the command is chosen, so that help and checks start at once; it imports the
packages that it needs at its top, whose names are lazy themselves.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llmsched_mip import __version__, errors
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import hyphens
from llmsched_mip.cli.exit_code import answer
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io import streams

COMMANDS = {
    "solve": "Find a plan and a bound; one log line per improvement on standard error.",
    "bound": "Print every proven lower bound and say which one binds.",
    "replay": "Execute a policy event by event and measure the schedule.",
    "check": "Validate an instance, or a plan for it: every violation, or the measures.",
    "generate": "Generate an instance of a family; equal arguments give equal files.",
    "import": "Make an instance of a trace file: CSV, Azure, BurstGPT, Mooncake, vLLM, SGLang, OpenAI batch.",
    "worker": "List the named deployments, show one, or write a worker file of one's own.",
    "calibrate": "Fit a worker file to measured iterations: mixed and exclusive times from one timing table.",
    "export": "Write a model for any solver, with readable names; its optimum is the best plan's value.",
    "report": "Write one self-contained page (or tables) of studies and plans: gaps, convergence, schedules.",
    "gantt": "Draw a plan: a lane a slot, a bar a request, prefill iterations, KV use and slots over time.",
    "handover": "Hand over a plan's order: a table, priorities for vLLM, or a batch file's lines, one file a worker.",
    "train": "Train a learned policy on the simulator, for `replay --policy learned:FILE`.",
    "size": "How many workers a deadline takes: the fewest with a plan, the most that provably cannot, cost.",
    "read-solution": "Read the solution of an exported model, solved elsewhere, as a plan.",
    "study": "Run many cases, each recorded as soon as it is done; --export alone writes the tables of a ledger.",
    "examples": "List the instances that ship with the package; example:NAME stands wherever INSTANCE does.",
    "compile": "Compile the searches now, once on this machine, so that no solve waits for it.",
    "schema": "Print the JSON schema of instance, plan or worker files, or of what a command prints with --json.",
}
"""Name of a command, which is also that of its file and its function, to its help."""


def _command(name: str) -> Any:
    """The command of the file of this name (``import_.py`` for ``import``: Python has taken some)."""
    place = name.replace("-", "_") + "_" * (iskeyword(name) or name in dir(builtins))
    alone = typer.Typer(add_completion=False)
    alone.command(name, help=COMMANDS[name])(getattr(import_module(f"{__name__}.{place}"), place))
    return typer.main.get_command(alone)


class _LazyGroup(TyperGroup):
    """Lists commands by `COMMANDS` alone, and imports the one that is chosen."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and the arguments that are left."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else _command(name), rest


app = typer.Typer(
    name="llmsched",
    cls=_LazyGroup,
    help="Offline MIP optimization for LLM inference scheduling: plans, proven bounds, gaps and replays.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        console.emit(f"llmsched {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise InvalidInputError("", "a command is missing, see llmsched --help")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `llmsched_mip.errors`)."""
    with streams.standing():
        code = answer(lambda: _run(hyphens(sys.argv[1:] if arguments is None else arguments)))
        lost = answer(streams.finish)
        return lost or code


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="llmsched", standalone_mode=False)
    except SystemExit as error:
        # What prints help texts ends the program with code 1 when nobody reads them.
        if isinstance(error.__context__, BrokenPipeError):
            raise errors.OutputError from None
        raise
    if code == errors.EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else errors.EXIT_DONE
