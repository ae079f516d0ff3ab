"""Scores: one value per neuron, and of a population. docs/scores.md says which score is for what.

`measures`: predictions against responses; `trials`: repeated trials and their variances; `ceilings`: how well
responses could be predicted; `corrected`: predictions against trials, corrected for noise; `similarity`: of
representations; `summary`: one number for many neurons. Only NumPy and SciPy. Names load on first use, so
that importing this package costs nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

_IN = {
    "measures": (
        "correlation",
        "explained_variance",
        "r_squared",
        "fraction_of_variance_explained",
        "poisson_log_likelihood",
        "null_adjusted_log_likelihood",
        "poisson_deviance",
        "deviance_explained",
        "gini",
        "lifetime_sparseness",
    ),
    "trials": (
        "trial_mean",
        "anscombe",
        "noise_variance",
        "total_variance",
        "mean_variance",
        "signal_variance",
    ),
    "ceilings": (
        "signal_power",
        "correlation_ceiling",
        "signal_share",
        "fev",
        "signal_to_noise",
        "oracle_jackknife",
        "oracle_jackknife_by_trial",
        "oracle_conservative",
        "split_half",
        "split_half_consistency",
        "split_half_ceiling",
    ),
    "corrected": (
        "single_trial_correlation",
        "feve",
        "normalised_correlation",
        "signal_power_explained",
        "r2_er",
    ),
    "similarity": (
        "dissimilarities",
        "representational_similarity",
        "linear_cka",
    ),
    "summary": (
        "Aggregation",
        "Summary",
        "aggregate",
        "ceiled_score",
        "must_be_scorable",
        "population",
        "scored",
    ),
}
_WHERE = {name: module for module, names in _IN.items() for name in names}
__getattr__, __dir__, __all__ = attach(__name__, _WHERE)
