"""Tables and pictures that data objects offer as methods, by name: they are made in rooms further up.

`Result.plot` is convenient, but a result knows nothing of pictures.  It names where they are made, as a registry does
(`registry`), and that is imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.registry import Registry

VIEWS: Registry[Callable[..., Any]] = Registry(
    "llmsched_mip",
    {
        "instance_from_frame": "workload.frames:instance_from_frame",
        "instance_to_frame": "workload.frames:instance_to_frame",
        "schedule_frame": "schedule_frames:schedule_frame",
        "plan_schedule": "schedule_frames:plan_schedule",
        "plan_stages": "schedule_frames:plan_stages",
        "plot_gantt": "report.gantt_axes:plot_gantt",
    },
)


def known(instance: Any, given: Any, method: str) -> Any:
    """The instance that was `given` to a method, else the one that the object holds.

    Raises
    ------
    InvalidInputError
        There is neither.
    """
    if given is not None:
        return given
    if instance is None:
        raise InvalidInputError(
            "instance", f"is not kept when an object is pickled or made without one; give it: {method}(instance)"
        )
    return instance
