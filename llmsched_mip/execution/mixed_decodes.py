"""The decodes of one worker under mixed execution.

All of them make a token in each iteration, so of each only the iteration of its last token and that of its next block
are kept, by the number of the iteration, and neither costs anything per token.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from llmsched_mip.timing import IntArray

UNSEEN = -1.0


@dataclass(eq=False)
class Progress:
    """What is known of all requests; lists of length n.

    Attributes
    ----------
    prompts, lengths : list of int
        p and d, tokens.
    ids : sequence of int arrays, or None
        Ids of the prompts' blocks, of the size of the worker's.
    made : list of int
        Tokens made; of a request in decode as of its last admission.
    computed : list of int
        Tokens whose KV is there or scheduled; of a request in decode as of its first iteration there.
    known : list of int
        Blocks that the prefix cache knows by their id.
    turn : list of int
        Number of the last admission on its worker.
    last : list of int
        Number of the iteration after that of the last token, on its worker; -1: not in decode.
    prefill_start, decode_start, first_token, completion : list of float
        Seconds; -1: not yet.
    worker : list of int
    """

    prompts: list[int]
    lengths: list[int]
    ids: Sequence[IntArray] | None
    made: list[int] = field(init=False)
    computed: list[int] = field(init=False)
    known: list[int] = field(init=False)
    turn: list[int] = field(init=False)
    last: list[int] = field(init=False)
    prefill_start: list[float] = field(init=False)
    decode_start: list[float] = field(init=False)
    first_token: list[float] = field(init=False)
    completion: list[float] = field(init=False)
    worker: list[int] = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.prompts)
        self.made, self.computed, self.known, self.turn = [0] * n, [0] * n, [0] * n, [0] * n
        self.last, self.worker = [-1] * n, [-1] * n
        self.prefill_start, self.decode_start = [UNSEEN] * n, [UNSEEN] * n
        self.first_token, self.completion = [UNSEEN] * n, [UNSEEN] * n


class Decodes:
    """The requests of one worker whose prompt is through.

    Parameters
    ----------
    progress : Progress
    block_tokens : int
    started : dict of int to int
        Is kept: the requests, and the number of the iteration before that of their first token.

    Attributes
    ----------
    count : int
    iteration : int
        Iterations scheduled on the worker so far, all of them.
    kv_tokens : int
        That the decodes hold.
    """

    def __init__(self, progress: Progress, block_tokens: int, started: dict[int, int]):
        self._progress, self._tokens, self._started = progress, block_tokens, started
        self.count = self.iteration = self.kv_tokens = 0
        # Decodes by the number of the iteration that needs a block, modulo the tokens of a block.
        self._phases = [0] * block_tokens
        self._ends: list[tuple[int, int]] = []

    @property
    def next_blocks(self) -> int:
        """Blocks that the next iteration takes."""
        return self._phases[self.iteration % self._tokens]

    def blocks(self, iterations: int) -> int:
        """Blocks that so many iterations take."""
        whole, rest = divmod(iterations, self._tokens)
        taken, phase = whole * self.count, self.iteration % self._tokens
        for _ in range(rest):
            taken += self._phases[phase]
            phase = phase + 1 if phase + 1 < self._tokens else 0
        return taken

    def iterations_within(self, free: int) -> int:
        """Iterations until the first decode has made its last token, as far as `free` blocks do."""
        ends, last, tokens = self._ends, self._progress.last, self._tokens
        while last[ends[0][1]] != ends[0][0]:
            heapq.heappop(ends)
        most = ends[0][0] - self.iteration
        if self.count * (most // tokens + 1) <= free:
            return most
        whole = min(free // self.count, most // tokens)
        free -= whole * self.count
        iterations, phase = whole * tokens, self.iteration % tokens
        while iterations < most:
            free -= self._phases[phase]
            if free < 0:
                break
            iterations += 1
            phase = phase + 1 if phase + 1 < tokens else 0
        return iterations

    def advance(self, iterations: int, count: int | None = None) -> list[int]:
        """Run so many iterations of all decodes, or one of `count` of them; those that have made their last token,
        which are no decodes any more."""
        self.iteration += iterations
        self.kv_tokens += iterations * (self.count if count is None else count)
        ends, last, done = self._ends, self._progress.last, []
        while ends and ends[0][0] <= self.iteration:
            end, i = heapq.heappop(ends)
            if last[i] == end:
                self.leave(i)
                done.append(i)
        return done

    def computed(self, i: int) -> int:
        """Tokens of a decode whose KV is there or scheduled."""
        progress = self._progress
        return progress.prompts[i] + progress.lengths[i] - 1 - (progress.last[i] - self.iteration)

    def join(self, i: int) -> None:
        """Let a request whose prompt is through decode from the next iteration on."""
        progress = self._progress
        computed = progress.computed[i]
        last = progress.last[i] = self.iteration + progress.lengths[i] - progress.made[i]
        heapq.heappush(self._ends, (last, i))
        self._phases[(self.iteration - computed) % self._tokens] += 1
        self.count += 1
        self.kv_tokens += computed
        self._started[i] = last - progress.lengths[i]

    def leave(self, i: int) -> None:
        """Take a decode out."""
        computed = self.computed(i)
        self._phases[(self.iteration - computed) % self._tokens] -= 1
        self.count -= 1
        self.kv_tokens -= computed
        self._progress.last[i] = -1
        del self._started[i]

    def stall(self, i: int) -> None:
        """Let a decode miss the next iteration."""
        progress, phase = self._progress, (self.iteration - self.computed(i)) % self._tokens
        self._phases[phase] -= 1
        self._phases[(phase + 1) % self._tokens] += 1
        progress.last[i] += 1
        self._started[i] += 1
        heapq.heappush(self._ends, (progress.last[i], i))
