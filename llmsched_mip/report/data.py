"""The data of a report: rows of all studies and plans in one table, with best bounds, gaps and closures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmsched_mip.errors import InvalidPlanError, SchedulingError
from llmsched_mip.evaluation import evaluate, require_feasible
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import read_plan
from llmsched_mip.io.storage import readable
from llmsched_mip.plan import Plan
from llmsched_mip.report.gantt import gantt_document
from llmsched_mip.report.sources import Instances, is_study, plan_paths, read_plan_and_instance
from llmsched_mip.stochastic_values import StochasticValues
from llmsched_mip.study import read_head, read_ledger
from llmsched_mip.tolerance import RELATIVE_TOLERANCE

TEXTS = (
    "source", "key", "instance", "instance_digest", "family", "file", "row", "series", "method", "policy", "lengths",
    "objective", "status", "bound_name", "plan", "error", "host", "started", "finished",
)  # fmt: skip
NUMBERS = (
    "seed", "time_limit_s", "value", "bound", "gap", "seconds", "makespan", "total_completion", "mean_latency",
    "p99_latency", "utilization", "prefill_iterations", "decode_rounds", "evictions", "kv_peak",
)  # fmt: skip
MOST_CHARTS = 8
MOST_BARS = 60_000
NOT_RUN = "not run"
BASELINES = ("fcfs", "baseline")


@dataclass
class Study:
    """What the head of the page says of one study."""

    name: str
    command: str
    created: str
    digest: str
    definition: str


@dataclass
class Report:
    """All that a page shows.

    Parameters
    ----------
    rows : DataFrame
        One line per result: the ledger's columns, and ``source``, ``series`` (label), ``case`` (rows with the same
        case are compared), ``best_bound``, ``best_bound_name``, ``gap_value``, ``gap_bound``, ``closure``.
    studies : list of Study
    schedules : list of dict
        Gantt documents.
    notes : list of str
        What is missing, and why.
    stochastic : list of (str, StochasticValues)
        Of plans that were made without seeing the lengths: the instance, and what was expected.
    """

    rows: pd.DataFrame
    studies: list[Study] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stochastic: list[tuple[str, StochasticValues]] = field(default_factory=list)

    @property
    def done(self) -> pd.DataFrame:
        """Rows that have run, failed ones among them."""
        return self.rows[self.rows["status"] != NOT_RUN]

    @property
    def series(self) -> list[str]:
        """Labels in the order of the ledger."""
        return list(dict.fromkeys(self.rows["series"]))


def read_report(paths: list[Path], given: list[Path]) -> Report:
    """Read studies and plans; `given` are instance files that plans may need.

    Raises
    ------
    SchedulingError
        One line: a folder without a ledger, an unreadable file, a plan that breaks the model or fits no instance.
    """
    instances, report, frames = Instances(given), Report(pd.DataFrame()), []
    for path in paths:
        if is_study(path):
            frames.append(_study_rows(path, report, instances))
        else:
            frames.append(_plan_row(path, report, instances))
    report.rows = complete(pd.concat(frames, ignore_index=True))
    missing = len(report.rows) - len(report.done)
    if missing:
        report.notes.insert(0, f"{missing} of {len(report.rows)} results are not there yet: a study is not finished.")
    above = report.rows["best_bound"] > report.rows["value"] * (1 + RELATIVE_TOLERANCE)
    for _, row in report.rows[above].iterrows():
        report.notes.append(
            f"{row['instance']}, {row['series']}: the bound {row['best_bound_name']} of {row['best_bound']:.6g} lies "
            f"above the value {row['value']:.6g}: one of them is wrong."
        )
    return report


def _study_rows(folder: Path, report: Report, instances: Instances) -> pd.DataFrame:
    study = {key: "" if value is None else str(value) for key, value in read_head(folder).items()}
    named = [study.get(key, "") for key in ("name", "command", "created", "digest", "definition")]
    report.studies.append(Study(*named))
    rows = read_ledger(folder)
    rows["source"] = study.get("name", "")
    _study_charts(folder, rows, report, instances)
    return rows


def _study_charts(folder: Path, rows: pd.DataFrame, report: Report, instances: Instances) -> None:
    """Charts of the first plans that were kept; a plan that can't be drawn is a note, the rest stands."""
    kept = rows[rows["plan"].notna()]
    for k, path in enumerate(plan_paths(folder, kept["plan"])):
        row = {str(key): value for key, value in kept.iloc[k].items()}
        if len(report.schedules) >= MOST_CHARTS:
            report.notes.append(f"{len(kept)} plans were kept; the first {k} of them are drawn.")
            return
        title = f"{row['row']} on {row['instance']}"
        try:
            if path is None:
                raise InvalidPlanError(f"plan file name {row['plan']!r}: expected a plain name")
            instance = instances.generated(row)
            if instance is None:
                report.notes.append(f"No chart of {title}: its instance was not found.")
                continue
            _draw(report, instance, read_plan(path, instance), title)
        except SchedulingError as error:
            report.notes.append(f"No chart of {title}: {error}.")


def _draw(report: Report, instance: Instance, plan: Plan, title: str) -> None:
    drawn = sum(len(worker["bars"]["id"]) for document in report.schedules for worker in document["workers"])
    if drawn + instance.n > MOST_BARS:
        report.notes.append(f"No chart of {title}: {instance.n:,} more requests would make the page too large.")
        return
    report.schedules.append(gantt_document(instance, plan, title))


