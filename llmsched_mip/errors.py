"""Errors that reach a user: each prints as one line and carries its exit code."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_INVALID = 1
EXIT_USAGE = 2
EXIT_NO_PLAN = 3
EXIT_BROKEN_PIPE = 141
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def error_text(error: BaseException) -> str:
    """One line for an error: its own words if it is ours, with its type if it is not or says nothing."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SchedulingError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


class SchedulingError(Exception):
    """Base of all errors of the toolkit; `str(error)` is one line."""

    exit_code = EXIT_USAGE


class UnreadableFileError(SchedulingError):
    """A file that is missing, a directory, truncated, or not of the expected format."""


class OutputError(SchedulingError):
    """Standard output that can't be written; without a message where nobody reads it any more (a closed pipe)."""

    def __init__(self, message: str = ""):
        self.exit_code = EXIT_USAGE if message else EXIT_BROKEN_PIPE
        super().__init__(message)


class InvalidInputError(SchedulingError):
    """A file or an object with a wrong value.

    Parameters
    ----------
    field : str
        Dotted name of the field, e.g. ``requests.prefill_tokens``.
    message : str
        What was expected and what was found.
    request : str, optional
        Id of the request that is concerned.
    source : str, optional
        File name.
    """

    def __init__(self, field: str, message: str, request: str | None = None, source: str | None = None):
        self.field, self.message, self.request, self.source = field, message, request, source
        super().__init__(field, message)

    def __str__(self) -> str:
        where = [self.source] if self.source else []
        if self.field:
            where.append(self.field)
        if self.request is not None:
            where.append(f"request {self.request!r}")
        return " ".join((": ".join([*where, self.message])).split())

    def located(self, source: str) -> InvalidInputError:
        """Return the same error with the file name in front."""
        return type(self)(self.field, self.message, self.request, source)


class InfeasibleInstanceError(InvalidInputError):
    """A well-formed instance that has no feasible plan, e.g. a request that fits no worker."""

    exit_code = EXIT_INVALID


class InvalidPlanError(SchedulingError):
    """A plan that breaks the model where a feasible one is required."""

    exit_code = EXIT_INVALID


class NoPlanError(SchedulingError):
    """The time limit passed without a feasible plan; `bounds` holds what was proven, by name."""

    exit_code = EXIT_NO_PLAN

    def __init__(self, message: str, bounds: dict[str, float] | None = None):
        self.bounds = bounds or {}
        super().__init__(message)


class InterruptedSearchError(NoPlanError):
    """Ctrl-C, or another request to end, came before there was a plan."""

    exit_code = EXIT_INTERRUPTED
