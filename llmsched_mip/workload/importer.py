"""What an importer is: the path of a trace file, its columns and a worker in, an instance out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from llmsched_mip.instance import Instance, Worker


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a trace file.

    Parameters
    ----------
    prefill, decode : str
        Columns of token counts, integers of at least 1.
    arrival : str or None
        Column of arrival times in seconds; None: a backlog.
    id : str, optional
        Column of unique request ids; by default r0, r1, ... in the order of the rows.
    """

    prefill: str = "prefill_tokens"
    decode: str = "decode_tokens"
    arrival: str | None = "arrival_s"
    id: str | None = None


class Importer(Protocol):
    """Reads one format of trace files; the options are those of `import_csv`."""

    def __call__(
        self,
        path: str | os.PathLike[str],
        worker: Worker | str,
        columns: Columns = ...,
        *,
        name: str | None = None,
        limit: int | None = None,
        slots: int | None = None,
    ) -> Instance:
        """Read `path` and put its requests on one `worker`."""
