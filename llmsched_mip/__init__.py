"""Offline MIP optimization for LLM inference scheduling: plans, proven bounds, gaps and replays.

Names are imported when they are used, so that a program that needs few of them starts at once.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llmsched_mip import bounds
    from llmsched_mip.evaluation import Evaluation, evaluate
    from llmsched_mip.execution import replay
    from llmsched_mip.instance import Instance, Requests, Worker
    from llmsched_mip.io.files import read_instance, read_plan, write_instance, write_plan
    from llmsched_mip.methods import solve
    from llmsched_mip.plan import Plan, Stage
    from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill
    from llmsched_mip.workload import deployment, generate

    __all__ = [
        "AffinePrefill",
        "DecodeTime",
        "Evaluation",
        "Instance",
        "LevelPrefill",
        "Plan",
        "Requests",
        "Stage",
        "Worker",
        "bounds",
        "deployment",
        "evaluate",
        "generate",
        "read_instance",
        "read_plan",
        "replay",
        "solve",
        "write_instance",
        "write_plan",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submodules={"bounds"},
        submod_attrs={
            "evaluation": ["Evaluation", "evaluate"],
            "execution": ["replay"],
            "io.files": ["read_instance", "read_plan", "write_instance", "write_plan"],
            "instance": ["Instance", "Requests", "Worker"],
            "methods": ["solve"],
            "plan": ["Plan", "Stage"],
            "timing": ["AffinePrefill", "DecodeTime", "LevelPrefill"],
            "workload": ["deployment", "generate"],
        },
    )
