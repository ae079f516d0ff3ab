"""SLURM, through submitit."""
