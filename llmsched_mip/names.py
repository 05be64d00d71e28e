"""Names that files, commands and functions share; nothing heavy is imported here, so that help texts are quick."""

from __future__ import annotations

from pathlib import Path

OBJECTIVES = ("makespan", "total_completion")
SEMANTICS = ("exclusive", "mixed")
LENGTHS = ("known", "interval", "unknown")
BALANCERS = ("least-loaded", "round-robin", "plan")
# Worker files that come with the package.
DEPLOYMENTS: tuple[str, ...] = tuple(
    sorted(path.stem for path in (Path(__file__).parent / "deployments").glob("*.json"))
)
