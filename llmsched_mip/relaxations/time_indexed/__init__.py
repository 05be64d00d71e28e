"""The time-indexed relaxation: one choice a request, its start round; its linear program and its duals."""
