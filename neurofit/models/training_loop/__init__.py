"""How weights find their values: compiled steps, the loop around them, when to stop, and checkpoints to go on
from.
"""
