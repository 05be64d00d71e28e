"""Total completion on a clock of work: one order for prefill, rounds, what is in flight and what stands idle."""
