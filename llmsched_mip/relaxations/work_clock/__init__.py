"""Total completion on the clock of each worker: one order for prefill, rounds, what is in flight and what is idle."""
