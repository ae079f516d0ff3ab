"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .ceilings import (
    correlation_ceiling as correlation_ceiling,
    fev as fev,
    oracle_conservative as oracle_conservative,
    oracle_jackknife as oracle_jackknife,
    oracle_jackknife_by_trial as oracle_jackknife_by_trial,
    signal_power as signal_power,
    signal_share as signal_share,
    signal_to_noise as signal_to_noise,
    split_half as split_half,
    split_half_ceiling as split_half_ceiling,
    split_half_consistency as split_half_consistency,
)
from .corrected import (
    feve as feve,
    normalised_correlation as normalised_correlation,
    r2_er as r2_er,
    signal_power_explained as signal_power_explained,
    single_trial_correlation as single_trial_correlation,
)
from .measures import (
    correlation as correlation,
    deviance_explained as deviance_explained,
    explained_variance as explained_variance,
    fraction_of_variance_explained as fraction_of_variance_explained,
    gini as gini,
    lifetime_sparseness as lifetime_sparseness,
    null_adjusted_log_likelihood as null_adjusted_log_likelihood,
    poisson_deviance as poisson_deviance,
    poisson_log_likelihood as poisson_log_likelihood,
    r_squared as r_squared,
)
from .similarity import (
    cka_of_products as cka_of_products,
    dissimilarities as dissimilarities,
    dissimilarities_of_products as dissimilarities_of_products,
    linear_cka as linear_cka,
    rdm_ceiling as rdm_ceiling,
    rdm_similarity as rdm_similarity,
    representational_similarity as representational_similarity,
)
from .summary import (
    Aggregation as Aggregation,
    Summary as Summary,
    aggregate as aggregate,
    ceiled_score as ceiled_score,
    must_be_scorable as must_be_scorable,
    population as population,
    scored as scored,
)
from .trials import (
    anscombe as anscombe,
    mean_variance as mean_variance,
    noise_variance as noise_variance,
    signal_variance as signal_variance,
    total_variance as total_variance,
    trial_mean as trial_mean,
)
