"""Families and importers by name: a newcomer adds a file and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched_mip.registry import Registry

if TYPE_CHECKING:
    from llmsched_mip.workload.family import Family
    from llmsched_mip.workload.importer import Importer

FAMILIES: Registry[Family] = Registry(
    "llmsched_mip.workload",
    {
        "gsm8k-65b": "gsm8k:GSM8K_65B",
        "gsm8k-opt66b-a100": "gsm8k:GSM8K_OPT66B_A100",
        "gsm8k-small": "gsm8k:GSM8K_SMALL",
        "azure-conv": "published:AZURE_CONV",
        "azure-code": "published:AZURE_CODE",
        "arxiv-summarization": "published:ARXIV_SUMMARIZATION",
        "lmsys-chat": "published:LMSYS_CHAT",
        "mooncake-conv": "published:MOONCAKE_CONV",
        "kv-uniform": "kv_uniform:KV_UNIFORM",
        "mixture": "mixture:MIXTURE",
    },
)

IMPORTERS: Registry[Importer] = Registry(
    "llmsched_mip.workload",
    {
        "csv": "csv_traces:read_csv",
        "azure": "csv_traces:read_azure",
        "burstgpt": "csv_traces:read_burstgpt",
        "mooncake": "mooncake:read_mooncake",
        "openai-batch": "openai_batch:read_openai_batch",
        "vllm": "benchmark_results:read_vllm",
        "sglang": "benchmark_results:read_sglang",
    },
)
