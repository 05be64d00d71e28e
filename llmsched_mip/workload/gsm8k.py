"""GSM8K under LLaMA-65B, the workload of the hybrid-method paper: 1319 requests on 200 clients."""

from __future__ import annotations

from llmsched_mip.timing import IntArray
from llmsched_mip.workload.family import LengthFamily
from llmsched_mip.workload.marginals import capped, draw, log_normal

REQUESTS = 1319

PREFILL = log_normal(mean=68.43, std=25.04, most=191)
DECODE = capped(share=0.547, cap=512, below=log_normal(mean=143, std=60, most=511))

LENGTHS = (
    "Published (hybrid-method paper): 1319 requests, prefill tokens with mean 68.43, std 25.04, median 64, "
    "95th percentile 115, maximum 191; decode tokens with mean 344.83, std 187.99. "
    "Inferred: the shapes. Prefill is log-normal, cut off at 191, which has these percentiles too; decode is "
    "a mixture of 54.7 % at a cap of 512 tokens and a log-normal of mean 143 and std 60 below it, which has "
    "the published mean and std; the two are drawn independently. "
)


def gsm8k_lengths(count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Prefill and decode tokens, each of shape (count,)."""
    return draw(PREFILL, count, seed, "prefill"), draw(DECODE, count, seed, "decode")


GSM8K_65B = LengthFamily(
    "gsm8k-65b",
    "GSM8K on LLaMA-65B, 200 slots, calibrated times.",
    REQUESTS,
    "llama-65b-calibrated",
    gsm8k_lengths,
    LENGTHS + "Published: 200 clients. Inferred: the times, a decode round of 70 ms and a prefill of 1.5 ms + "
    "0.236 ms per token, calibrated to the published baseline (201.00 s first-come-first-served, 80.2 % "
    "utilization) and to the bound derived from the published gap cut (about 181 s); no KV limit.",
)

GSM8K_OPT66B_A100 = LengthFamily(
    "gsm8k-opt66b-a100",
    "The requests of gsm8k-65b on OPT-66B, 4 A100, where a prefill costs as much as a round and KV binds.",
    REQUESTS,
    "opt-66b-a100-tp4",
    gsm8k_lengths,
    LENGTHS + "Published: 200 clients; the times and the KV cache of 78,496 tokens, measured on vLLM by the "
    "DistServe project (Apache-2.0). Inferred: that this deployment stands in for LLaMA-65B; its term in the "
    "squared prompt tokens is left out.",
)

GSM8K_SMALL = LengthFamily(
    "gsm8k-small",
    "The first 60 requests of gsm8k-65b on 8 slots, calibrated times.",
    60,
    "llama-65b-calibrated",
    gsm8k_lengths,
    LENGTHS + "Inferred: the times, a decode round of 70 ms and a prefill of 1.5 ms + 0.236 ms per token, "
    "calibrated to the published baseline; 60 requests and 8 slots are our choice of a small case.",
    slots=8,
)
