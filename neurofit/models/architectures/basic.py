"""Three general models: of differences of Gaussians, of pixels, and what/where. Cheap to import."""

from __future__ import annotations


def hidden_units(per_neuron, neurons):
    """Number of hidden units: `per_neuron` times `neurons`, rounded down, but at least one.

    Without any, predictions would not depend on the image.
    """
    return max(1, int(per_neuron * neurons))


def hsm(shapes, *, filters=9, hidden=0.2, activation="linear", biases="zeros", l2=0.0, start_below=0.0):
    """DoG(filters) → softplus(hidden · neurons) → softplus(neurons): the HSM model.

    Parameters
    ----------
    shapes : Shapes
    filters : int, default 9
        Differences of Gaussians.
    hidden : float, default 0.2
        Hidden units per neuron, rounded down, at least one in all.
    activation : str, default "linear"
        Of the differences of Gaussians.
    biases : {"zeros", "normal"}
        Initial biases.
    l2 : float, default 0
        L2 penalty on the last layer's weights.
    start_below : float, default 0
        See `layers.DifferenceOfGaussians`.

    Returns
    -------
    keras.Model

    References
    ----------
    J. Antolík et al. (2016), doi:10.1371/journal.pcbi.1004927.
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
    """[softplus(hidden · neurons) →] softplus(neurons) on the pixels: LN, or LNLN with hidden > 0.

    Parameters
    ----------
    shapes : Shapes
    hidden : float, default 0
        Hidden units per neuron, rounded down, at least one in all; 0: no hidden layer.
    smoothness : float, default 0.1
        Laplacian penalty on the filters of the pixels.
    l2 : float, default 0
        L2 penalty on the last layer's weights, if there is a hidden layer.
    biases : {"normal", "zeros"}
        Initial biases.

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
    filters : int, default 16
    size, stride : int, default 9, 3
        Of the first convolution [pixels]; the others are 3 wide, with stride 1.
    layers : int, default 1
        Number of convolutions.
    smoothness : float, default 0.1
        Laplacian penalty on the kernels.
    where_l1 : float, default 0.01
        L1 penalty on the readout's positions.
    biases : {"zeros", "normal"}
        Initial biases.

    Returns
    -------
    keras.Model

    References
    ----------
    D. Klindt, A. Ecker, T. Euler and M. Bethge (2017), doi:10.48550/arXiv.1711.02653.
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
    """The penalty of this kind, or None if its strength is 0.

    Parameters
    ----------
    kind : type
        A class of `models.regularizers`.
    strength : float
    **settings : object
        More arguments of the class.

    Returns
    -------
    keras.regularizers.Regularizer or None
    """
    return kind(strength, **settings) if strength else None
