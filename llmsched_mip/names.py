"""Names that files, commands and functions share; nothing is imported here, so that help texts are quick."""

from __future__ import annotations

OBJECTIVES = ("makespan", "total_completion")
LENGTHS = ("known", "interval", "unknown")
