"""Exact and heuristic algorithms of our own: packing, unit rounds, stages."""
