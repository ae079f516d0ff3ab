"""What a search tries next: what is known of its trials, and what Optuna suggests from it."""
