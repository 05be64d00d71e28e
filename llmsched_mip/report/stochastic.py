"""What a report says of plans that were made without seeing the lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmsched_mip.report.columns import Column, Table
from llmsched_mip.texts import seconds_text

if TYPE_CHECKING:
    from llmsched_mip.report.data import Report

TEXT = (
    "Lengths were drawn from what may be supposed of them; all figures are means over such scenarios, not proofs. "
    "The value of the stochastic solution is what is saved by planning for all scenarios instead of for the mean "
    "lengths; the value of perfect information is what could be saved at most if all lengths were known beforehand."
)


def stochastic_figures(report: Report) -> list[tuple[str, str]]:
    """Tiles: of a single plan its two values."""
    if len(report.stochastic) != 1:
        return []
    (_, found), tiles = report.stochastic[0], []
    for name in ("value_of_stochastic_solution", "value_of_perfect_information"):
        value, width = getattr(found, name), getattr(found, f"{name}_half_width")
        if value is not None:
            tiles.append(
                (name.replace("of_s", "of_the_s").replace("_", " "), f"{seconds_text(value)} ± {seconds_text(width)} s")
            )
    return tiles


def stochastic_table(report: Report) -> Table | None:
    """One line a plan; None where all lengths were known."""
    if not report.stochastic:
        return None
    columns = [
        Column("instance"), Column("lengths"), Column("supposed"), Column("expected value", "s", 3),
        Column("value of the stochastic solution", "s", 3), Column("value of perfect information", "s", 3),
        Column("at most", "s", 3), Column("statistical bound", "s", 3), Column("overflows", "%", 1),
        Column("accepted", "%", 1), Column("evictions", digits=0),
    ]  # fmt: skip
    lines: list[list[Any]] = [
        [
            name,
            one.lengths,
            one.distribution,
            (one.expected_value, one.expected_value_half_width),
            _pair(one.value_of_stochastic_solution, one.value_of_stochastic_solution_half_width),
            _pair(one.value_of_perfect_information, one.value_of_perfect_information_half_width),
            one.most_value_of_perfect_information,
            one.statistical_bound,
            100 * one.overflow_share,
            100 * one.overflow_risk,
            one.evictions,
        ]
        for name, one in report.stochastic
    ]
    note = (
        "±: half of a 95 % confidence interval. Statistical bound: with 95 % confidence no plan made without seeing "
        "the lengths has a lower expected value. Overflows: scenarios in which the KV cache overflows and requests are "
        "evicted. Evictions: in the execution on the true lengths."
    )
    return Table("stochastic", "Planned without seeing the lengths", columns, lines, note)


def _pair(value: float | None, width: float | None) -> tuple[float, float] | None:
    return None if value is None or width is None else (value, width)
