"""Does training a pretrained network further on the responses predict IT better than a readout of it alone?

ResNet50 up to layer3, with a linear readout of the means of its maps. Rates of the network: none (everything in it is
frozen, the comparison), a tenth of the readout's with the first two stages frozen, and a tenth throughout. Published
scores of fine-tuned networks: explained variance .41 to .49, correlation .64 to .70. `neurofit data fetch-weights
ResNet50` gets the weights. Images are at their full size: all in memory, or read from disk if they were converted
(`neurofit data convert majaj_2015`).
"""

from __future__ import annotations

import neurofit as nf

slower = nf.grid(rate_factors=[{"network/*": 0.1}])

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.fine_tuned,
        data="majaj_2015",
        split={"validation": 0.1},
        standardise="none",
        scores=("explained_variance", "correlation"),
        training=nf.models.Training(
            epochs=30, batch_size=32, learning_rate=1e-3, loss="mean_squared", patience=5, decays=1
        ),
    ),
    grid=(
        nf.grid(freeze=[["network"]])
        + slower * nf.grid(freeze=[["network/conv[12]_*"]])
        + slower * nf.grid(freeze=[["network/conv[12]_*"]], flip=[True], shift=[0.05])
        + slower
    ),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
