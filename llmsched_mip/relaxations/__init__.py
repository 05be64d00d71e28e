"""Relaxations by the field's names: fluid, time-indexed, interval-indexed, prefill cover, limits of a worker."""
