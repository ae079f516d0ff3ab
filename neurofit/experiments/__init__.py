"""What to run: definitions, grids, scripts, the store of what was done, results."""
