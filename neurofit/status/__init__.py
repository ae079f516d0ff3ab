"""How an experiment stands: from its files and its queues, now and while one watches, with its logs."""
