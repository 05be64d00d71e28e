"""`llmsched examples`: the instances that ship with the package."""

from __future__ import annotations

import llmsched_mip
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson
from llmsched_mip.io import examples as shipped


def examples(as_json: AsJson = False) -> None:
    """List the instances that ship with the package; example:NAME stands wherever INSTANCE does."""
    found = {name: llmsched_mip.read_instance(shipped.PREFIX + name) for name in shipped.names()}
    if as_json:
        rows = [
            {
                "name": shipped.PREFIX + name,
                "requests": instance.n,
                "workers": len(instance.workers),
                "objective": instance.objective,
                "description": instance.description,
            }
            for name, instance in found.items()
        ]
        console.emit_json({"examples": rows})
        return
    lines = [
        [shipped.PREFIX + name, str(instance.n), console.worker_text(instance.workers), instance.objective]
        for name, instance in found.items()
    ]
    console.emit(console.table(lines, ["instance", "requests", "workers", "objective"]))
