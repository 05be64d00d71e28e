"""One worker under mixed execution (docs/engines.md).

What does not change is not stepped through: iterations without prompt tokens, with the same decodes and with nobody
who could be admitted, are one run with a closed form for its duration, its KV tokens and its blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from llmsched_mip.execution.events import Event
from llmsched_mip.execution.mixed_blocks import KVBlocks
from llmsched_mip.execution.mixed_clock import IterationClock
from llmsched_mip.execution.mixed_decodes import UNSEEN, Decodes, Progress
from llmsched_mip.execution.mixed_queue import WaitingOrder
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.measures import WorkerTotals
from llmsched_mip.mixed_engine import MixedEngine
from llmsched_mip.policies.protocol import WorkerView
from llmsched_mip.worker import Worker

NEVER = float("inf")
NO_IDS: list[int] = []


class Lane:
    """State of one worker.

    Parameters
    ----------
    index : int
    worker : Worker
    progress : Progress
        Of all requests.
    waiting : WaitingOrder
    log : callable, optional
        Called with every `Event`.

    Attributes
    ----------
    decides_at : float
        When the next iteration is scheduled; never while nothing runs or waits.
    """

    def __init__(
        self,
        index: int,
        worker: Worker,
        progress: Progress,
        waiting: WaitingOrder,
        log: Callable[[Event], None] | None = None,
    ):
        engine = worker.engine or MixedEngine()
        self.progress, self.waiting, self.log = progress, waiting, log
        self.index = index
        # A policy orders the queue of this worker alone: its number is 0.
        self.view = WorkerView(0, worker)
        self.clock = IterationClock(worker)
        self.budget, self.lag = engine.token_budget, engine.async_lag
        self.slots = MOST_LIMIT if worker.slots is None else worker.slots
        capacity = worker.kv_capacity
        blocks = None if capacity is None else capacity // engine.block_tokens
        self.blocks = KVBlocks(blocks, engine.block_tokens, engine.prefix_cache)
        self.evicted: deque[int] = deque()
        self.ids: dict[int, list[int]] = {}
        self.running: dict[int, None] = {}
        """In the order of admission."""
        self.partial = -1
        """The one whose prompt is not through: the last admitted; -1: none."""
        self.decodes = Decodes(progress, engine.block_tokens, self.view.started)
        self.finishing: list[int] = []
        """Those whose last token is in flight."""
        self.busy_until = self.run_start = 0.0
        self.run = 0
        """Iterations of the decode run that is planned; 0: none."""
        self.decides_at = NEVER
        self.version = 0
        self.busy = 0.0
        self.admissions = self.prompt_iterations = self.decode_iterations = self.evictions = self.hit_tokens = 0

    @property
    def load(self) -> int:
        """As the engine's balancer between replicas weighs it: four times what waits, and what runs."""
        return 4 * (len(self.waiting) + len(self.evicted)) + len(self.running)

    def arrived(self, request: int, now: float) -> bool:
        """Queue a request; whether the time of the next decision has changed."""
        matters = not self.waiting.late or not (self.waiting or self.evicted)
        self.progress.worker[request] = self.index
        self.waiting.arrived(request, now)
        if self.decides_at == NEVER:
            self.decides_at = now
            return True
        if not matters or self.run <= 1:
            return False
        needed = self.clock.iterations_to_pass(
            now - self.run_start, self.decodes.count, self.decodes.kv_tokens + self.decodes.count, self.run
        )
        iterations = max(1, needed + self.lag)
        if iterations >= self.run:
            return False
        self._plan_run(iterations)
        return True

    def _plan_run(self, iterations: int) -> None:
        self.run = iterations
        self.decides_at = self.run_start + self._run_seconds(iterations - self.lag)

    def _run_seconds(self, iterations: int) -> float:
        return self.clock.run(iterations, self.decodes.count, self.decodes.kv_tokens + self.decodes.count)

    def decide(self, now: float) -> int:
        """Schedule the next iteration, and all that follow it with nothing to decide; how many requests completed."""
        if self.run:
            self._end_run()
        done = self._complete(now)
        view, decodes = self.view, self.decodes
        view.time, view.rounds, view.kv_held = now, decodes.iteration, decodes.kv_tokens
        view.free_slots = self.slots - len(self.running)
        needed = decodes.next_blocks
        if decodes.count > self.budget or needed + self._partial_blocks() > self.blocks.free:
            chunks, count, kv_tokens = self._schedule_one_by_one(now)
            if chunks or count:
                self._execute(now, chunks, count, kv_tokens)
            else:
                self._nothing(now)
            return done
        chunks = self._schedule_prompts(now, needed)
        if chunks:
            self._execute(now, chunks, decodes.count, decodes.kv_tokens + decodes.count)
        elif decodes.count:
            self._begin_run(now)
        else:
            self._nothing(now)
        return done

    def _nothing(self, now: float) -> None:
        """No iteration now: look again when the one in flight has ended, or when a request arrives."""
        self.decides_at = self.busy_until if self.busy_until > now else NEVER

    def _complete(self, now: float) -> int:
        """Free what requests hold whose last token has been made by now."""
        progress, done = self.progress, 0
        if not self.finishing:
            return 0
        left = []
        if len(self.finishing) > 1:
            self.finishing.sort(key=progress.turn.__getitem__)
        for i in self.finishing:
            if progress.completion[i] > now:
                left.append(i)
                continue
            done += 1
            if i in self.running:
                del self.running[i]
                self._free(i, progress.computed[i], 0)
            else:
                self.evicted.remove(i)
            self.ids.pop(i, None)
            self.waiting.completed(i, progress.lengths[i], self.view)
            self._note(progress.completion[i], "complete", i)
        self.finishing = left
        return done

    def _free(self, i: int, computed: int, full: int) -> None:
        held = self.blocks.of(computed)
        self.blocks.release(i, self._ids(i), self.progress.known[i], held, full)
        self.progress.known[i] = 0

    def _ids(self, i: int) -> list[int]:
        """Ids of the whole blocks of a prompt."""
        every = self.progress.ids
        if every is None:
            return NO_IDS
        ids = self.ids.get(i)
        if ids is None:
            ids = every[i].tolist()[: self.progress.prompts[i] // self.blocks.tokens]
            self.ids[i] = ids
        return ids

    def _note(self, time: float, event: str, i: int = -1) -> None:
        if self.log:
            held = self.blocks.held * self.blocks.tokens
            self.log(Event(time, self.index, event, i, -1, len(self.running), held))

    # Decode runs

    def _begin_run(self, now: float) -> None:
        """Plan iterations of the decodes alone, until the first completes or a block is needed that is not free."""
        iterations = 1 if self.finishing else self.decodes.iterations_within(self.blocks.free)
        self.run_start = max(now, self.busy_until)
        self._plan_run(iterations)
        self._note(self.run_start, "decode")

    def _end_run(self) -> None:
        """What the planned iterations do."""
        iterations, seconds = self.run, self._run_seconds(self.run)
        self.blocks.take(self.decodes.blocks(iterations))
        self.blocks.note_peak()
        self.busy_until = self.run_start + seconds
        self.busy += seconds * self.decodes.count
        self.decode_iterations += iterations
        self.run = 0
        for i in self.decodes.advance(iterations):
            self._finishes(i)

    def _finishes(self, i: int) -> None:
        progress = self.progress
        progress.completion[i] = self.busy_until
        progress.computed[i] = progress.prompts[i] + progress.lengths[i] - 1
        progress.made[i] = progress.lengths[i]
        self.finishing.append(i)

    # Prompts

    def _partial_blocks(self) -> int:
        """Blocks that the next chunk of the prompt needs that is not through."""
        if self.partial < 0:
            return 0
        progress, i = self.progress, self.partial
        computed = progress.computed[i]
        count = min(progress.prompts[i] + progress.made[i] - computed, self.budget - self.decodes.count)
        return self.blocks.of(computed + count) - self.blocks.of(computed)

    def _schedule_prompts(self, now: float, needed: int) -> list[tuple[int, int]]:
        """Chunks of the next iteration, in which the decodes take `needed` blocks: of the prompt that is not through,
        then of requests that are admitted, up to the first that does not fit."""
        chunks: list[tuple[int, int]] = []
        left = self.budget - self.decodes.count
        if left <= 0:
            return chunks
        if self.partial >= 0:
            self.blocks.take(needed + self._partial_blocks())
            left -= self._chunk(chunks, self.partial, left)
            following = self._next_that_fits(0)
        else:
            following = self._next_that_fits(needed)
            if following < 0:
                return chunks
            self.blocks.take(needed)
            if self.blocks.may_know(following, self._ids(following)):
                # What it was to find may just have been taken.
                following = self._next_that_fits(0)
        while left > 0 and following >= 0:
            self._admit(now, following)
            left -= self._chunk(chunks, following, left, take=True)
            following = self._next_that_fits(0) if left > 0 else -1
        return chunks

    def _next_that_fits(self, needed: int) -> int:
        """The request that is next, if a slot and the blocks of all its tokens are free beside `needed` ones; or -1."""
        if len(self.running) >= self.slots or not (self.evicted or self.waiting):
            return -1
        i = self.evicted[0] if self.evicted else self.waiting.first(self.view)
        progress, blocks = self.progress, self.blocks
        tokens = progress.prompts[i] + progress.made[i]
        known, again, idle = blocks.find(i, self._ids(i), (tokens - 1) // blocks.tokens)
        return i if blocks.of(tokens) - known - again + idle <= blocks.free - needed else -1

    def _admit(self, now: float, i: int) -> None:
        """Take a request from the queue, with the blocks that the prefix cache holds of it."""
        progress, blocks, ids = self.progress, self.blocks, self._ids(i)
        if self.evicted:
            self.evicted.popleft()
        else:
            self.waiting.take(i, self.view)
        self.running[i] = None
        self.admissions += 1
        progress.turn[i] = self.admissions
        self.view.free_slots -= 1
        most = (progress.prompts[i] + progress.made[i] - 1) // blocks.tokens
        known, again, _ = blocks.find(i, ids, most)
        blocks.hold_found(i, ids, known, again)
        progress.known[i] = known
        progress.computed[i] = (known + again) * blocks.tokens
        self.hit_tokens += progress.computed[i]
        progress.prefill_start[i] = max(now, self.busy_until)
        progress.decode_start[i] = UNSEEN
        self._note(progress.prefill_start[i], "prefill", i)

    def _chunk(self, chunks: list[tuple[int, int]], i: int, left: int, take: bool = False) -> int:
        """Add the next chunk of a prompt, of at most `left` tokens, and where asked take its blocks; its tokens."""
        progress, blocks, ids = self.progress, self.blocks, self._ids(i)
        before = progress.computed[i]
        tokens = progress.prompts[i] + progress.made[i]
        count = min(tokens - before, left)
        after = progress.computed[i] = before + count
        if take:
            blocks.take(blocks.of(after) - blocks.of(before))
        full = min(before // blocks.tokens, len(ids))
        if blocks.caches and progress.known[i] == full:
            progress.known[i] = blocks.name(ids, full, min(after // blocks.tokens, len(ids)))
        self.partial = i if after < tokens else -1
        chunks.append((i, count))
        return count

    # What is not in closed form

    def _schedule_one_by_one(self, now: float) -> tuple[list[tuple[int, int]], int, int]:
        """An iteration for which there are not tokens or blocks for all: request by request, in the order of admission.

        Where blocks are missing the last admitted is evicted, and nobody is admitted.

        Returns
        -------
        list of (int, int), int, int
            Chunks, decodes, and the KV tokens that these hold in it.
        """
        progress, blocks, running = self.progress, self.blocks, self.running
        prompts, lengths, last, iteration = progress.prompts, progress.lengths, progress.last, self.decodes.iteration
        chunks: list[tuple[int, int]] = []
        left, decodes, kv_tokens = self.budget, 0, 0
        for i in list(running):
            if i not in running:
                break
            decoding = last[i] >= 0
            if not decoding and i != self.partial:
                continue
            if left == 0:
                if decoding:
                    self.decodes.stall(i)
                continue
            if decoding:
                computed = prompts[i] + lengths[i] - 1 - last[i] + iteration
                needed = 0 if computed % blocks.tokens else 1
            else:
                computed = progress.computed[i]
                tokens = min(prompts[i] + progress.made[i] - computed, left)
                needed = blocks.of(computed + tokens) - blocks.of(computed)
            while needed > blocks.free and i in running:
                self._evict(next(reversed(running)), now)
            if i not in running:
                break
            if decoding:
                if needed:
                    blocks.take(1)
                left, decodes, kv_tokens = left - 1, decodes + 1, kv_tokens + computed + 1
            else:
                left -= self._chunk(chunks, i, left, take=True)
        return chunks, decodes, kv_tokens

    def _evict(self, i: int, now: float) -> None:
        """Free the blocks of a request and let it wait in front of all others."""
        progress = self.progress
        if progress.last[i] >= 0:
            computed = self.decodes.computed(i)
            progress.made[i] = computed - progress.prompts[i] + 1
            self.decodes.leave(i)
        else:
            computed = progress.computed[i]
        if i == self.partial:
            self.partial = -1
        del self.running[i]
        comes_back = progress.completion[i] < 0
        self._free(i, computed, computed // self.blocks.tokens if comes_back else 0)
        progress.computed[i] = 0
        self.evicted.appendleft(i)
        self.evictions += 1
        self._note(now, "evict", i)

    def _execute(self, now: float, chunks: list[tuple[int, int]], decodes: int, kv_tokens: int) -> None:
        """Run one iteration of these chunks and decodes, which hold `kv_tokens`."""
        progress = self.progress
        start = max(now, self.busy_until)
        self.blocks.note_peak()
        if chunks:
            prompt_tokens, attention = 0, 0.0
            for i, count in chunks:
                prompt_tokens += count
                attention += count * (progress.computed[i] - count / 2)
            seconds = self.clock.mixed(prompt_tokens, attention, decodes, kv_tokens)
            self.prompt_iterations += 1
        else:
            seconds = self.clock.run(1, decodes, kv_tokens)
            self.decode_iterations += 1
        end = self.busy_until = start + seconds
        self.busy += seconds * (decodes + len(chunks))
        for i in self.decodes.advance(1, decodes):
            self._finishes(i)
        for i, _ in chunks:
            if i == self.partial:
                continue
            progress.made[i] += 1
            progress.decode_start[i] = end
            if progress.first_token[i] < 0:
                progress.first_token[i] = end
            if progress.made[i] == progress.lengths[i]:
                self._finishes(i)
            else:
                self.decodes.join(i)
        self.decides_at = start if self.lag else end

    def totals(self) -> WorkerTotals:
        """What the worker did in all; KV in whole blocks."""
        peak = self.blocks.peak * self.blocks.tokens
        return WorkerTotals(self.view.worker.name, self.busy, self.prompt_iterations, self.decode_iterations, peak)
