"""Offline MIP optimization for LLM inference scheduling: plans, proven bounds, gaps and replays.

Names are imported when they are used, so that a program that needs few of them starts at once.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from llmsched_mip import bounds
    from llmsched_mip.bounds import bound
    from llmsched_mip.evaluation import Evaluation, evaluate
    from llmsched_mip.execution import replay
    from llmsched_mip.instance import Instance, Requests, Worker
    from llmsched_mip.io.files import read, read_instance, read_plan, write, write_instance, write_plan
    from llmsched_mip.methods import solve, solve_stochastic
    from llmsched_mip.plan import Plan, Stage
    from llmsched_mip.result import Result
    from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill
    from llmsched_mip.worker import Cost
    from llmsched_mip.workload import deployment, generate

    __all__ = [
        "AffinePrefill",
        "Cost",
        "DecodeTime",
        "Evaluation",
        "Instance",
        "LevelPrefill",
        "Plan",
        "Requests",
        "Result",
        "Stage",
        "Worker",
        "bound",
        "bounds",
        "deployment",
        "evaluate",
        "generate",
        "read",
        "read_instance",
        "read_plan",
        "replay",
        "solve",
        "solve_stochastic",
        "write",
        "write_instance",
        "write_plan",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submodules={"bounds"},
        submod_attrs={
            "bounds": ["bound"],
            "evaluation": ["Evaluation", "evaluate"],
            "execution": ["replay"],
            "io.files": ["read", "read_instance", "read_plan", "write", "write_instance", "write_plan"],
            "instance": ["Instance", "Requests", "Worker"],
            "methods": ["solve", "solve_stochastic"],
            "plan": ["Plan", "Stage"],
            "result": ["Result"],
            "timing": ["AffinePrefill", "DecodeTime", "LevelPrefill"],
            "worker": ["Cost"],
            "workload": ["deployment", "generate"],
        },
    )
