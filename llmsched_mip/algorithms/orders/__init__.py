"""Plans of one worker from orders and batches of its requests: list scheduling and local search, compiled."""
