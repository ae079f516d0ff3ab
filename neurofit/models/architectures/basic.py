"""Three models to begin with: of differences of Gaussians, of pixels, and what/where. Cheap to import."""

from __future__ import annotations


def hidden_units(per_neuron, neurons):
    """Number of hidden units, rounded down, but at least one: with none, predictions would ignore the image."""
    return max(1, int(per_neuron * neurons))


def hsm(shapes, *, filters=9, hidden=0.2, activation="linear", biases="zeros", l2=0.0, start_below=0.0):
    """The HSM model: DoG(filters) → softplus(hidden · neurons) → softplus(neurons).

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    filters : int
        Number of differences of Gaussians.
    hidden : float
        Hidden units per neuron, rounded down, but at least one unit.
    activation : str
        Of the differences of Gaussians.
    biases : {"zeros", "normal"}
        How they start.
    l2 : float
        Penalty on the last layer's weights.
    start_below : float
        See `layers.DifferenceOfGaussians`.

    Returns
    -------
    keras.Model

    References
    ----------
    Antolík et al. 2016, doi:10.1371/journal.pcbi.1004927.
    """
    import keras

    from neurofit.models.layers import Dense, DifferenceOfGaussians
    from neurofit.models.regularizers import L2

    start = {"bias_initializer": biases}
    units = hidden_units(hidden, shapes.neurons)
    return keras.Sequential(
        [
            keras.Input(shapes.image, name="image"),
            DifferenceOfGaussians(
                filters, activation=activation, start_below=start_below, name="dog", **start
            ),
            Dense(units, activation="softplus", name="hidden", **start),
            Dense(
                shapes.neurons,
                activation="softplus",
                kernel_regularizer=penalty(L2, l2),
                name="neurons",
                **start,
            ),
        ]
    )


def linear_nonlinear(shapes, *, hidden=0.0, smoothness=0.1, l2=0.0, biases="normal"):
    """The LN model, softplus(neurons) on the pixels; or LNLN, with a layer softplus(hidden · neurons) before.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    hidden : float
        Hidden units per neuron. 0 means no hidden layer.
    smoothness : float
        Laplacian penalty on the filters of the pixels.
    l2 : float
        Penalty on the last layer's weights, if that is another layer.
    biases : {"zeros", "normal"}
        How they start.

    Returns
    -------
    keras.Model
    """
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2, Laplacian

    start = {"bias_initializer": biases, "activation": "softplus"}
    smooth = penalty(Laplacian, smoothness, grid=shapes.image)
    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    if hidden:
        model.add(
            Dense(hidden_units(hidden, shapes.neurons), kernel_regularizer=smooth, name="filters", **start)
        )
        smooth = penalty(L2, l2)
    model.add(Dense(shapes.neurons, kernel_regularizer=smooth, name="neurons", **start))
    return model


def what_where(
    shapes, *, filters=16, size=9, stride=3, layers=1, smoothness=0.1, where_l1=0.01, biases="zeros"
):
    """softplus(convolution) × layers → factorised readout: what each neuron looks for, and where.

    Parameters
    ----------
    shapes : Shapes
        Of the data.
    filters : int
        Filters of each convolution.
    size, stride : int
        Of the first convolution [pixels]. The others are 3 wide, with stride 1.
    layers : int
        Number of convolutions.
    smoothness : float
        Laplacian penalty on the kernels.
    where_l1 : float
        L1 penalty on the readout's positions.
    biases : {"zeros", "normal"}
        How they start.

    Returns
    -------
    keras.Model

    References
    ----------
    Klindt, Ecker, Euler & Bethge 2017, doi:10.48550/arXiv.1711.02653.
    """
    import keras

    from neurofit.models.layers import Convolution, FactorisedReadout
    from neurofit.models.regularizers import L1, Laplacian

    start = {"activation": "softplus", "bias_initializer": biases}
    smooth = penalty(Laplacian, smoothness)
    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    model.add(
        Convolution(filters, size, stride=stride, kernel_regularizer=smooth, name="features_1", **start)
    )
    for index in range(2, layers + 1):
        model.add(Convolution(filters, 3, kernel_regularizer=smooth, name=f"features_{index}", **start))
    sparse = penalty(L1, where_l1)
    model.add(FactorisedReadout(shapes.neurons, where_regularizer=sparse, name="neurons", **start))
    return model


def penalty(kind, strength, **settings):
    """The penalty, or None where its strength is 0."""
    return kind(strength, **settings) if strength else None
