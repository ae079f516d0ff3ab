"""Whether a queue works: a job through it and back, and what that tells."""
