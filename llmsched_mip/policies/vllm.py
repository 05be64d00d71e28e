"""vLLM's default scheduler."""

from __future__ import annotations

from llmsched_mip.policies.fcfs import first_come_first_served
from llmsched_mip.policies.parts.list_scheduling import ListScheduling
from llmsched_mip.policies.protocol import Problem


def vllm(problem: Problem) -> ListScheduling:
    """In order of arrival.

    `execution.replay` executes it with chunked prefill, whatever the semantics of the instance (docs/engines.md); as a
    rule for exclusive iterations it is `first_come_first_served`.
    """
    return first_come_first_served(problem)
