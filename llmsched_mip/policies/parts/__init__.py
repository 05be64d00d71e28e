"""What policies are composed of: a queue, admission, estimates of lengths, a plan's order and times, prices."""
