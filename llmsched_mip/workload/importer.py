"""What an importer is: the path of a trace file and options in, an instance out."""

from __future__ import annotations

import os
from typing import Protocol

from llmsched_mip.instance import Instance, Worker


class Importer(Protocol):
    """Reads one format of trace files; the options are those of `import_csv`."""

    def __call__(
        self,
        path: str | os.PathLike[str],
        worker: Worker | str,
        *,
        name: str | None = None,
        limit: int | None = None,
        slots: int | None = None,
        prefill_column: str = "prefill_tokens",
        decode_column: str = "decode_tokens",
        arrival_column: str | None = "arrival_s",
        id_column: str | None = None,
    ) -> Instance:
        """Read `path` and put its requests on one `worker`."""