def _plan_row(path: Path, report: Report, instances: Instances) -> pd.DataFrame:
    plan, instance = read_plan_and_instance(path, instances)
    row: dict[str, Any] = {name: getattr(plan, name) for name in ("instance", "instance_digest", "method", "objective")}
    row |= asdict(plan.claims)
    row |= {"source": readable(path.name), "row": plan.method, "trace": [], "evictions": 0}
    row |= {"versions": {}, "options": {}}
    if plan.stochastic is not None:
        report.stochastic.append((plan.instance, plan.stochastic))
    row["bound_name"] = max(plan.claims.bounds, key=lambda name: plan.claims.bounds[name], default=None)
    if instance is None:
        report.notes.append(
            f"No chart of {path.name}: its instance {plan.instance!r} is not beside it nor in instances/; "
            f"name it with --instance. Its figures are those that the file claims."
        )
        return pd.DataFrame([row])
    evaluation = evaluate(instance, plan)
    require_feasible(evaluation, str(path))
    measures = evaluation.measures.as_dict()
    row |= {name: measures[name] for name in NUMBERS if name in measures}
    row["value"] = evaluation.measures.objective(plan.objective)
    _draw(report, instance, plan, f"{plan.method} on {instance.name}")
    return pd.DataFrame([row])


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Clean the columns of a ledger and add what is compared across rows (see `Report`)."""
    rows = rows.reset_index(drop=True).copy()
    for name in TEXTS:
        rows[name] = _texts(rows[name]) if name in rows else ""
    for name in NUMBERS:
        values = pd.to_numeric(rows[name], errors="coerce") if name in rows else np.nan
        rows[name] = pd.Series(values, index=rows.index, dtype=np.float64).replace([np.inf, -np.inf], np.nan)
    for name, kind in (("bounds", dict), ("versions", dict), ("options", dict), ("trace", list)):
        given = rows[name] if name in rows else pd.Series([None] * len(rows))
        rows[name] = [value if isinstance(value, kind) else kind() for value in given]
    completion = np.isclose(rows["value"], rows["total_completion"]) & ~np.isclose(rows["value"], rows["makespan"])
    by_value = np.where(completion, "total_completion", "makespan")
    rows["objective"] = rows["objective"].where(rows["objective"] != "", by_value)
    rows["status"] = rows["status"].where(rows["status"] != "", NOT_RUN)
    rows["series"] = _series(rows)
    rows["case"] = _joined(rows, ("instance", "instance_digest", "seed", "objective"))
    rows["identity"] = _joined(rows, ("instance_digest", "objective"))
    unknown = rows["instance_digest"] == ""
    rows.loc[unknown, "identity"] = rows.loc[unknown, "case"]
    return _compared(_bounded(rows))


def _texts(values: pd.Series) -> pd.Series:
    plain = ["" if value is None or value is pd.NA or value != value else str(value) for value in values.tolist()]
    return pd.Series(plain, index=values.index, dtype=object)


def _joined(rows: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    columns = (rows[name].tolist() for name in names)
    return pd.Series(["\x1f".join(map(str, line)) for line in zip(*columns, strict=True)], index=rows.index)


def _series(rows: pd.DataFrame) -> pd.Series:
    """The label of every row, with what tells rows of the same label apart."""
    label = rows["row"].where(rows["row"] != "", rows["policy"]).where(lambda text: text != "", rows["method"])
    shown = label.copy()
    for name, suffix in (("lengths", "{}"), ("time_limit_s", "{:g} s")):
        several = rows.groupby(label)[name].transform("nunique") > 1
        shown = shown.where(~several, shown + ", " + rows[name].map(suffix.format))
    return shown


def _bounded(rows: pd.DataFrame) -> pd.DataFrame:
    """The best bound that any row proves holds for every row of the same instance and objective."""
    best: dict[str, tuple[float, str]] = {}
    for identity, bound, name, bounds in zip(
        rows["identity"], rows["bound"], rows["bound_name"], rows["bounds"], strict=True
    ):
        found = {str(bound_name): value for bound_name, value in bounds.items() if isinstance(value, int | float)}
        if np.isfinite(bound) and bound > max(found.values(), default=-np.inf):
            found[name or "bound"] = bound
        for bound_name, value in found.items():
            if np.isfinite(value) and value > best.get(identity, (-np.inf, ""))[0]:
                best[identity] = float(value), bound_name
    pairs = [best.get(identity, (np.nan, "")) for identity in rows["identity"]]
    rows["best_bound"] = np.array([value for value, _ in pairs], dtype=np.float64)
    rows["best_bound_name"] = [name for _, name in pairs]
    return rows


def _compared(rows: pd.DataFrame) -> pd.DataFrame:
    value, bound = rows["value"], rows["best_bound"]
    within = np.isclose(value, bound, rtol=RELATIVE_TOLERANCE, atol=0.0)
    difference = (value - bound).where(~within, 0.0)
    rows["gap_value"] = (difference / value).where(value != 0, 0.0).where(value.notna() & bound.notna())
    rows["gap_bound"] = (difference / bound).where(bound > 0)
    base = rows["case"].map(baseline_values(rows))
    open_gap = base - bound
    rows["closure"] = ((base - value) / open_gap).where(open_gap > RELATIVE_TOLERANCE * base.abs())
    return rows


def baseline_values(rows: pd.DataFrame) -> dict[str, float]:
    """Value of the baseline of every case that has one."""
    baseline = rows[is_baseline(rows)].drop_duplicates("case")
    return dict(zip(baseline["case"], baseline["value"], strict=True))


def is_baseline(rows: pd.DataFrame) -> pd.Series:
    """Rows of the baseline: those labelled ``fcfs`` or ``baseline``."""
    return rows["row"].str.casefold().isin(BASELINES)
