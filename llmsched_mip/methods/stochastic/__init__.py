"""Plans for lengths that are not seen: sample average approximation (docs/stochastic.md)."""
