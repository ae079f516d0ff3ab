"""`neurofit search`, `submit --best` and `plot --what search`, as they are typed."""

from __future__ import annotations

import json
import textwrap

import pytest

SEARCH = '''
"""A small search."""
import neurofit as nf

def fit(task, *, x, kind="a"):
    if x > 0.9:
        raise ValueError("x is too large")
    if x > 0.7:
        task.record(pruned_at=1)
    return {"validation/loss": round((x - 0.4) ** 2 + task.repetition / 100, 6), "test/loss": x}

experiment = nf.Experiment(
    fit,
    GRID nf.search(x=nf.uniform(0, 1), trials=TRIALS, metric="validation/loss", direction="minimize", sampler="qmc"),
)
'''


def text(block: str) -> str:
    return textwrap.dedent(block).strip("\n") + "\n"


def script(study, grid: str = "", trials: int = 8) -> None:
    study.script("exp3", SEARCH.replace("GRID", grid).replace("TRIALS", str(trials)))


@pytest.fixture(scope="module")
def searched(tmp_path_factory, make_study):
    study = make_study(tmp_path_factory.mktemp("searches") / "study")
    script(study)
    study("submit", "exp3", code=None)
    study.script("grid", "import neurofit as nf\nexperiment = nf.Experiment(lambda task: {'m': 1})\n")
    return study


def best(study, *words: str) -> dict:
    return json.loads(study("search", "best", "exp3", "--json", *words).stdout)


def test_the_best_trials_are_printed_with_the_warning_and_the_next_command(searched):
    answer = searched("search", "best", "exp3", "--top", "2")
    found = best(searched, "--top", "2")
    (one,) = found["searches"]
    assert (found["metric"], found["direction"], one["trials"]) == ("validation/loss", "minimize", 8)
    assert one["finished"] + one["pruned"] + one["failed"] == 8 and one["pruned"] and one["failed"]
    first, second = one["best"]
    assert first["value"] < second["value"] and first["confirmed"] is None
    head, columns, *rows = answer.stdout.strip().splitlines()
    assert head == (
        f"exp3: 8 trials by validation/loss, lower is better: {one['finished']} finished, {one['pruned']} pruned, "
        f"{one['failed']} failed."
    )
    assert columns.split() == ["rank", "run", "trial", "validation/loss", "repetitions", "x"]
    assert [int(row.split()[1]) for row in rows] == [first["run"], second["run"]]
    assert f"optimistic: it was chosen as the best of {one['finished']} finished trials" in answer.stderr
    assert "neurofit submit exp3 --best 2 --repetitions 10" in answer.stderr


def test_searches_are_listed_without_loading_scripts(searched):
    answer = searched("search")
    assert answer.stdout == text("""
        experiment  searches  trials  metric           direction
        exp3               1  8/8     validation/loss  minimize
    """)
    assert answer.stderr == "Next: neurofit search best exp3\n"


def test_a_study_without_searches_says_so(study):
    assert "No search has been submitted." in study("search").stdout
    assert json.loads(study("search", "--json").stdout) == {"searches": []}


def test_the_best_are_confirmed_and_shown_apart_from_the_search(study):
    script(study, trials=6)
    study("submit", "exp3", code=None)
    plan = study("submit", "exp3", "--best", "2", "--repetitions", "3", "--dry-run")
    assert (
        "exp3: the best 2 trials again, off the grid, 2 runs × 3 repetitions (1 to 3), runner local"
        in plan.stdout
    )
    assert "Next: neurofit submit exp3 --repetitions 3 --best 2" in plan.stderr
    done = study("submit", "exp3", "--best", "2", "--repetitions", "3")
    assert "exp3: 6 done" in done.stdout
    assert "Next: neurofit search best exp3 --top 2" in done.stderr
    again = study("submit", "exp3", "--best", "2", "--repetitions", "3")
    assert "Nothing to queue." in again.stdout and "neurofit search best exp3 --top 2" in again.stderr
    answer = study("search", "best", "exp3", "--top", "2")
    first = best(study)["searches"][0]["best"][0]
    assert first["confirmed"]["run"] in (6, 7) and first["confirmed"]["done"] == 3
    assert first["confirmed"]["mean"] == pytest.approx(first["value"] + 0.02)
    assert f"± 0.025, n=3, run {first['confirmed']['run']}" in answer.stdout
    assert "Report what is confirmed" in answer.stderr
    rows = study("results", "exp3", "--by", "run")
    assert "6 tasks are off the grid." in rows.stderr
    assert "off the grid: 6 done" in study("status", "exp3", code=3).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "best", "grid"], "grid has no search: grid=nf.search(…)"),
        (["search", "best", "exp3:2"], "write exp3"),
        (["search", "best", "exp9"], "No experiment 'exp9'"),
        (["search", "best", "exp3", "--where", "x > 5"], "meets --where"),
        (["search", "best", "exp3", "--where", "z > 5"], "'z'"),
        (["submit", "grid", "--best", "3"], "grid has no search"),
        (["submit", "exp3", "--best", "0"], "0"),
        (["submit", "exp3", "--best", "8"], "--best 8: only"),
        (["submit", "exp3", "--best", "1", "--set", "x=1"], "does not go with --set"),
        (["submit", "exp3:best", "--best", "1"], "a selection of tasks"),
        (["plot", "grid", "--what", "search"], "grid has no search"),
        (["plot", "exp3:1", "--what", "search"], "write exp3 instead of exp3:1"),
        (["plot", "exp3", "exp3", "--what", "search"], "draws the search of one experiment"),
        (["plot", "exp3", "--what", "search", "--metric", "test/loss"], "--metric goes with"),
        (["plot", "exp3", "--what", "search", "--where", "x > 5"], "that meets --where is finished"),
    ],
)
def test_bad_input_is_refused_in_one_line(searched, words, message):
    if words[0] == "plot":
        pytest.importorskip("matplotlib")
    answer = searched(*words, code=None)
    assert answer.returncode in (1, 2) and message in answer.stderr and "Traceback" not in answer.stderr


def test_a_search_that_has_not_begun_has_no_best_trial_yet(study):
    script(study)
    answer = study("search", "best", "exp3")
    assert "No trial is finished." in answer.stdout and "neurofit submit exp3" in answer.stderr


def test_a_search_is_drawn_and_its_numbers_printed(searched):
    pytest.importorskip("matplotlib")
    answer = searched("plot", "exp3", "--what", "search", "-o", "search.png")
    assert (searched.root / "search.png").read_bytes().startswith(b"\x89PNG")
    assert "Saved search.png." in answer.stdout
    assert (
        "Importances need 10 finished trials" in answer.stderr
        and "Next: neurofit search best exp3" in answer.stderr
    )
    found = json.loads(searched("plot", "exp3", "--what", "search", "--json").stdout)
    (one,) = found["searches"]
    assert [trial["trial"] for trial in one["trials"]] == list(range(8))
    assert one["best_run"] == best(searched)["searches"][0]["best"][0]["run"]
    assert one["importances"] is None and "10 finished trials" in one["no_importances"]


def test_a_picture_of_too_many_searches_asks_for_a_choice(study):
    pytest.importorskip("matplotlib")
    script(study, grid="nf.grid(kind=list('abcde')) *", trials=3)
    study("submit", "exp3", code=None)
    answer = study("plot", "exp3", "--what", "search", code=2)
    assert "exp3 has 5 searches" in answer.stderr and "kind == '\"'\"'a'\"'\"''" in answer.stderr
    assert "Saved" in study("plot", "exp3", "--what", "search", "--where", "kind == 'a'").stdout
