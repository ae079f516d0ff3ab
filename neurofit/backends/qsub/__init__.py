"""The queues that are asked by `qsub`: Grid Engine and PBS, and what both share."""
