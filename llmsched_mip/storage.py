"""Bytes in and out of files: plain or gzipped, errors of one line, whole files or none."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path

from llmsched_mip.errors import UnreadableFileError


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
    """Write a file atomically: a reader sees the old or the new content whole; gzipped for ``.gz``."""
    target = Path(path)
    if target.suffix == ".gz":
        content = gzip.compress(content, compresslevel=6, mtime=0)
    if target.exists() and not target.is_file():
        _write_through(target, content)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnreadableFileError(f"{target}: cannot be written: {error.strerror or error}") from None


def _write_through(target: Path, content: bytes) -> None:
    """Write to what is not a regular file (a pipe, /dev/stdout), where a rename is not possible."""
    try:
        target.write_bytes(content)
    except OSError as error:
        raise UnreadableFileError(f"{target}: cannot be written: {error.strerror or error}") from None
