"""What `solve` gives back: a plan, the best proven bound, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from llmsched_mip.instance import Instance
from llmsched_mip.measures import Measures
from llmsched_mip.plan import Claims, Plan
from llmsched_mip.texts import html_table, long_text, percent_text, seconds_text
from llmsched_mip.views import VIEWS, known

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Event(NamedTuple):
    """One improvement: seconds since the start, incumbent, bound and gap (None while there is none).

    Incumbent and bound are in seconds of the instance that `solve` was given.
    """

    seconds: float
    incumbent: float | None
    bound: float | None
    gap: float | None
    source: str


class Failure(NamedTuple):
    """A part of the search that failed, and why, in one line."""

    part: str
    message: str


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Result of one `solve`; the plan has passed `evaluate`.

    Parameters
    ----------
    plan : Plan
        Its claims are what is said below, so that a plan file carries them.
    measures : Measures
        Of the plan when it is executed.
    trace : tuple of Event
        Every improvement of the incumbent or the bound, and notes, in order.
    failures : tuple of Failure
        Parts of the search that failed on the way.
    interrupted : bool
        Whether Ctrl-C cut the search short.
    instance : Instance, optional
        What was solved; pickles leave it out.
    """

    plan: Plan
    measures: Measures
    trace: tuple[Event, ...] = ()
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False
    instance: Instance | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A pickled result is as small as its plan; `schedule` and the like are then given the instance."""
        return {**self.__dict__, "instance": None}

    @property
    def _claims(self) -> Claims:
        return self.plan.claims

    @property
    def value(self) -> float:
        """Objective of the plan, seconds (weighted seconds for total completion)."""
        assert self._claims.value is not None
        return self._claims.value

    @property
    def bound(self) -> float | None:
        """Best proven lower bound on the objective, seconds; None where none was found in time."""
        return self._claims.bound

    @property
    def bounds(self) -> dict[str, float]:
        """Proven lower bounds by name, seconds."""
        return self._claims.bounds

    @property
    def gap(self) -> float | None:
        """(value - bound) / value."""
        return self._claims.gap

    @property
    def above_bound(self) -> float | None:
        """(value - bound) / bound: how far above the optimum the plan is at most."""
        return None if not self.bound else (self.value - self.bound) / self.bound

    @property
    def status(self) -> str:
        """``optimal`` (proven) or ``feasible``."""
        return self._claims.status

    @property
    def seconds(self) -> float:
        """Wall time of the search."""
        return self._claims.seconds

    def rows(self) -> list[tuple[str, str]]:
        """The lines of `summary`, name and text."""
        binding = max(self.bounds, key=lambda name: self.bounds[name], default="-")
        return [
            ("instance", self.plan.instance),
            ("method", self.plan.method),
            ("status", self.status),
            (self.plan.objective, f"{seconds_text(self.value)} s{self._beside(self.value)}"),
            ("bound", f"{seconds_text(self.bound)} s ({binding}){self._beside(self.bound)}"),
            ("gap", f"{percent_text(self.gap, 3)} of the value, {percent_text(self.above_bound, 3)} of the bound"),
            ("utilization", percent_text(self.measures.utilization, 1)),
            ("prefill iterations", str(self.measures.prefill_iterations)),
            ("decode rounds", str(self.measures.decode_rounds)),
            ("KV peak", f"{self.measures.kv_peak} tokens"),
            ("time", f"{self.seconds:.2f} s"),
            *([] if self.plan.stochastic is None else self.plan.stochastic.rows()),
        ]

    def schedule(self, instance: Instance | None = None) -> pd.DataFrame:
        """When each request runs: a row a request, in the order of the instance.

        Parameters
        ----------
        instance : Instance, optional
            Default: the one that was solved, which a pickle leaves out.

        Returns
        -------
        DataFrame
            ``request`` (id), ``worker`` (name), ``slot`` (missing where there are no slots), ``stage`` (from 0, on its
            worker), ``arrival_s``, ``prefill_start_s``, ``prefill_end_s``, ``first_token_s``, ``completion_s``
            (seconds from the start), ``waiting_s`` (from arrival to prefill), ``latency_s`` (from arrival to
            completion).
        """
        return VIEWS["plan_schedule"](known(self.instance, instance, "schedule"), self.plan)

    def stages(self, instance: Instance | None = None) -> pd.DataFrame:
        """What each prefill iteration and the decode rounds after it hold: a row a stage, by worker and time.

        Parameters
        ----------
        instance : Instance, optional
            Default: the one that was solved, which a pickle leaves out.

        Returns
        -------
        DataFrame
            ``worker`` (name), ``stage`` (from 0), ``start_s``, ``prefill_end_s``, ``end_s`` (seconds from the start),
            ``requests`` and ``prompt_tokens`` (of its prefill iteration), ``rounds`` (decode rounds after it),
            ``active`` (most requests in service at once), ``kv_peak`` (most KV tokens held).
        """
        return VIEWS["plan_stages"](known(self.instance, instance, "stages"), self.plan)

    def plot(self, ax: Axes | None = None, title: str | None = None, instance: Instance | None = None) -> Axes:
        """Draw the plan as a Gantt chart with Matplotlib: time across, the slots of all workers down.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default the axes of a new figure.
        title : str, optional
            Default: method of the plan and name of the instance.
        instance : Instance, optional
            Default: the one that was solved, which a pickle leaves out.

        Returns
        -------
        Axes

        Raises
        ------
        SchedulingError
            Matplotlib, which is optional, is not installed.
        """
        axes: Axes = VIEWS["plot_gantt"](known(self.instance, instance, "plot"), self.plan, ax, title)
        return axes

    def _repr_html_(self) -> str:
        return html_table(f"Result for {self.plan.instance}", self.rows())

    def _beside(self, seconds: float | None) -> str:
        """A long makespan in hours and minutes; a total, which is a sum over requests, is left as it is."""
        text = long_text(seconds) if self.plan.objective == "makespan" else ""
        return f", {text}" if text else ""

    def summary(self) -> str:
        """What was found, a line a figure."""
        width = max(len(name) for name, _ in self.rows())
        return "\n".join(f"{name:<{width}}  {text}" for name, text in self.rows())

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        value, gap = seconds_text(self.value), percent_text(self.gap, 3)
        return f"Result({self.plan.objective} {value} s, gap {gap}, {self.status})"
