"""`llmsched study`: runs a study, or exports its ledger."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched_mip import study as studies
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, Scheduler, at_least, require_known
from llmsched_mip.cli.progress import watcher
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.limits import MOST_THREADS
from llmsched_mip.study.engines import ENGINES
from llmsched_mip.texts import percent_text, seconds_text

if TYPE_CHECKING:
    from llmsched_mip.study.run import Summary


def study(
    study_path: Annotated[Path | None, typer.Argument(metavar="[STUDY.toml]", help="Study file.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the study: ledger, plans, exports.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue: run the cases that have no result.")] = False,
    engine_name: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Where cases run: local (processes) or dask.")
    ] = "local",
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="Worker processes; default one for each core.")
    ] = None,
    scheduler: Scheduler = None,
    export: Annotated[bool, typer.Option("--export", help="Write results.parquet and results.csv into DIR.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run many cases, each recorded as soon as it is done; --export alone writes the tables of a ledger."""
    if folder is None:
        raise InvalidInputError("--out", "missing: the folder of the study")
    if study_path is None and not export:
        raise InvalidInputError("STUDY.toml", "missing: a study file, or --export for a study that has run")
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError("--out", f"{folder} is a file, expected a folder")
    at_least("--jobs", jobs, 1, MOST_THREADS)
    done = None if study_path is None else _run(study_path, folder, resume, engine_name, jobs, scheduler)
    if done is not None and not as_json:
        console.emit(_summary_table(folder))
    files = studies.export_study(folder) if export else []
    for path in files:
        console.note(f"wrote {path}")
    if as_json:
        counts: dict[str, int | None] = dict.fromkeys(("cases", "recorded", "new"))
        if done is not None:
            counts = {"cases": done.total, "recorded": done.recorded, "new": done.new}
        written = [str(path) for path in files]
        console.emit_json({"folder": str(folder), **counts, "rows": _summary_rows(folder), "files": written})


def _run(path: Path, folder: Path, resume: bool, engine_name: str, jobs: int | None, scheduler: str | None) -> Summary:
    require_known("--engine", engine_name, ENGINES)
    engine = ENGINES[engine_name](jobs=jobs, scheduler=scheduler)
    definition = studies.read_study(path)
    try:
        done = studies.run_study(definition, folder, engine, watcher(), resume)
    except KeyboardInterrupt:
        again = ["llmsched", "study", str(path), "--out", str(folder), "--resume"]
        if engine_name != "local":
            again += ["--engine", engine_name]
        if scheduler is not None:
            again += ["--scheduler", scheduler]
        console.note(f"llmsched study: what was recorded is kept; continue with: {shlex.join(again)}")
        raise
    console.note(f"{folder}: {done.recorded} of {done.total} cases recorded, {done.new} by this run")
    return done


def _summary_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of the table as plain values, null where there is none."""
    lines = studies.summary(folder)
    return [
        {key: None if value != value else value for key, value in line.items()} for line in lines.to_dict("records")
    ]


def _summary_table(folder: Path) -> str:
    """A line for each row of the study, objective and time limit."""
    head = ["row", "lengths", "objective", "limit s", "results", "failed", "mean value", "mean gap", "utilization"]
    lines = [
        [
            str(line.row),
            str(line.lengths),
            str(line.objective),
            f"{line.time_limit_s:g}",
            str(line.results),
            str(line.failed),
            seconds_text(line.value),
            percent_text(line.gap, 3),
            percent_text(line.utilization),
            seconds_text(line.seconds),
        ]
        for line in studies.summary(folder).itertuples()
    ]
    return console.table(lines, [*head, "mean seconds"])
