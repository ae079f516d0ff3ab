"""Where the synthetic-noise study takes its truth from."""

from __future__ import annotations

import neurofit as nf
from neurofit.errors import DataError, NeurofitError

THESIS = "bl3:0/14"


def responses(*, noise_coef, eval_noised, data=nf.models.thesis.REGION_1, truth=None, study=None):
    """The data set with noised responses of a truth: its own where it is simulated, else a trained model's.

    truth: a finished task whose model predicts; None: repetition 14 of baseline 3, as in the thesis.
    noise_coef, eval_noised: see `neurofit.models.thesis.synthetic`.
    """
    recorded = nf.datasets.load(data, study / "data")
    if recorded.truth and truth is not None:
        raise DataError(
            f"truth={truth!r}: '{data}' is simulated and has a truth of its own. Leave truth out."
        )
    rates = recorded.truth["rates"] if recorded.truth else _predicted(recorded, truth or THESIS, study)
    return nf.models.thesis.synthetic(recorded, rates, noise_coef=noise_coef, eval_noised=eval_noised)


def _predicted(recorded, truth, study):
    try:
        model = nf.load(truth, study=study)
    except NeurofitError as error:
        raise DataError(
            f"The truth of this study is what a trained model predicts, and there is none at '{truth}': "
            f"{error} "
            f"Train it (`neurofit submit {truth}`), or name another finished task by truth=."
        ) from error
    return nf.models.thesis.generated(model, recorded)
