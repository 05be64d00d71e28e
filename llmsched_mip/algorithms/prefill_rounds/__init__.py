"""Prefill rounds and who starts at each of them, annealed together, slots and KV cache seen."""
