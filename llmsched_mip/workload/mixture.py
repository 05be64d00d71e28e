"""Short chats and long summarisations on one worker with little KV, where the waiting order matters."""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import IntArray
from llmsched_mip.workload.family import LengthFamily
from llmsched_mip.workload.marginals import draw, stream
from llmsched_mip.workload.published import LMSYS_DECODE, LMSYS_PREFILL, TP2, arxiv_lengths

CHAT_SHARE = 0.8


def mixture_lengths(count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Lengths of a chat with probability `CHAT_SHARE`, else of a summarisation: each of shape (count,)."""
    chat = stream(seed, "size").random(count) < CHAT_SHARE
    long_prefill, long_decode = arxiv_lengths(count, seed)
    prefill = np.where(chat, draw(LMSYS_PREFILL, count, seed, "prefill"), long_prefill)
    decode = np.where(chat, draw(LMSYS_DECODE, count, seed, "decode"), long_decode)
    return prefill, decode


MIXTURE = LengthFamily(
    "mixture",
    "Four short chats to one long summarisation, with the KV cache of the KV-cache scheduling papers.",
    1000,
    "llama2-70b-a100-tp2",
    mixture_lengths,
    "Published: the lengths of chats (LMSYS in the KV-cache scheduling papers: prefill mean 40.6, median 11, "
    "decode mean 85.3, median 45) and of summarisations (microsoft/vidur, MIT: prefill mean 2588.1, decode "
    "mean 291.4, sum at most 4096); KV cache of 16,492 tokens for Llama-2-70B on 2 A100. Inferred: 80 % "
    "chats, the shapes as in the families lmsys-chat and arxiv-summarization, 256 slots; all requests there "
    "from the start unless a rate is given. " + TP2 + ".",
    kv_capacity=16_492,
)
