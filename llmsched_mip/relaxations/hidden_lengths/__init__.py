"""What no policy can reach on average that does not see the decode lengths: relaxations in expectation.

A bound of a plan is for those who know the lengths.  Here a policy learns a length when the request completes, and
the lengths are random: so a policy's decisions up to the start of a request say nothing of its length.
"""
