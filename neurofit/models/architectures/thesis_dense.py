"""The thesis' models without convolution: differences of Gaussians over the image, and filters of its pixels.

Arguments have the thesis' own names, so that its run lists and ours read alike. What all of them share:
variances of Gaussians in (1, 25), weights and biases from N(0, .1) unless said otherwise, and NDN's start of
the centres, the rows 2 pixels below their bounds (`layers.DifferenceOfGaussians`, start_below), which leaves
some filters without a gradient. Penalties are summed over weights, L2 with its ½, as NDN has them.
"""

from __future__ import annotations

from neurofit.errors import UsageError
from neurofit.models.architectures.basic import hidden_units, linear_nonlinear

START_BELOW = 2.0  # pixels


def dog_hidden(
    shapes,
    *,
    dog_layers=9,
    hidden=0.2,
    activation="linear",
    biases="normal",
    hidden_layers=1,
    lin_scale=False,
    reg_h=0.0,
    reg_l=0.0,
):
    """[w · x + b →] DoG(dog_layers) → softplus(hidden · neurons) × hidden_layers → softplus(neurons).

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    dog_layers : int
        Number of DoG filters.
    hidden : float
        Hidden units per neuron, rounded down.
    activation : str
        Of the DoG filters.
    biases : {"normal", "zeros"}
        How they start.
    hidden_layers : int
        Number of hidden layers.
    lin_scale : bool
        Whether to learn one scale of the pixels first.
    reg_h, reg_l : float
        L2 on the weights of the (first) hidden and of the last layer.

    Returns
    -------
    keras.Model
    """
    from neurofit.models.layers import Scale
    from neurofit.models.regularizers import named

    first = [Scale(name="scale")] if lin_scale else []
    penalties = named("l2", reg_h), named("l2", reg_l)
    return _dog(
        shapes, dog_layers, hidden, activation, biases, penalties, first=first, hidden_layers=hidden_layers
    )


def dog_penalised(shapes, *, dog_layers=9, hidden=0.2, reg_type="l2", reg_lambda=0.0):
    """`dog_hidden` with one kind of penalty (`regularizers.named`), of equal strength, on hidden and last layer."""
    from neurofit.models.regularizers import named

    penalties = named(reg_type, reg_lambda), named(reg_type, reg_lambda)
    return _dog(shapes, dog_layers, hidden, penalties=penalties)


def dog_l2(shapes, *, dog_layers=9, hidden=0.2, l2=0.0):
    """`dog_penalised` with L2."""
    return dog_penalised(shapes, dog_layers=dog_layers, hidden=hidden, reg_type="l2", reg_lambda=l2)


def dog_dropout(shapes, *, hidden=0.2, dropout_h=1.0):
    """`dog_hidden`, trained with the share `dropout_h` of the hidden units: NDN's keep_prob, despite its name.

    There is one draw per batch, the same for all its images, as in NDN; kept units count 1 / dropout_h.
    Predictions use all units (NDN's validation curves kept the noise on). 1 drops nothing. 0 keeps nothing, in
    training and prediction: only the last layer's biases learn. NDN refused it.

    Raises
    ------
    UsageError
        The share is outside [0, 1].
    """
    import keras

    if not 0 <= dropout_h <= 1:
        raise UsageError(f"dog_dropout(dropout_h={dropout_h!r}): expected the share of units to keep, 0 … 1.")
    units = hidden_units(hidden, shapes.neurons)
    after = [keras.layers.Dropout(1 - dropout_h, noise_shape=(1, units), name="dropout")]
    if dropout_h == 0:
        after = [keras.layers.Rescaling(0.0, name="dropout")]
    return _dog(shapes, 9, hidden, after=after)


def lnln(shapes, *, hidden=0.2, reg_h=0.0, reg_l=0.0):
    """softplus(hidden · neurons) → softplus(neurons) on the pixels.

    `reg_h` is a Laplacian penalty on the filters of the pixels, `reg_l` an L2 penalty on the last layer.
    """
    return linear_nonlinear(shapes, hidden=hidden, smoothness=reg_h, l2=reg_l)


def ln(shapes, *, reg_l=0.0):
    """softplus(neurons) on the pixels; reg_l: Laplacian on the filters."""
    return linear_nonlinear(shapes, hidden=0, smoothness=reg_l)


def _dog(
    shapes,
    filters,
    hidden,
    activation="linear",
    biases="normal",
    penalties=(None, None),
    *,
    first=(),
    after=(),
    hidden_layers=1,
):
    """DoG(filters) → the hidden layers → the neurons; `first` before, `after` behind the hidden ones."""
    import keras

    from neurofit.models.layers import Dense, DifferenceOfGaussians

    start, units = {"bias_initializer": biases}, hidden_units(hidden, shapes.neurons)
    on_hidden = [penalties[0]] + [None] * (hidden_layers - 1)
    return keras.Sequential(
        [
            keras.Input(shapes.image, name="image"),
            *first,
            DifferenceOfGaussians(
                filters, activation=activation, start_below=START_BELOW, name="dog", **start
            ),
            *(
                Dense(units, activation="softplus", kernel_regularizer=one, name=f"hidden_{index}", **start)
                for index, one in enumerate(on_hidden, 1)
            ),
            *after,
            Dense(
                shapes.neurons,
                activation="softplus",
                kernel_regularizer=penalties[1],
                name="neurons",
                **start,
            ),
        ]
    )
