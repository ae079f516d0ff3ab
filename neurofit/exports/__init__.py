"""Results for other trackers of experiments, as folders on disk: TensorBoard's hparams, MLflow, Weights & Biases."""
