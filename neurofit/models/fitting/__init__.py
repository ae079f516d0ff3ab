"""One fit, from a task to its files: data, model, training loop, scores, and what is saved."""
