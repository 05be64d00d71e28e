"""Families that are only numbers: lengths from the published moments of a trace."""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.workload.family import LengthFamily, Lengths
from llmsched_mip.workload.marginals import Moments, Quantile, draw, fitted, log_normal_of_median, stream

SHAPE = (
    "Inferred: the shape between these points, the smallest values, and that prefill and decode are "
    "independent{}. All requests are there from the start unless a rate is given: inferred too. "
)
TP2 = "Times: Llama-2-70B on 2 A100, measured by Vidur (MIT)"
TP4 = "Times: Llama-2-70B on 4 A100, measured by Vidur (MIT), KV cache of 522,718 tokens. Inferred: 256 slots."
LMSYS_MOST = 8192
ARXIV_TOTAL = 4096


def independent(prefill: Quantile, decode: Quantile) -> Lengths:
    """Lengths drawn from the two distributions, independent of each other."""
    return lambda count, seed: (draw(prefill, count, seed, "prefill"), draw(decode, count, seed, "decode"))


LMSYS_PREFILL = log_normal_of_median(40.6, 11, LMSYS_MOST)
LMSYS_DECODE = log_normal_of_median(85.3, 45, LMSYS_MOST)
ARXIV_PREFILL = fitted(Moments(2588.1, 944.7, 2730, 3813, 4054))
ARXIV_DECODE = fitted(Moments(291.4, 530.5, 167, 736, 4056))


def arxiv_lengths(count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Prefill and decode tokens of long summarisations, p + d at most 4096: each of shape (count,)."""
    prefill = draw(ARXIV_PREFILL, count, seed, "prefill")
    decode = draw(ARXIV_DECODE, count, seed, "decode")
    return prefill, paired_within(ARXIV_TOTAL, prefill, decode, stream(seed, "pairs").random(count))


def paired_within(total: int, prefill: IntArray, decode: IntArray, choice: FloatArray) -> IntArray:
    """Permute `decode` so that no request has more than `total` tokens.

    The longest outputs choose first, each a random prompt among those that leave room for it, so that both
    columns keep their distribution; where no such prompt is left, the output is cut to what room there is.

    Parameters
    ----------
    total : int
        Most prefill and decode tokens of a request.
    prefill, decode : int array, shape (n,)
    choice : float array, shape (n,)
        Random numbers in [0, 1).
    """
    count = len(prefill)
    roomiest = prefill.argsort(kind="stable")
    room = (total - prefill[roomiest]).tolist()
    paired = np.empty_like(decode)
    open_prompts: list[int] = []
    entered = 0
    for need, pick in zip(sorted(decode.tolist(), reverse=True), choice.tolist(), strict=True):
        while entered < count and (room[entered] >= need or not open_prompts):
            open_prompts.append(entered)
            entered += 1
        k = int(pick * len(open_prompts))
        open_prompts[k], open_prompts[-1] = open_prompts[-1], open_prompts[k]
        mate = open_prompts.pop()
        paired[roomiest[mate]] = min(need, room[mate])
    return paired


AZURE_CONV = LengthFamily(
    "azure-conv",
    "Conversations as on Azure in 2023.",
    1000,
    "llama2-70b-a100-tp4",
    independent(fitted(Moments(1154.7, 1108.8, 1020, 4083, 14050)), fitted(Moments(211.1, 162.9, 129, 451, 1000))),
    "Published (AzurePublicDataset, CC-BY 4.0; Splitwise, ISCA 2024): mean, std, median, 95th percentile and "
    "maximum of prefill (1154.7, 1108.8, 1020, 4083, 14050) and decode (211.1, 162.9, 129, 451, 1000) "
    "tokens; times between arrivals with a coefficient of variation of 1.09. " + SHAPE.format("") + TP4,
)

AZURE_CODE = LengthFamily(
    "azure-code",
    "Code completions as on Azure in 2023: long prompts, short outputs.",
    1000,
    "llama2-70b-a100-tp4",
    independent(fitted(Moments(2047.8, 1973.9, 1469, 7303, 7437)), fitted(Moments(27.9, 59.9, 13, 90, 1899))),
    "Published (AzurePublicDataset, CC-BY 4.0; Splitwise, ISCA 2024): mean, std, median, 95th percentile and "
    "maximum of prefill (2047.8, 1973.9, 1469, 7303, 7437) and decode (27.9, 59.9, 13, 90, 1899) tokens; "
    "times between arrivals with a coefficient of variation of 13.2. " + SHAPE.format("") + TP4,
)

ARXIV_SUMMARIZATION = LengthFamily(
    "arxiv-summarization",
    "Summaries of long documents, prompt and output together at most 4096 tokens.",
    1000,
    "llama2-70b-a100-tp2",
    arxiv_lengths,
    "Published (microsoft/vidur, MIT): mean, std, median, 95th percentile and maximum of prefill (2588.1, "
    "944.7, 2730, 3813, 4054) and decode (291.4, 530.5, 167, 736, 4056) tokens, their sum at most 4096. "
    + SHAPE.format(" but for that sum")
    + TP2
    + ", KV cache of 50,859 tokens. Inferred: 256 slots.",
)

LMSYS_CHAT = LengthFamily(
    "lmsys-chat",
    "Short chats as in LMSYS-Chat-1M, with the KV cache of the KV-cache scheduling papers.",
    1000,
    "llama2-70b-a100-tp2",
    independent(LMSYS_PREFILL, LMSYS_DECODE),
    "Published (KV-cache scheduling papers): prefill mean 40.6 and median 11, decode mean 85.3 and median 45 "
    "tokens; KV cache of 16,492 tokens for Llama-2-70B on 2 A100. Inferred: log-normal shapes, cut off at "
    "8192 tokens, independent; all requests there from the start unless a rate is given; 256 slots. " + TP2 + ".",
    kv_capacity=16_492,
)

MOONCAKE_CONV = LengthFamily(
    "mooncake-conv",
    "Conversations as in Mooncake's trace: very long prompts, few of which fit the KV cache at once.",
    1000,
    "llama2-70b-a100-tp4",
    independent(fitted(Moments(12035.1, 15800.3, 6909, 39552, 126195)), fitted(Moments(342.6, 249.9, 350, 698, 2000))),
    "Published (Mooncake, FAST 2025): mean, std, median, 95th percentile and maximum of prefill (12035.1, "
    "15800.3, 6909, 39552, 126195) and decode (342.6, 249.9, 350, 698, 2000) tokens. " + SHAPE.format("") + TP4,
)
