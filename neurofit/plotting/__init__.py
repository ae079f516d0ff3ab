"""Pictures: curves over repetitions, training progress, scores per neuron, and views of a model.

Functions that draw take arrays and a matplotlib Axes, and return it; `figure` makes one, `save` writes it. The public
names read no study and do not load TensorFlow. matplotlib (the extra `plots`) loads when something is drawn.

Modules, by what they answer:

- which tasks: `tasks`, `groups`
- which numbers: `curves`, `curve_sets`, `events`, `references`
- which numbers, and how drawn: `neurons`, `over_axis`
- how drawn: `style`, `lines`, `maps`, `distributions`, `stimuli` (of data); `pictures` and `score_pictures` combine
  numbers and drawing, and `requests` maps the options of `neurofit plot` to a picture
"""

from __future__ import annotations

from neurofit.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
