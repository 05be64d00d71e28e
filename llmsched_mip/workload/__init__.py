"""Workloads: families that generate instances, importers of trace files, named deployments."""

from __future__ import annotations

from llmsched_mip.workload.family import Family
from llmsched_mip.workload.gsm8k import GSM8K_65B, GSM8K_OPT66B_A100, GSM8K_SMALL

FAMILIES: dict[str, Family] = {family.name: family for family in (GSM8K_65B, GSM8K_OPT66B_A100, GSM8K_SMALL)}
