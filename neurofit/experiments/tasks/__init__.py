"""A task at work: what its fit sees, checkpoints, history, and which errors are alike."""
