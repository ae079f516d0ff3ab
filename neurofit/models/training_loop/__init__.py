"""The training loop: compiled steps, the loop around them, early stopping, checkpoints, TensorBoard."""
