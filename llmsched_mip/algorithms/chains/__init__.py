"""Chains of requests, one a slot, whose starts coincide: few prefill iterations beside few rounds."""
