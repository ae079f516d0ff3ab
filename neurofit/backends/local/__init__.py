"""This machine as a queue: a pool of processes that outlives its submitter."""
