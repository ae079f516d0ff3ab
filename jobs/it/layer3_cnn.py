"""Does a small convolutional network read more from a layer of ResNet50 than a linear map does, and from which layer?

Its inputs are the activations of the layer, from the feature store; published scores are explained variance .30 and
correlation .56 on layer3, and .19 and .44 on layer2. The runs with random weights say how much of it is due to
ImageNet. `neurofit data fetch-weights ResNet50` gets the trained weights; without them,
`--where "weights == 'random'"` leaves their runs out.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.shallow_cnn,
        data=nf.features.activations,
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        training=nf.models.Training(
            epochs=50, batch_size=32, learning_rate=1e-3, loss="mean_squared", patience=10, decays=1
        ),
    ),
    grid=nf.grid(layer=["layer2", "layer3"])
    * nf.grid(weights=["imagenet", "random"])
    * nf.grid(filters=[[64]], dropout=[0.2]),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
