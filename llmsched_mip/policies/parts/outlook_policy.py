"""What every rule that looks ahead notes of the requests that start and stop."""

from __future__ import annotations

from llmsched_mip.policies.parts.backlog import BacklogPolicy
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.protocol import WorkerView


class OutlookPolicy(BacklogPolicy):
    """A policy with a backlog and an outlook, which has to be told of every prefill that the policy decides."""

    outlook: Outlook

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        super().arrived(request, time)
        self.outlook.arrived(request)

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        super().admitted(request, view)
        self.outlook.started([request], view)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        super().completed(request, length, view)
        self.outlook.stopped(request, view)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last, of several the last to arrive."""
        victims = super().evict(view)
        for i in victims:
            self.outlook.stopped(i, view)
        return victims
