"""Mixed execution told once more (docs/engines.md): one iteration at a time, block by block, with lists and dicts.

Nothing is shared with the executor but the instance.  Every block of the KV cache is an object; every iteration is
scheduled and executed by itself; iterations with nothing new are not skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.mixed_engine import IterationTime, MixedEngine, decode_iteration, mixed_iteration

FOREVER = float("inf")


@dataclass(eq=False)
class Block:
    name: Any = None
    users: int = 0


@dataclass(eq=False)
class Job:
    index: int
    prompt: int
    length: int
    names: list[Any]
    arrival: float
    made: int = 0
    computed: int = 0
    goal: int = 0
    prefilling: bool = False
    blocks: list[Block] = field(default_factory=list)
    prefill_start: float = -1.0
    first_token: float = -1.0
    end: float = -1.0

    @property
    def tokens(self) -> int:
        return self.prompt + self.made

    @property
    def through(self) -> bool:
        """All of its tokens are scheduled: only the results are missing."""
        return self.made == self.length


def duration(time: IterationTime, prompt: int, attention: float, decodes: int, kv: int) -> float:
    """The formula of section 2, written out."""
    if time.table is not None:
        x, y, tokens = time.table.tokens, time.table.seconds, prompt + decodes
        if tokens <= x[0] or len(x) == 1:
            seconds = y[0]
        else:
            k = next((k for k in range(1, len(x)) if tokens <= x[k]), len(x) - 1)
            seconds = y[k - 1] + (y[k] - y[k - 1]) / (x[k] - x[k - 1]) * (tokens - x[k - 1])
    else:
        seconds = time.base_s + time.per_token_s * prompt
    seconds += time.per_attention_s * attention + time.per_sequence_s * decodes + time.per_kv_token_s * kv
    if time.collective is not None:
        seconds += time.collective.base_s + time.collective.per_token_s * (prompt + decodes)
    return seconds


class Server:
    """One worker."""

    def __init__(self, index: int, worker: Worker, key: Callable[[Job], Any]):
        self.index, self.worker, self.key = index, worker, key
        self.engine = worker.engine or MixedEngine()
        self.decode_s = decode_iteration(self.engine, worker.decode_time)
        self.mixed_s = mixed_iteration(self.engine, worker.prefill_time, worker.decode_time)
        blocks = 10**5 if worker.kv_capacity is None else worker.kv_capacity // self.engine.block_tokens
        self.free: list[Block] = [Block() for _ in range(blocks)]
        self.all_blocks = blocks
        self.known: dict[Any, Block] = {}
        self.waiting: list[Job] = []
        self.evicted: list[Job] = []
        self.running: list[Job] = []
        self.results: list[tuple[float, list[Job]]] = []
        self.busy_until, self.decide_at = 0.0, FOREVER
        self.prompt_iterations = self.decode_iterations = self.evictions = self.hits = self.peak = 0
        self.busy = 0.0

    # Blocks

    def take(self, job: Job, count: int) -> None:
        for _ in range(count):
            block = self.free.pop(0)
            if block.name is not None:
                del self.known[block.name]
                block.name = None
            block.users = 1
            job.blocks.append(block)

    def release(self, job: Job) -> None:
        for block in reversed(job.blocks):
            block.users -= 1
            if block.users == 0:
                self.free.append(block)
        job.blocks = []

    def name_full_blocks(self, job: Job, before: int) -> None:
        if not self.engine.prefix_cache:
            return
        for k in range(before // self.engine.block_tokens, job.computed // self.engine.block_tokens):
            name = job.names[k] if k < len(job.names) else ("its", job.index, k)
            if name not in self.known:
                job.blocks[k].name = name
                self.known[name] = job.blocks[k]

    def missing(self, job: Job, tokens: int) -> int:
        return -(-tokens // self.engine.block_tokens) - len(job.blocks)

    def found(self, job: Job) -> list[Block]:
        found: list[Block] = []
        if self.engine.prefix_cache:
            for k in range((job.tokens - 1) // self.engine.block_tokens):
                name = job.names[k] if k < len(job.names) else ("its", job.index, k)
                if name not in self.known:
                    break
                found.append(self.known[name])
        return found

    # One iteration

    def schedule(self) -> list[tuple[Job, int]]:
        budget, evicting, k = self.engine.token_budget, False, 0
        plan: list[tuple[Job, int]] = []
        while k < len(self.running) and budget > 0:
            job = self.running[k]
            if job.through:
                k += 1
                continue
            count = min(job.goal - job.computed, budget) if job.prefilling else 1
            while job in self.running and self.missing(job, job.computed + count) > len(self.free):
                last = self.running.pop()
                self.release(last)
                last.computed, last.prefilling = 0, False
                self.evicted.insert(0, last)
                self.evictions += 1
                evicting = True
            if job not in self.running:
                break
            budget -= self.plan(plan, job, count)
            k += 1
        slots = FOREVER if self.worker.slots is None else self.worker.slots
        while not evicting and budget > 0 and len(self.running) < slots and (self.evicted or self.waiting):
            job = self.evicted[0] if self.evicted else min(self.waiting, key=self.key)
            found = self.found(job)
            needed = self.missing(job, job.tokens) - len(found) + sum(block.users == 0 for block in found)
            if needed > len(self.free):
                break
            (self.evicted if self.evicted else self.waiting).remove(job)
            self.running.append(job)
            for block in found:
                if block.users == 0:
                    self.free.remove(block)
                block.users += 1
            job.blocks, job.goal, job.prefilling, job.prefill_start = found, job.tokens, True, -1.0
            job.computed = len(found) * self.engine.block_tokens
            self.hits += job.computed
            budget -= self.plan(plan, job, min(job.goal - job.computed, budget))
        self.peak = max(self.peak, self.all_blocks - len(self.free))
        return plan

    def plan(self, plan: list[tuple[Job, int]], job: Job, count: int) -> int:
        self.take(job, self.missing(job, job.computed + count))
        job.computed += count
        self.name_full_blocks(job, job.computed - count)
        plan.append((job, count))
        return count

    def decide(self, now: float) -> None:
        while self.results and self.results[0][0] <= now:
            for job in self.results.pop(0)[1]:
                if job in self.running:
                    self.running.remove(job)
                    self.release(job)
                else:
                    self.evicted.remove(job)
        plan = self.schedule()
        if not plan:
            self.decide_at = self.busy_until if self.busy_until > now else FOREVER
            return
        start = max(now, self.busy_until)
        end = start + self.duration(plan)
        self.busy += (end - start) * len(plan)
        for job, _ in plan:
            if job.prefill_start < 0:
                job.prefill_start = start
            if job.prefilling and job.computed < job.goal:
                continue
            job.prefilling = False
            job.made += 1
            if job.first_token < 0:
                job.first_token = end
            if job.through:
                job.end = end
        self.results.append((end, [job for job, _ in plan if job.through]))
        self.busy_until = end
        self.decide_at = start if self.engine.async_lag else end

    def duration(self, plan: list[tuple[Job, int]]) -> float:
        chunks = [(job.computed - count, count) for job, count in plan if job.prefilling]
        held = [job.computed for job, _ in plan if not job.prefilling]
        if not chunks:
            self.decode_iterations += 1
            return duration(self.decode_s, 0, 0.0, len(held), sum(held))
        self.prompt_iterations += 1
        attention = sum(count * (before + count / 2) for before, count in chunks)
        return duration(self.mixed_s, sum(count for _, count in chunks), attention, len(held), sum(held))


Route = Callable[[int, list[Server]], int]


def round_robin(number: int, servers: list[Server]) -> int:
    return number % len(servers)


def least_loaded(_: int, servers: list[Server]) -> int:
    return min(range(len(servers)), key=lambda w: (4 * len(queued(servers[w])) + len(servers[w].running), w))


def queued(server: Server) -> list[Job]:
    return server.waiting + server.evicted


def simulate(
    instance: Instance, key: Callable[[Job], Any] | None = None, route: Route = round_robin
) -> tuple[list[Server], list[Job]]:
    """Run all of it; the servers and the jobs, in the order of the instance.

    Ties of `key` go by arrival.
    """
    r = instance.requests
    names = [[]] * instance.n if r.prefix_blocks is None else [blocks.tolist() for blocks in r.prefix_blocks]
    jobs = [
        Job(i, p, d, names[i], a)
        for i, (p, d, a) in enumerate(
            zip(r.prefill_tokens.tolist(), r.decode_tokens.tolist(), r.arrival_s.tolist(), strict=True)
        )
    ]
    coming = [jobs[i] for i in np.argsort(r.arrival_s, kind="stable")]
    number = {job.index: k for k, job in enumerate(coming)}
    order = (lambda job: number[job.index]) if key is None else (lambda job: (key(job), number[job.index]))
    servers = [Server(w, worker, order) for w, worker in enumerate(instance.workers)]
    come = 0
    while any(job.end < 0 for job in jobs) or any(server.decide_at < FOREVER for server in servers):
        server = min(servers, key=lambda server: server.decide_at)
        if come < len(coming) and coming[come].arrival <= server.decide_at:
            job = coming[come]
            chosen = servers[route(come, servers)]
            come += 1
            chosen.waiting.append(job)
            if chosen.decide_at == FOREVER:
                chosen.decide_at = job.arrival
            continue
        server.decide(server.decide_at)
    return servers, jobs
