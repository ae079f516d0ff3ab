"""The status of an experiment, from its files and its queues; the logs of its tasks."""
