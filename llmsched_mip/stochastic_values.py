"""What is known of a plan that was made without seeing the lengths: figures over scenarios, not proofs."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched_mip.texts import percent_text, seconds_text


@dataclass(frozen=True)
class StochasticValues:
    """Figures of a stochastic plan; seconds (weighted seconds for total completion) unless something else is said.

    All but `value_in_sample` are over fresh scenarios, which nothing was chosen by; each half width is that of a 95 %
    confidence interval.

    Parameters
    ----------
    lengths : str
        What was seen of the lengths: ``interval`` or ``unknown``.
    distribution : str
        What was supposed of them, in words.
    scenarios, fresh_scenarios, clairvoyant_scenarios : int
        How many the plan was chosen by, how many it was then tried on, and how many of these were also solved with
        the lengths known.
    value_in_sample : float
        Mean over the scenarios that the plan was chosen by.
    expected_value, expected_value_half_width : float
        Of the order, executed without seeing the lengths.
    value_of_stochastic_solution, value_of_stochastic_solution_half_width : float or None
        Mean of the plan for mean lengths less that of this one, both on the same scenarios.
    value_of_perfect_information, value_of_perfect_information_half_width : float or None
        Mean of this plan less that of the best plans found for each scenario with its lengths known.
    most_value_of_perfect_information : float or None
        The same, with the proven bound of each scenario in place of its best plan.
    statistical_bound : float or None
        No plan made without seeing the lengths has a lower expected value, with 95 % confidence: the mean of the
        proven bounds of the scenarios less their error.  An estimate, not a proof.
    overflow_risk, overflow_share : float
        Largest share of scenarios in which the KV cache may overflow, and that of the fresh ones.
    executed_value : float
        On the true lengths, without seeing them.
    evictions : int
        In that execution.  Where there are any, the plan that is written is the same order with KV set aside for the
        true lengths.
    """

    lengths: str
    distribution: str
    scenarios: int
    fresh_scenarios: int
    clairvoyant_scenarios: int
    value_in_sample: float
    expected_value: float
    expected_value_half_width: float
    value_of_stochastic_solution: float | None
    value_of_stochastic_solution_half_width: float | None
    value_of_perfect_information: float | None
    value_of_perfect_information_half_width: float | None
    most_value_of_perfect_information: float | None
    statistical_bound: float | None
    overflow_risk: float
    overflow_share: float
    executed_value: float
    evictions: int

    def rows(self) -> list[tuple[str, str]]:
        """Lines of a summary, name and text."""
        of = f"of {self.fresh_scenarios} fresh scenarios"
        found = [
            ("lengths", f"{self.lengths}, not seen; {self.distribution}"),
            ("expected value", f"{_about(self.expected_value, self.expected_value_half_width)}, mean {of}"),
            (
                "value of the stochastic solution",
                _about(self.value_of_stochastic_solution, self.value_of_stochastic_solution_half_width),
            ),
            (
                "value of perfect information",
                _about(self.value_of_perfect_information, self.value_of_perfect_information_half_width)
                + f", at most {seconds_text(self.most_value_of_perfect_information)} s",
            ),
            ("statistical bound", f"{seconds_text(self.statistical_bound)} s of the expected value, not a proof"),
            ("KV overflow", f"in {percent_text(self.overflow_share, 1)} {of}, accepted {self.overflow_risk:g}"),
        ]
        if self.evictions:
            found.append(
                (
                    "executed without seeing",
                    f"{seconds_text(self.executed_value)} s with {self.evictions} evictions; "
                    "the plan sets KV aside for the true lengths",
                )
            )
        return found


def _about(value: float | None, half_width: float | None) -> str:
    return f"{seconds_text(value)} s" + ("" if half_width is None else f" ± {seconds_text(half_width)} s")
