"""Other instances of which the model says how their optimum stands to that of the first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from fuzzing.draw import draw
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Worker
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill


def stream(seed: int, number: int, *kinds: str) -> Iterator[Instance]:
    """The first `number` instances of these kinds (see `fuzzing.draw`)."""
    found = 0
    for k in count():
        try:
            instance = draw(seed, k)
        except InvalidInputError:
            continue
        if instance.name.split()[-1] in kinds:
            yield instance
            found += 1
        if found == number:
            return


def in_unit(instance: Instance, factor: float) -> Instance:
    """The same instance with every time multiplied by `factor`."""

    def worker(before: Worker) -> Worker:
        prefill, decode = before.prefill_time, before.decode_time
        if isinstance(prefill, LevelPrefill):
            prefill = replace(prefill, level_seconds=tuple(s * factor for s in prefill.level_seconds))
        else:
            prefill = AffinePrefill(prefill.base_s * factor, prefill.per_token_s * factor)
        return replace(
            before,
            prefill_time=prefill,
            decode_time=DecodeTime(
                decode.base_s * factor, decode.per_sequence_s * factor, decode.per_kv_token_s * factor
            ),
        )

    requests = replace(instance.requests, arrival_s=instance.requests.arrival_s * factor)
    return replace(instance, requests=requests, workers=tuple(worker(before) for before in instance.workers))


def shuffled(instance: Instance, rng: random.Random) -> Instance:
    """The requests in another order."""
    return instance.take(rng.sample(range(instance.n), instance.n))


def at_different_times(instance: Instance, rng: random.Random) -> Instance:
    """The same requests, no two of which arrive together."""
    spread = 1.0 + float(np.ptp(instance.requests.arrival_s))
    arrival = [spread * (i + rng.random()) / instance.n for i in rng.sample(range(instance.n), instance.n)]
    return instance.with_requests(replace(instance.requests, arrival_s=np.array(arrival)))


def later(instance: Instance, seconds: float) -> Instance:
    """All arrivals later."""
    return instance.with_requests(replace(instance.requests, arrival_s=instance.requests.arrival_s + seconds))


def heavier(instance: Instance, factor: float) -> Instance:
    """All weights times a factor."""
    return instance.with_requests(replace(instance.requests, weight=instance.requests.weight * factor))


def roomier(instance: Instance, rng: random.Random) -> Instance:
    """More slots, more KV capacity, or one worker more."""
    k = rng.randrange(len(instance.workers))
    worker = instance.workers[k]
    choices = [(*instance.workers, replace(worker, name="one more"))]
    for name in ("slots", "kv_capacity"):
        value = getattr(worker, name)
        if value is not None:
            more = rng.choice((None, value + rng.randint(1, 5)))
            choices.append((*instance.workers[:k], replace(worker, **{name: more}), *instance.workers[k + 1 :]))
    return replace(instance, workers=rng.choice(choices))


def fewer(instance: Instance, rng: random.Random) -> Instance:
    """Without one of at least two requests."""
    gone = rng.randrange(instance.n)
    return instance.take([i for i in range(instance.n) if i != gone])
