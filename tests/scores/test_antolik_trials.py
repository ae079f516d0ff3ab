"""The ceilings of the recordings of Antolík et al. 2016, as measured independently, mean over neurons."""

import numpy as np
import pytest

from neurofit import scores

BY_NOISE_VARIANCE = {  # CC_max, signal share, oracle by trial position, split half, neurons with a signal
    "region1": (0.8084, 0.2435, 0.3997, 0.570, 102),
    "region2": (0.6891, 0.1852, 0.3289, 0.443, 52),
    "region3": (0.7833, 0.2120, 0.3685, 0.556, 100),
}
# CC_max, neurons without signal power, FEV, neurons above .15, oracles pooled and conservative, SNR
AS_PUBLISHED = {
    "region1": (0.8085, 1, 0.2407, 68, 0.3883, 0.5470, 0.4971),
    "region2": (0.6966, 3, 0.1821, 28, 0.2957, 0.5183, 0.3966),
    "region3": (0.7840, 2, 0.2091, 61, 0.3553, 0.5062, 0.4020),
}


@pytest.fixture
def trials_of(shared):
    """Region → trials (image, trial, neuron)."""
    folder = shared / "data" / "antolik_2016"
    if not folder.is_dir():
        pytest.skip(f"needs the recordings of Antolík et al. 2016, which are not in {folder}")
    return lambda region: np.load(folder / region / "raw_validation_set.npy").swapaxes(0, 1)


@pytest.mark.parametrize("region", BY_NOISE_VARIANCE)
def test_ceilings_by_the_noise_variance(trials_of, region):
    trials = trials_of(region)
    signal = scores.signal_variance(trials)
    ceiling, share, oracle, halves, with_signal = BY_NOISE_VARIANCE[region]
    assert scores.correlation_ceiling(trials, signal=signal).mean() == pytest.approx(ceiling, abs=1e-3)
    assert scores.signal_share(trials).mean() == pytest.approx(share, abs=1e-3)
    assert scores.oracle_jackknife_by_trial(trials).mean() == pytest.approx(oracle, abs=1e-3)
    assert scores.split_half(trials, splits=200, seed=0).mean() == pytest.approx(halves, abs=1e-3)
    assert (signal > 0).sum() == with_signal


@pytest.mark.parametrize("region", AS_PUBLISHED)
def test_ceilings_as_published(trials_of, region):
    trials = trials_of(region)
    ceiling, without, explainable, reliable, pooled, conservative, ratio = AS_PUBLISHED[region]
    assert scores.correlation_ceiling(trials).mean() == pytest.approx(ceiling, abs=1e-3)
    assert (scores.signal_power(trials) <= 0).sum() == without
    assert scores.fev(trials).mean() == pytest.approx(explainable, abs=1e-3)
    assert (scores.fev(trials) > 0.15).sum() == reliable
    assert scores.oracle_jackknife(trials).mean() == pytest.approx(pooled, abs=1e-3)
    assert scores.oracle_conservative(trials).mean() == pytest.approx(conservative, abs=1e-3)
    assert scores.signal_to_noise(trials).mean() == pytest.approx(ratio, abs=1e-3)
