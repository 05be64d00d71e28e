"""Exact search over the stages of one worker: prefill iterations between decode rounds, small backlogs."""
