"""This machine as a queue: a pool of processes, which outlives its submitter."""
