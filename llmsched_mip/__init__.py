"""Offline MIP optimization for LLM inference scheduling: plans, proven bounds, gaps and replays."""

from llmsched_mip.evaluation import Evaluation, evaluate
from llmsched_mip.files import read_instance, read_plan, write_instance, write_plan
from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.plan import Plan, Stage
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill

__version__ = "0.1.0"

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
    "evaluate",
    "read_instance",
    "read_plan",
    "write_instance",
    "write_plan",
]
