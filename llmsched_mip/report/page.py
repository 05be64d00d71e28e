"""The page: one self-contained HTML file of a report, or of a Gantt chart alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llmsched_mip import __version__
from llmsched_mip.report.charts import all_charts
from llmsched_mip.report.columns import Column, Table
from llmsched_mip.report.data import Report
from llmsched_mip.report.formats import data_columns, packed
from llmsched_mip.report.palette import page_css
from llmsched_mip.report.sources import json_text
from llmsched_mip.report.stochastic import TEXT, stochastic_figures
from llmsched_mip.report.tables import all_tables

GANTT_SCRIPTS = ("theme.js", "gantt_model.js", "gantt_draw.js", "gantt_view.js", "main.js")
PAGE_SCRIPTS = ("tables.js", "download.js", "charts.js", *GANTT_SCRIPTS)
MOST_LINES, FILTER_FROM = 2000, 15
SEEDS_SHOWN = 12


def report_page(report: Report, command: str = "") -> str:
    """The whole page as HTML text; nothing in it is fetched from elsewhere."""
    from plotly.offline import get_plotlyjs

    tables = {table.key: table for table in all_tables(report)}
    charts = all_charts(report)
    title = _title(report)
    data = {
        "columns": packed(data_columns(report.rows)),
        "file": (re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or "report") + ".csv",
        "charts": charts,
        "schedules": report.schedules,
    }
    return _render(
        "page.html.j2",
        PAGE_SCRIPTS,
        title=title,
        command=command,
        data=Markup(json_text(data)),
        libraries=[Markup(get_plotlyjs())] if charts else [],
        charts=charts,
        sections=_sections(report, tables, charts),
        figures=_figures(report),
        lead=_lead(report),
        facts=_facts(report),
        notes=report.notes,
        studies=report.studies,
    )


def gantt_page(document: dict[str, Any], command: str = "") -> str:
    """The Gantt chart alone as HTML text."""
    data = Markup(json_text({"schedules": [document]}))
    return _render("gantt.html.j2", GANTT_SCRIPTS, title=document["title"], command=command, data=data, libraries=[])


def _render(template: str, scripts: Iterable[str], **values: Any) -> str:
    folder = resources.files("llmsched_mip.report") / "templates"
    environment = Environment(
        loader=PackageLoader("llmsched_mip.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in scripts)
    css = page_css() + (folder / "style.css").read_text(encoding="utf-8")
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(
        version=__version__, written=written, css=Markup(css), script=Markup(script), **values
    )


def _title(report: Report) -> str:
    names = list(dict.fromkeys(study.name for study in report.studies if study.name))
    if names:
        return ", ".join(names)
    instances = list(dict.fromkeys(report.rows["instance"]))
    return ", ".join(instances[:3]) + (" and others" if len(instances) > 3 else "")


def _sections(report: Report, tables: dict[str, Table], charts: dict[str, Any]) -> list[dict[str, Any]]:
    """Sections that have something to show, in the order of the page."""
    wanted: list[tuple[str, str, str, list[str], list[str], bool]] = [
        ("summary", "Summary", "", ["summary"], [], False),
        (
            "gaps",
            "Lower-bound gaps",
            "A bound is a proven lower bound on the objective; the picture stacks the bounds, weakest first: each part "
            "is what a bound adds to the weaker ones, and the last is open.",
            ["gaps"],
            ["breakdown"],
            True,
        ),
        ("stochastic", "Planned without seeing the lengths", TEXT, ["stochastic"], [], False),
        ("convergence", "Convergence", "", [], ["convergence", "gaps-over-time"], True),
        ("methods", "Methods compared", "", ["means"], ["profile-value", "profile-time"], False),
        ("seeds", "Spread over cases", "", [], ["box-makespan", "box-utilization", "box-gap"], False),
        ("schedules", "Schedules", "", [], [], False),
        ("failures", "Cases without a result", "", ["failures"], [], False),
    ]
    sections = []
    for key, title, text, table_names, chart_names, wide in wanted:
        shown = [_table(tables[name]) for name in table_names if name in tables]
        drawn = [name for name in chart_names if name in charts]
        gantt = key == "schedules" and bool(report.schedules)
        if shown or drawn or gantt:
            sections.append(
                {
                    "key": key,
                    "title": title,
                    "text": text,
                    "tables": shown,
                    "charts": drawn,
                    "wide": wide or len(drawn) == 1,
                    "gantt": gantt,
                }
            )
    return sections


def _table(table: Table) -> dict[str, Any]:
    note = table.note
    if len(table.rows) > MOST_LINES:
        note = f"The first {MOST_LINES} of {len(table.rows)} rows; the CSV file has all. {note}"
    return {
        "key": table.key,
        "title": table.title,
        "note": note,
        "filtered": len(table.rows) > FILTER_FROM,
        "columns": [{"head": column.head, "number": column.digits is not None} for column in table.columns],
        "lines": [
            [_cell(column, value) for column, value in zip(table.columns, line, strict=True)]
            for line in table.rows[:MOST_LINES]
        ],
    }


def _cell(column: Column, value: Any) -> dict[str, Any]:
    if column.digits is None:
        return {"text": column.text(value), "style": "long" if column.name == "error" else "name", "value": None}
    number = value[0] if isinstance(value, tuple) else value
    missing = number is None or number != number
    return {"text": column.text(value), "style": "number", "value": "" if missing else repr(float(number))}


def _figures(report: Report) -> list[tuple[str, str]]:
    """The few numbers on top."""
    rows = report.rows
    gaps = rows["gap_value"].dropna()
    best = rows.groupby("identity")["gap_value"].min().dropna()
    optimal = int((rows["status"] == "optimal").sum())
    found = [("instances", str(rows["identity"].nunique())), ("results", str(int(rows["value"].notna().sum())))]
    failed = int(report.done["value"].isna().sum())
    found += [("without a result", str(failed))] if failed else []
    if len(gaps):
        found += [
            ("median gap of the best row", f"{100 * best.median():.2f} %"),
            ("largest gap of the best row", f"{100 * best.max():.2f} %"),
        ]
    if optimal:
        found.append(("proven optimal", str(optimal)))
    closures = rows.groupby("series", sort=False)["closure"].mean().dropna()
    if len(closures) and closures.max() > 0:
        found.append((f"gap closed by {closures.round(6)[::-1].idxmax()}, mean", f"{100 * closures.max():.1f} %"))
    return found + stochastic_figures(report)


def _lead(report: Report) -> str:
    """One line under the title: what ran, seeds, days, and by which versions."""
    rows = report.rows
    families = [family for family in dict.fromkeys(rows["family"]) if family]
    seeds = _seeds(rows)
    parts = [" and ".join(families) + (f", seeds {seeds}" if seeds else "")] if families else []
    days = sorted({time[:10] for column in ("started", "finished") for time in rows[column] if time})
    parts += [days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"] if days else []
    parts += list(dict.fromkeys(_versions(packages) for packages in rows["versions"] if packages))
    return " · ".join(parts)


def _versions(packages: dict[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def _facts(report: Report) -> list[tuple[str, str]]:
    """Where the data comes from: names, dates, seeds, versions, machines."""
    rows = report.rows
    facts = [("Study" if report.studies else "Plan", ", ".join(dict.fromkeys(rows["source"])))]
    families = [family for family in dict.fromkeys(rows["family"]) if family]
    facts += [("Families", ", ".join(families))] if families else []
    seeds = _seeds(rows)
    facts += [("Seeds", seeds)] if seeds else []
    facts += [("Study begun", study.created) for study in report.studies if study.created]
    times = sorted(time for column in ("started", "finished") for time in rows[column] if time)
    facts += [("Runs", f"{times[0]} to {times[-1]}")] if times else []
    facts += [
        ("Versions", text) for text in dict.fromkeys(_versions(packages) for packages in rows["versions"] if packages)
    ]
    hosts = [host for host in dict.fromkeys(rows["host"]) if host]
    facts += [("Machines", ", ".join(hosts))] if hosts else []
    facts += [("Study digest", study.digest) for study in report.studies if study.digest]
    digests = list(dict.fromkeys(digest for digest in rows["instance_digest"] if digest))
    facts += [("Instance", digest) for digest in digests] if len(digests) <= 3 else []
    return facts


def _seeds(rows: pd.DataFrame) -> str:
    seeds = np.unique(rows["seed"].dropna().to_numpy()).astype(np.int64).tolist()
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    more = f" and {len(seeds) - SEEDS_SHOWN} more" if len(seeds) > SEEDS_SHOWN else ""
    return ", ".join(str(seed) for seed in seeds[:SEEDS_SHOWN]) + more
