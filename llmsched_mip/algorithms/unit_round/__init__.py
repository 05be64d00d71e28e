"""The unit-round problem of the KV-cache papers: start rounds under a KV capacity, total completion."""
