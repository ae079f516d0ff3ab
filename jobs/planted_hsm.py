"""Does a fit find a planted HSM model again? Its predictions against the noiseless responses to test images.

The data are `datasets.planted_hsm`, at the size of Antolík's region 1: 103 neurons, 1800 training images of
one trial each (15 % of them for validation), 200 test images; the signal share of a single trial is an axis.
The best of ten, by validation:

    table = neurofit.results("planted_hsm")
    table.loc[table.groupby("signal_share")["validation/correlation"].idxmax()]
"""

from __future__ import annotations

import numpy as np

import neurofit as nf


def planted(*, signal_share=0.7, data_seed=1, neurons=103, images=1800, test_images=200):
    """The same stimuli, model and spikes for every repetition; the spikes of another signal share are
    others.
    """
    return nf.datasets.planted_hsm(
        signal_share=signal_share, seed=data_seed, n_neurons=neurons, n_train=images, n_test=test_images
    )


def start(model, train):
    """Every stage begins in the range where its nonlinearity bends: DoG outputs of standard deviation 1,
    hidden units of about as much, and output biases that give each neuron its mean rate.
    """
    dog, hidden, neurons = (model.get_layer(name) for name in ("dog", "hidden", "neurons"))
    gaussians, kernel = dog.gaussians.numpy(), np.asarray(dog.kernel())
    outputs = np.tensordot(train.inputs["image"][..., 0], kernel, axes=2)
    gaussians[[0, 4]] /= outputs.std(axis=0)  # both amplitudes
    dog.gaussians.assign(gaussians)
    weights = hidden.kernel.numpy()
    hidden.kernel.assign(weights / weights.std() / np.sqrt(len(weights)))
    neurons.bias.assign(np.log(np.expm1(np.maximum(train.responses.mean(axis=0), 0.01))))


experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.hsm,
        data=planted,
        training=nf.models.Training(
            epochs=2000, batch_size=64, learning_rate=3e-3, patience=30, decays=3, jit=True
        ),
        initialise=start,
        scores=("correlation", "correlation_ceiling", "normalised_correlation", "truth_correlation"),
    ),
    # 16 filters for a truth of 9: a filter that starts in the wrong place seldom finds its way, so there are
    # some over.
    grid=nf.grid(signal_share=[0.7, 0.24], data_seed=[1], filters=[16]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
