"""A convolutional network in PyTorch for simulated V1 neurons, which goes on from its checkpoint after a stop."""

import neurofit as nf


def fit(task, *, filters=8, rate=0.003, epochs=20):
    import torch
    from torch import nn

    torch.manual_seed(task.seeds.init)
    cells = nf.datasets.load("simulated", task.study / "data")
    split = nf.datasets.Split(validation=0.15, test=0.2, rule="exact")
    parts = nf.datasets.standardise(nf.datasets.split(cells, split, task.seeds.split))[0]
    images = {name: torch.tensor(part.inputs["image"]).permute(0, 3, 1, 2) for name, part in parts.items()}
    counts = torch.tensor(parts.train.responses, dtype=torch.float32)
    model = nn.Sequential(
        nn.Conv2d(1, filters, 9),
        nn.Softplus(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.LazyLinear(cells.n_neurons),
        nn.Softplus(),
    )
    model(images["train"][:1])  # gives the lazy layer its shape
    optimizer, shuffle, first = torch.optim.Adam(model.parameters(), rate), torch.Generator(), 0
    shuffle.manual_seed(task.seeds.shuffle)
    for folder in task.checkpoints[:1]:  # newest first; empty on a first attempt
        saved = torch.load(folder / "state.pt", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        shuffle.set_state(saved["shuffle"])
        first = saved["epoch"]
        task.resume(folder)
    for epoch in range(first, epochs):
        total = 0.0
        for rows in torch.randperm(len(counts), generator=shuffle).split(64):
            optimizer.zero_grad()
            loss = nn.functional.poisson_nll_loss(model(images["train"][rows]), counts[rows], log_input=False)
            loss.backward()
            optimizer.step()
            total += float(loss) * len(rows)
        task.log(epoch + 1, loss=total / len(counts))
        if task.should_stop():
            with task.save_checkpoint(epoch + 1) as folder:
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
                torch.save({**state, "shuffle": shuffle.get_state()}, folder / "state.pt")
            task.stop(epoch + 1)
    with torch.no_grad():
        predicted = {name: model(inputs).numpy() for name, inputs in images.items()}
    scores = {name: nf.scores.correlation(part.responses, predicted[name]) for name, part in parts.items()}
    return {f"{name}/correlation": float(values.mean()) for name, values in scores.items()}


experiment = nf.Experiment(fit, grid=nf.grid(filters=[4, 16]), repetitions=3)

if __name__ == "__main__":
    nf.main(experiment)
