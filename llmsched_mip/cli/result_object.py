"""The base of what commands print with ``--json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ResultObject(BaseModel):
    """An object with these keys and no others."""

    model_config = ConfigDict(extra="forbid")
