"""One fit, from a task to its files: data, model, compiled epochs, the loop around them, what is kept."""
