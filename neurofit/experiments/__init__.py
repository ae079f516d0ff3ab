"""What to run: experiments, their grids, scripts and the code that jobs use."""
