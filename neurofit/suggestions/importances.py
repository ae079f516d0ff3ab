"""How much each argument of a search matters: fANOVA, by Optuna."""

from __future__ import annotations

from collections.abc import Sequence

from neurofit.errors import NeurofitError, described, install, is_installed
from neurofit.suggestions.axes import Axis
from neurofit.suggestions.optuna_trials import quiet, shown_trial
from neurofit.suggestions.point_searches import PointSearch

FEWEST = 10  # finished trials
_NEEDED = {"optuna": "Optuna", "sklearn": "scikit-learn"}


class NoImportances(NeurofitError):
    """Importances cannot be computed; says why."""


def importances(point: PointSearch, axes: Sequence[Axis]) -> dict[str, float]:
    """The share of the variance of the finished trials' values that each argument explains, the largest first.

    Parameters
    ----------
    axes : sequence of Axis
        Of these trials. Those that not all finished trials have are left out.

    Returns
    -------
    dict of str to float
        By the name of the axis; together 1.

    Raises
    ------
    NoImportances
        Too few trials are finished, all have the same value, or a library is not installed.

    References
    ----------
    F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML
    (2014), https://proceedings.mlr.press/v32/hutter14.html.
    """
    finished = [one for one in point.trials if one.score is not None]
    if len(finished) < FEWEST:
        raise NoImportances(f"Importances need {FEWEST} finished trials; there are {len(finished)}.")
    for module, name in _NEEDED.items():
        if not is_installed(module):
            raise NoImportances(f"Importances need {name}: {install('search')}.")
    common = [axis for axis in axes if all(one.number in axis.values for one in finished)]
    varied = [axis for axis in common if len({repr(axis.values[one.number]) for one in finished}) > 1]
    if not varied or len({one.score for one in finished}) == 1:
        raise NoImportances("Importances need trials that differ in their arguments and values.")
    import optuna
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.study import StudyDirection

    with quiet():
        study = optuna.create_study(direction=StudyDirection[point.search.direction.upper()])
        study.add_trials([shown_trial(one, common) for one in finished])
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=FanovaImportanceEvaluator(seed=0), params=[axis.name for axis in varied]
            )
        except (RuntimeError, ValueError) as error:  # such as values whose variance is no number
            raise NoImportances(f"Importances cannot be computed: {described(error)}.") from error
    return {name: float(share) for name, share in found.items()}
