"""Standard output and standard error, whatever they are: a full device, a closed pipe, a terminal without UTF-8."""

from __future__ import annotations

import codecs
import errno
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TextIO

from llmsched_mip.errors import OutputError

PLAIN = "llmsched-plain"
SIGNS = {
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "±": "+/-", "×": "x", "·": "*", "−": "-", "–": "-", "—": "-",
    "→": "->", "←": "<-", "∞": "inf", "Σ": "sum", "σ": "sigma", "ω": "weight", "α": "alpha", "λ": "lambda",
    "‖": "||", "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "█": "#", "─": "-", "│": "|", "━": "-",
}  # fmt: skip
"""ASCII in place of a sign that an encoding does not have."""


def plain(text: str) -> str:
    """Text in ASCII: letters without their accents, signs by `SIGNS`, all else by its code."""
    return "".join(_plain(sign) for sign in text)


def _plain(sign: str) -> str:
    if sign.isascii() or sign in SIGNS:
        return SIGNS.get(sign, sign)
    bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return bare or sign.encode("ascii", "backslashreplace").decode()


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


codecs.register_error(PLAIN, _replaced)


def writes(text: str) -> bool:
    """Whether standard output has all signs of the text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def standing() -> Iterator[None]:
    """Streams that are there and never refuse a sign; as they were at the end."""
    _occupy()
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                stream = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                setattr(sys, name, stream)
                stack.callback(setattr, sys, name, None)
            elif hasattr(stream, "reconfigure"):
                stack.callback(_answer_signs, stream, stream.errors)
                _answer_signs(stream, PLAIN)
        yield


def _answer_signs(stream: TextIO, how: str) -> None:
    """Say what happens to signs that the stream does not have; a buffer that can't be written is for others to find."""
    with suppress(OSError, ValueError):
        stream.reconfigure(errors=how)  # type: ignore[attr-defined]


def _occupy() -> None:
    """A file that is opened later must not get the number of a closed stream: what is printed would go into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


class Unfailing:
    """A stream for a display that writes by itself: what can't be written is dropped."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a stream."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of a stream."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(text: str) -> None:
    """Text on standard error; where nobody can read it, the work goes on without it."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _silence(sys.stderr)


def put(text: str) -> None:
    """Text on standard output; raises `OutputError` where it can't be written."""
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:
        raise _lost(error) from None


def finish() -> None:
    """Write what is left in the buffers, which would fail at the end of the program otherwise; raises `OutputError`."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        raise _lost(error) from None


def _lost(error: Exception) -> OutputError:
    _silence(sys.stdout)
    number = getattr(error, "errno", None)
    closed = number in (None, errno.EPIPE, errno.EBADF)
    return OutputError("" if closed else f"standard output: cannot be written: {getattr(error, 'strerror', error)}")


def _silence(stream: TextIO) -> None:
    """Let what is in the buffer go nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
