"""Text files line by line, plain or gzipped, from a path or standard input: memory holds a line, not the file."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from llmsched_mip.errors import UnreadableFileError

STANDARD_INPUT = "-"
HEAD_BYTES = 1 << 16
MOST_LINE_BYTES = 1 << 28


class Lines:
    """The lines of a UTF-8 text file, with a look at its beginning.

    Parameters
    ----------
    path : path
        ``-`` is standard input.  What begins as gzip does is unpacked.

    Raises
    ------
    UnreadableFileError
        One line: a file that cannot be read, that is damaged, or is not UTF-8 text.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.source = os.fspath(path)
        self.shown = "standard input" if self.source == STANDARD_INPUT else self.source
        self._stream = self._open()
        try:
            self._begun = self._stream.read(HEAD_BYTES)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise self._unreadable(error) from None

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, ValueError):
            self._stream.close()

    def _open(self) -> BinaryIO:
        try:
            raw = self._standard_input() if self.source == STANDARD_INPUT else Path(self.source).open("rb")  # noqa: SIM115
            packed = cast(io.BufferedReader, raw).peek(2)[:2] == b"\x1f\x8b"
        except IsADirectoryError:
            raise UnreadableFileError(f"{self.source}: is a directory, expected a file") from None
        except FileNotFoundError:
            raise UnreadableFileError(f"{self.source}: no such file") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableFileError(f"{self.shown}: cannot be read: {reason}") from None
        if packed:
            return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        if self.source.endswith(".gz"):
            raise UnreadableFileError(f"{self.source}: is not a gzip file")
        return raw

    def _standard_input(self) -> BinaryIO:
        if sys.stdin is None:
            raise UnreadableFileError("standard input: is closed")
        # A text stream without bytes below it stands for one in tests and notebooks.
        buffer = getattr(sys.stdin, "buffer", None)
        return cast(BinaryIO, io.BufferedReader(buffer or io.BytesIO(sys.stdin.read().encode())))

    def head(self) -> str:
        """The first 64 KiB, or what there is of them, as text; a sign that is cut at the end is left out."""
        return self._begun.decode("utf-8-sig", "ignore")

    def __iter__(self) -> Iterator[str]:
        """The lines with their ends; a byte order mark is left out."""
        number = 0
        while True:
            try:
                line = self._readline()
            except (OSError, EOFError, zlib.error, ValueError) as error:
                raise self._unreadable(error) from None
            if not line:
                return
            number += 1
            if len(line) == MOST_LINE_BYTES:
                raise UnreadableFileError(f"{self.shown}: line {number}: longer than {MOST_LINE_BYTES >> 20} MiB")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise UnreadableFileError(f"{self.shown}: line {number}: not UTF-8 text") from None

    def _readline(self) -> bytes:
        end = self._begun.find(b"\n") + 1
        if end:
            line, self._begun = self._begun[:end], self._begun[end:]
            return line
        line, self._begun = self._begun, b""
        return line + self._stream.readline(MOST_LINE_BYTES - len(line))

    def _unreadable(self, error: Exception) -> UnreadableFileError:
        if isinstance(error, gzip.BadGzipFile | EOFError | zlib.error):
            return UnreadableFileError(f"{self.shown}: damaged or truncated gzip file")
        return UnreadableFileError(f"{self.shown}: cannot be read: {getattr(error, 'strerror', None) or error}")
