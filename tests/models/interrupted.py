"""A training that is interrupted: a model with everything that training changes, a fit that dies, what is
left.
"""

from __future__ import annotations

import numpy as np

import neurofit as nf


def noisy(shapes, *, units=4, dropout=0.3, l2=0.01):
    """A model with weights, a penalty, dropout, and batch statistics."""
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            Dense(units, activation="softplus", kernel_regularizer=L2(l2), name="core"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(dropout),
            Dense(shapes.neurons, activation="softplus", name="neurons"),
        ]
    )


def weights(desk, fit):
    """Arrays of the model that the desk's last attempt left, all but the seeds."""
    model = nf.models.load_folder(desk.last.folder, fit)
    return [np.asarray(one) for one in model.variables if one.name != "seed_generator_state"]


class Killed(Exception):
    """The process is gone."""


class Dying:
    """A fit that dies when it writes about an epoch."""

    def __init__(self, fit, epoch):
        self.fit, self.epoch = fit, epoch

    def __call__(self, task):
        log = task.log

        def dying(step, **numbers):
            if step == self.epoch:
                raise Killed
            log(step, **numbers)

        task.log = dying
        return self.fit(task)
