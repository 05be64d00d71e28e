"""List scheduling in which requests that run together end together, and a search over its rules."""
