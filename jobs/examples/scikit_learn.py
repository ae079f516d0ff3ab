"""Which regression of scikit-learn predicts simulated V1 neurons best from pixels?"""

import neurofit as nf


def fit(task, *, model="ridge", alpha=1.0, components=20):
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.linear_model import Ridge

    cells = nf.datasets.load("simulated", task.study / "data")
    split = nf.datasets.Split(validation=0.15, test=0.2, rule="exact")
    parts = nf.datasets.standardise(nf.datasets.split(cells, split, task.seeds.split))[0]
    regression = Ridge(alpha=alpha) if model == "ridge" else PLSRegression(components, scale=False)
    regression.fit(flat(parts.train), parts.train.responses)
    return {f"{name}/correlation": score(regression, part) for name, part in parts.items()}


def flat(part):
    return part.inputs["image"].reshape(part.n_images, -1)


def score(regression, part):
    """Mean over neurons of the correlation of predictions and responses over images."""
    return float(nf.scores.correlation(part.responses, regression.predict(flat(part))).mean())


experiment = nf.Experiment(
    fit,
    grid=nf.grid(alpha=[100.0, 1000.0, 10000.0]) + nf.grid(model=["pls"], components=[5, 20]),
    repetitions=3,
    split_by="repetition",  # ridge regression has no other source of variation
)

if __name__ == "__main__":
    nf.main(experiment)
