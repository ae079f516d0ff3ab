"""A study whose report has everything: failures, neurons, histories, and text that would be markup."""

from __future__ import annotations

import pytest

EVERYTHING = '''
"""Does <script>alert("docstring")</script> & "more" matter?

Second paragraph, </script> <b>bold</b>.
"""
import neurofit as nf


def fit(task, *, rate=0.1, width=4, kind="plain", depth=1):
    if kind.startswith("<") and width == 8:
        raise ValueError(f"kind {kind} </script><img src=x onerror=alert(2)> failed")
    print("a line of the log </pre><script>alert(3)</script>")
    score = 0.3 + rate + width / 100 + task.seed / 50
    for step in range(1, 6):
        task.log(step, **{"validation/correlation": score * step / 5, "train/loss": 6 - step})
    rows = [f"q,{n},{score + n / 20},{0.9 + n / 100}" for n in range(5)]
    header = "recording,number,test/correlation,test/correlation_ceiling"
    (task.folder / "neurons.csv").write_text("\\\\n".join([header, *rows]) + "\\\\n")
    task.record(images={"train": 10, "validation": 2, "test": 3}, recipe={"loss": "<i>poisson</i>"},
                warnings=["The split <ignores> groups."])
    return {"test/correlation": score, "test/mse": 1 - score}


experiment = nf.Experiment(
    fit, grid=nf.grid(rate=[0.01, 0.1], width=[4, 8], kind=["plain", '<script>alert("x")</script>']), repetitions=2
)
'''.replace("\\\\n", "\\n")
PLAIN = '''
"""A plain question."""
import neurofit as nf

def fit(task, *, x=1):
    return {"score": x + task.seed}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=2)
'''


@pytest.fixture(scope="session")
def everything(tmp_path_factory, make_bench, processes):
    """A study with the experiments `everything` and `plain`, which have run."""
    bench = make_bench(tmp_path_factory.mktemp("report") / "study")
    for name, text in (("everything", EVERYTHING), ("plain", PLAIN)):
        (bench.study.jobs / f"{name}.py").write_text(text.lstrip("\n"))
        bench.submit(name, keep_going=True)
    for name in ("everything", "plain"):
        bench.wait(name)
    return bench
