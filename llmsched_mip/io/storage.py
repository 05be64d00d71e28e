"""Bytes in and out of files: plain or gzipped, errors of one line, whole files or none."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from llmsched_mip.errors import UnreadableFileError

LONGEST_ENDING = 20
GZIP = 16 + zlib.MAX_WBITS
"""Asks zlib for a gzip file around what it packs."""
OPEN_FILES = ("/dev/fd/", "/proc/")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file, unpacked when it is gzipped; raises `UnreadableFileError` with one line."""
    name = os.fspath(path)
    try:
        content = Path(name).read_bytes()
    except IsADirectoryError:
        raise UnreadableFileError(f"{name}: is a directory, expected a file") from None
    except FileNotFoundError:
        raise UnreadableFileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise UnreadableFileError(f"{name}: damaged or truncated gzip file") from None
    elif name.endswith(".gz"):
        raise UnreadableFileError(f"{name}: is not a gzip file")
    return content


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically: a reader sees the old or the new content whole; gzipped for ``.gz``.

    Raises
    ------
    UnreadableFileError
        One line; an old file is as it was.
    """
    write_pieces(path, (content,))


def write_pieces(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> None:
    """Write a file as `write_bytes` does, of pieces that are made one by one.

    Raises
    ------
    UnreadableFileError
        One line; an old file is as it was.
    """
    if Path(path).suffix == ".gz":
        pieces = _gzipped(pieces)
    if _is_stream(Path(path)):
        _write_through(Path(path), pieces)
        return
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.writelines(pieces)


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(6, wbits=GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to be filled, with the ending of `path`; at the end it takes its place, after an error it is gone.

    What is not a regular file (a pipe, /dev/stdout), where a rename is not possible, gets the content at the end.

    Raises
    ------
    UnreadableFileError
        One line, also for an `OSError` inside; an old file is as it was.
    """
    target = Path(path)
    try:
        through = _is_stream(target)
        # The name is not made of the target's, which may be as long as names can be.
        handle, name = tempfile.mkstemp(
            dir=None if through else target.parent, prefix=".llmsched-", suffix=_end(target)
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            if through:
                _write_through(target, (temporary.read_bytes(),))
            else:
                _synchronise(temporary)
                umask = os.umask(0)
                os.umask(umask)
                os.chmod(temporary, 0o666 & ~umask)
                os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise unwritable(target, error) from None


def require_writable(path: Path | None) -> None:
    """Fail before the work when an output file can't be written; raises `UnreadableFileError`."""
    if path is None:
        return
    try:
        if path.is_dir():
            raise UnreadableFileError(f"{path}: is a directory, expected a file to write")
        if not path.parent.is_dir():
            raise UnreadableFileError(f"{path}: cannot be written: {path.parent} is not a directory")
        if not os.access(path if _is_stream(path) else path.parent, os.W_OK):
            raise UnreadableFileError(f"{path}: cannot be written: permission denied")
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


def unwritable(path: str | os.PathLike[str], error: Exception) -> UnreadableFileError:
    """An `OSError`, or the `ValueError` of a name that no file can have, as one line."""
    return UnreadableFileError(f"{os.fspath(path)}: cannot be written: {getattr(error, 'strerror', None) or error}")


def readable(text: str) -> str:
    """Text that UTF-8 can hold: in names of files that are not UTF-8, what is not is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_stream(target: Path) -> bool:
    """Whether a rename would do harm: no regular file, or one by the name of an open file (/dev/stdout)."""
    if not target.exists():
        return False
    return not target.is_file() or any(str(link).startswith(OPEN_FILES) for link in _links(target))


def _links(path: Path) -> Iterator[Path]:
    """A path, and where it points to link by link."""
    yield path.absolute()
    while path.is_symlink():
        path = path.parent / os.readlink(path)
        yield path.absolute()


def _end(target: Path) -> str:
    return target.suffix if len(target.suffix) <= LONGEST_ENDING else ""


def _synchronise(path: Path) -> None:
    """Have the content on the disk, or an error, before the name stands for it."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_through(target: Path, pieces: Iterable[bytes]) -> None:
    """Write to what is not a regular file (a pipe, /dev/stdout), where a rename is not possible."""
    try:
        # What is there by other means (a shell's >>) stays there.
        with target.open("ab") as file:
            file.writelines(pieces)
    except OSError as error:
        raise unwritable(target, error) from None
