"""What an importer is: the lines of a trace file in, request columns and what is to be said of them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.lines import Lines
from llmsched_mip.timing import FloatArray, IntArray

NAMED_LINES = 5


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a trace file.

    Parameters
    ----------
    prefill, decode : str
        Columns of token counts, integers of at least 1.
    arrival : str or None
        Column of arrival times, in seconds or as dates; None: a backlog.
    id : str, optional
        Column of unique request ids; without it, one named ``id`` where there is one, else r0, r1, ...
    """

    prefill: str = "prefill_tokens"
    decode: str = "decode_tokens"
    arrival: str | None = "arrival_s"
    id: str | None = None


@dataclass(frozen=True)
class Reading:
    """How a trace is read; a format looks at what concerns it.

    Parameters
    ----------
    columns : Columns
        Of CSV files.
    limit : int, optional
        Read only the first requests, at least 1.
    backlog : bool
        All requests arrive at 0.
    decode_field : str, optional
        OpenAI batches: where a line has its output length, with dots between keys (``body.metadata.tokens``).
    decode_quantile : float
        OpenAI batches without it: the output length is this part of ``max_tokens``, from 0 to 1, rounded up; that is
        the quantile of a length that is uniform in 1..max_tokens.
    most_tokens : int, optional
        OpenAI batches: ``max_tokens`` of the lines that have none.
    tokenizer : str, optional
        OpenAI batches: path of a ``tokenizer.json``; without it, a prompt has a token for every four characters.
    interval_quantile : float, optional
        Q, above 0.5 and at most 1: all requests get the prediction interval between the (1 - Q)- and the Q-quantile of
        the output lengths of the trace, what somebody knows who has its past.
    prefix_blocks : bool
        Keep the ids of the prompts' blocks where the format has them.
    """

    columns: Columns = Columns()
    limit: int | None = None
    backlog: bool = False
    decode_field: str | None = None
    decode_quantile: float = 1.0
    most_tokens: int | None = None
    tokenizer: str | None = None
    interval_quantile: float | None = None
    prefix_blocks: bool = True


@dataclass(frozen=True)
class Trace:
    """The requests of a trace: columns of shape (n,), and what is to be said of how they were read.

    Parameters
    ----------
    prefill_tokens, decode_tokens, arrival_s, id, decode_lower, decode_upper, weight
        As in `Requests`; what is None is not in the file.
    blocks : sequence of int arrays, optional
        Ids of the blocks of each prompt, of `block_tokens` tokens; the last one may be of fewer.
    fields : str
        Names of the columns that were read.
    notes : tuple of str
        What was left out, counted or assumed.
    """

    prefill_tokens: IntArray
    decode_tokens: IntArray
    fields: str
    arrival_s: FloatArray | None = None
    id: Sequence[str] | None = None
    decode_lower: IntArray | None = None
    decode_upper: IntArray | None = None
    weight: FloatArray | None = None
    blocks: Sequence[IntArray] | None = None
    block_tokens: int = 0
    notes: tuple[str, ...] = ()


class Importer(Protocol):
    """Reads one format of trace files."""

    def __call__(self, lines: Lines, reading: Reading) -> Trace:
        """The requests in `lines`; raises `InvalidInputError` with the line and what was expected there."""


def wrong(lines: Lines, where: str, message: str) -> InvalidInputError:
    """One line on what is wrong in a trace."""
    return InvalidInputError(where, message, None, lines.shown)


def short(value: object) -> str:
    """A value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= 42 else text[:38] + "..." + text[0]


def without_output(lines: Sequence[int]) -> tuple[str, ...]:
    """A note on the requests in these lines, which have made no tokens and are left out."""
    if not len(lines):
        return ()
    count, named = len(lines), ", ".join(map(str, lines[:NAMED_LINES]))
    more = ", ..." if count > NAMED_LINES else ""
    what = "request without prompt or output is" if count == 1 else "requests without prompt or output are"
    return (f"{count} {what} left out (line {named}{more})",)
