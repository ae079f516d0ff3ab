"""Every command after "Next:" can be copied: it runs, and means the tasks and the runner that were asked
for.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from neurofit.cli import application
from neurofit.cli.application import group
from neurofit.text import command

SCRIPT = """
import neurofit as nf

def fit(task, *, x=1, kind="a"):
    if x == 2:
        raise ValueError("no")
    if kind == "it's b":
        task.stop(1)
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3], kind=["a", "it's b"]), repetitions=2)
"""
EXPERIMENTS = ["exp", "group/my exp", "it's; rm", "new one", "co:lon"]
RUNNERS = ["local", "gpu", "big queue"]


class Text(io.StringIO):
    encoding = "utf-8"


def said(*words: str) -> tuple[int, str, str]:
    out, err = Text(), Text()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = application.run(group, "neurofit", list(words))
    return code, out.getvalue(), err.getvalue()


def hints(stderr: str) -> list[list[str]]:
    (line,) = [line for line in stderr.splitlines() if line.startswith("Next: ")]
    return [shlex.split(one)[1:] for one in line.removeprefix("Next: ").split("  ·  ")]


def plan(words: list[str]) -> dict:
    code, out, err = said(*words, "--dry-run", "--json")
    assert code == 0, (words, err)
    return json.loads(out)


@pytest.fixture(scope="module")
def used(tmp_path_factory, make_study):
    """A study in which some tasks failed, were stopped or are done, and one experiment went to another
    queue.
    """
    study = make_study(tmp_path_factory.mktemp("used") / "study")
    for name in EXPERIMENTS:
        study.script(name, SCRIPT)
    (study.root / "runners" / "gpu.yaml").write_text("backend: slurm\nqueue: gpu\n")
    (study.root / "runners" / "big queue.yaml").write_text("backend: slurm\nqueue: big\n")
    for name in ("exp", "group/my exp", "it's; rm"):
        study("submit", name, "--keep-going", code=3)
    study("submit", "co:lon:all", "--keep-going", code=3)
    for record in (study.root / "training_data" / "exp").glob("submissions/*/submission.json"):
        text = record.read_text()
        record.write_text(text.replace('"runner":"local"', '"runner":"gpu"'))
    return study


@pytest.fixture
def inside(used, monkeypatch):
    monkeypatch.chdir(used.root)
    return used


selectors = st.builds(
    "{}{}".format,
    st.sampled_from(EXPERIMENTS),
    st.sampled_from([":all", ":0", ":0-3", ":1,4-5", ":last", ":all/0", ":2/0-1"]),
) | st.sampled_from([name for name in EXPERIMENTS if ":" not in name])
conditions = st.none() | st.sampled_from(
    ["x < 3", "x == 2", 'kind == "it\'s b"', "x >= 1 and kind in ('a', 'c')"]
)
several = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@several
@given(
    selectors,
    conditions,
    st.sampled_from(RUNNERS),
    st.sampled_from([[], ["--retry"], ["--rerun"], ["--keep-going"]]),
    st.sampled_from([[], ["--memory", "2.5"], ["--minutes", "90", "--cpus", "2"]]),
    st.sampled_from([[], ["--repetitions", "3"]]),
)
def test_after_a_dry_run_the_hint_submits_exactly_that_plan(
    inside, selector, where, runner, flags, asked, repetitions
):
    words = ["submit", selector, "--backend", runner, *flags, *asked, *repetitions]
    words += ["--where", where] if where else []
    code, out, err = said(*words, "--dry-run")
    if code == 2:
        assert "Nothing in " in err or "No run of " in err
        return
    assert code == 0, err
    first, *more = hints(err)
    if "Nothing to queue." in out:
        assert first[0] == "results"
        return
    assert more == [] and "--dry-run" not in first
    assert plan(first) == plan(words)


@several
@given(
    st.sampled_from(["status", "failures", "logs", "results", "cancel"]),
    selectors,
    conditions,
    st.sampled_from([[], ["--state", "failed"], ["--state", "failed", "--state", "stopped"]]),
)
def test_hints_of_other_commands_run_and_ask_for_no_other_tasks(inside, verb, selector, where, states):
    words = [verb, selector, *(["--where", where] if where else []), *([] if verb == "failures" else states)]
    code, _, err = said(*words)
    if code in (1, 2):
        assert err.startswith("Error: ")
        return
    for hint in hints(err):
        assert hint != words, "no command suggests itself"
        if hint[0] != "submit":
            assert said(*(word for word in hint if word != "--watch"))[0] in (0, 3), hint
            continue
        planned = plan(hint)
        most = plan(["submit", selector, *(["--where", where] if where else [])])
        assert planned["to_queue"] > 0
        states_of = ("new", "queued", "running", "stopped", "done", "failed", "lost", "cancelled")
        assert all(planned[state] <= most[state] for state in states_of)
        assert ("#SBATCH --partition=gpu" in planned["script"]) == (planned["experiment"] == "exp")


def test_a_dry_run_for_slurm_does_not_end_on_the_login_node(inside):
    _, _, err = said("submit", "new one:1-2", "--backend", "big queue", "--where", "x < 3", "--dry-run")
    assert err.splitlines()[-1] == "Next: neurofit submit 'new one:1-2' --backend 'big queue' --where 'x < 3'"


def test_results_does_not_suggest_itself(inside):
    assert hints(said("results", "exp")[2]) == [["results", "exp", "--by", "run"]]
    by_run = said("results", "exp", "--by", "run", "--where", "x < 3")
    assert hints(by_run[2]) == [["results", "exp", "--where", "x < 3"]]


def test_a_status_of_all_suggests_for_odd_names_too(inside):
    code, out, err = said("status")
    assert code == 3 and "co:lon" in out and all(len(hint) >= 2 for hint in hints(err))
    for hint in hints(said("list")[2]):
        assert said(*hint)[0] == 0


@given(
    st.lists(st.text(alphabet=st.characters(exclude_characters="\0"), min_size=1), min_size=1),
    st.text(min_size=1),
)
def test_commands_come_out_of_a_shell_as_they_went_in(words, where):
    line = command(
        "submit", *words, where=where, retry=True, memory=2.5, backend=None, rerun=False, state=["a", "b"]
    )
    options = ["--where", where, "--retry", "--memory", "2.5", "--state", "a", "--state", "b"]
    parts = shlex.split(line)
    assert parts in (["neurofit", "submit", *words, *options], ["neurofit", "submit", *options, "--", *words])
    assert os.linesep not in line or any(os.linesep in word for word in [*words, where])
