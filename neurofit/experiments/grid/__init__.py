"""Grids of arguments, the values of arguments, and conditions on them."""
