"""Grids and what their points are made of: arguments, conditions on them, selectors of runs."""
