"""Where the synthetic-noise study takes its truth from."""

from __future__ import annotations

import neurofit as nf
from neurofit.errors import DataError, NeurofitError


def responses(*, noise_coef, eval_noised, data=nf.models.thesis.REGION_1, truth="bl3:0/14", study=None):
    """The data set with noised responses of a truth: its own where it is simulated, else a trained model's.

    truth: a finished task whose model predicts; the thesis took repetition 14 of baseline 3. noise_coef, eval_noised:
    see `neurofit.models.thesis.synthetic`.
    """
    recorded = nf.datasets.load(data, study / "data")
    rates = recorded.truth["rates"] if recorded.truth else _predicted(recorded, truth, study)
    return nf.models.thesis.synthetic(recorded, rates, noise_coef=noise_coef, eval_noised=eval_noised)


def _predicted(recorded, truth, study):
    try:
        model = nf.load(truth, study=study)
    except NeurofitError as error:
        raise DataError(
            f"The truth of this study is what a trained model predicts, and there is none at '{truth}': {error} "
            f"Train it (`neurofit submit {truth}`), or name another finished task by truth=."
        ) from error
    return nf.models.thesis.generated(model, recorded)
