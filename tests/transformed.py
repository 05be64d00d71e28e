"""Instances in another unit of time or weight."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Worker


def scaled(instance: Instance, time: int, weight: int = 0) -> Instance:
    """The instance with all times multiplied by ``2**time`` and all weights by ``2**weight``."""
    r = instance.requests
    requests = replace(r, arrival_s=np.ldexp(r.arrival_s, time), weight=np.ldexp(r.weight, weight))
    return replace(instance, requests=requests, workers=tuple(_worker(before, time) for before in instance.workers))


def _worker(worker: Worker, time: int) -> Worker:
    prefill, decode = worker.prefill_time, worker.decode_time
    if isinstance(prefill, LevelPrefill):
        times = LevelPrefill(prefill.tokens, tuple(math.ldexp(s, time) for s in prefill.level_seconds))
    else:
        times = AffinePrefill(math.ldexp(prefill.base_s, time), math.ldexp(prefill.per_token_s, time))
    rounds = (decode.base_s, decode.per_sequence_s, decode.per_kv_token_s)
    return replace(worker, prefill_time=times, decode_time=DecodeTime(*(math.ldexp(s, time) for s in rounds)))
