"""`neurofit report`: what the file says, and that no text in it becomes markup."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest

from neurofit.cli.application import group, run
from neurofit.errors import NameUnknown, UsageError, install
from neurofit.report.gathering import gather
from neurofit.report.writing import check_path, is_report, page, write
from neurofit.study import Study

pytestmark = pytest.mark.process


class Page(HTMLParser):
    """The elements of a page, the text of each, and what a browser would do with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def report(everything):
    return gather(everything.study, ["everything", "plain"])


@pytest.fixture(scope="module")
def html(report):
    return page(report)


def files_of(html: str) -> dict[str, list[list[str]]]:
    """The CSV files in a page, by name."""
    blocks = dict(re.findall(r'<script type="text/plain" id="([^"]+)">([^<]*)</script>', html))
    named = re.findall(r'data-csv="([^"]+)" data-name="([^"]+)"', html)
    unpacked = {name: gzip.decompress(base64.b64decode(blocks[one])).decode() for one, name in named}
    return {name: list(csv.reader(io.StringIO(text))) for name, text in unpacked.items()}


def test_no_text_of_a_study_becomes_markup(html):
    found = Page(html)
    assert not [
        tag for tag, _ in found.elements if tag in ("img", "b", "i", "iframe", "object", "link", "base")
    ]
    assert [attributes.get("type") for tag, attributes in found.elements if tag == "script"] == [
        "text/plain"
    ] * 4 + [None]
    assert all("alert(" not in script for script in found.scripts)
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    for text in (
        'Does <script>alert("docstring")</script> & "more" matter?',
        'kind <script>alert("x")</script> </script><img src=x onerror=alert(2)> failed',
        "<i>poisson</i>",
        "The split <ignores> groups. (in 12 tasks)",
    ):
        assert text in found.words


def test_the_policy_allows_only_the_pages_own_style_and_script(html):
    policy = next(dict(a)["content"] for tag, a in Page(html).elements if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    script = re.search(r"<script>(.*?)</script>", html, re.S)[1]
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    assert not re.search(r"https?://|url\(|@import", html)
    linked = [
        value
        for _, a in Page(html).elements
        for name, value in a.items()
        if name in ("src", "href", "srcset")
    ]
    assert linked == ["#experiment-1", "#experiment-2"]
    assert len(script.splitlines()) < 200


def test_a_report_says_what_was_asked_and_how_it_ended(report):
    one, other = report.experiments
    assert one.summary == 'Does <script>alert("docstring")</script> & "more" matter?'
    assert [(axis.name, axis.values) for axis in one.axes] == [
        ("rate", ["0.01", "0.1"]),
        ("width", ["4", "8"]),
        ("kind", ["plain", '<script>alert("x")</script>']),
    ]
    assert one.states == {"done": 12, "failed": 4} and other.states == {"done": 4}
    assert (one.metric, one.better) == ("test/correlation", "higher is better")
    (failure,) = one.failures
    assert len(failure.explanation.failure.tasks) == 4
    assert [cost.what for cost in one.costs] == ["done", "failed", "total"]
    assert one.costs[-1].attempts == 16
    assert (one.splits[0].name, one.splits[0].value) == ("images", "10 train, 2 validation, 3 test")
    assert [comparison.axis for comparison in one.comparisons] == ["rate", "width", "kind"]


def test_the_table_by_run_has_the_best_first_and_names_missing_seeds(report):
    table = report.experiments[0].table
    names = [column.name for column in table.columns]
    best = dict(zip(names, table.rows[0]))
    assert (best["rate"], best["width"], best["kind"]) == ("0.1", "8", "plain")
    missing = [dict(zip(names, row))["missing seeds"] for row in table.rows]
    assert missing == [""] * 6 + ["0, 1"] * 2
    assert table.scores[0].mean == pytest.approx(0.3 + 0.1 + 0.08 + 0.01)


def test_the_pictures_have_text_and_a_description(report):
    drawn = report.experiments[0].drawn
    figures = [drawn.runs, *drawn.curves, drawn.neurons, drawn.parallel]
    assert [figure.heading for figure in figures] == [
        "Runs by test/correlation",
        "validation/correlation during training",
        "train/loss during training",
        "test/correlation of each neuron against its ceiling",
        "Arguments and score of each run",
    ]
    assert not drawn.problems
    for figure in figures:
        assert 'role="img" aria-label="' in figure.svg and "<text" in figure.svg
        assert "nan" not in figure.svg and "<script" not in figure.svg
    assert report.experiments[1].drawn.curves == [] and report.experiments[1].drawn.neurons is None


def test_the_csv_files_have_every_task_and_every_run(html):
    files = files_of(html)
    assert {name: len(rows) for name, rows in files.items()} == {
        "everything-runs.csv": 9,
        "everything-tasks.csv": 17,
        "plain-runs.csv": 3,
        "plain-tasks.csv": 5,
    }
    assert {len(row) for row in files["everything-tasks.csv"]} == {len(files["everything-tasks.csv"][0])}


def test_the_command_writes_a_file_and_says_what_it_replaced(everything, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(everything.root)
    target = tmp_path / "out.html"
    target.write_text("a letter")
    assert run(group, "neurofit", ["report", "plain", "-o", str(target)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"Saved {target} (")
    assert f"{target} was another file, which is not a report; it was replaced." in printed.err
    assert is_report(target) and Page(target.read_text()).words.startswith(
        "plain plain Report of 1 experiment"
    )


def test_selected_runs_have_a_report_of_their_own(everything):
    (one,) = gather(everything.study, ["everything:0-1"], condition="width == 4").experiments
    assert one.runs == 2 and one.total == 4 and not one.failures
    assert (
        gather(everything.study, ["everything"], metric="test/mse").experiments[0].better == "lower is better"
    )
    assert [one.name for one in gather(everything.study, []).experiments] == ["everything", "plain"]


def test_an_experiment_without_the_metric_that_decides_for_another_says_so(everything):
    one, other = gather(everything.study, ["everything", "plain"], metric="test/mse").experiments
    assert (one.metric, other.metric) == ("test/mse", "score")
    assert other.notes[0] == "No task has a metric 'test/mse', so runs are ordered by score."


def test_the_best_run_can_be_selected(everything):
    report = gather(everything.study, ["everything:best", "plain"], best_by="max:test/correlation")
    one, other = report.experiments
    assert one.runs == 1 and one.table.rows[0][0] == "6"
    assert report.notes == [one.best]
    assert one.best.startswith("everything:best is everything:6: mean test/corr")
    assert other.best.startswith(
        "plain:best is plain:"
    )  # its page has it, though nothing selected the best run


@pytest.mark.parametrize(
    ("selectors", "metric", "said"),
    [
        (["nothing"], None, "No experiment 'nothing'"),
        (["plain:7"], None, "Nothing in plain matches"),
        (["plain", "evrything"], None, "Did you mean 'everything'?"),
        (["plain"], "scor", "No task has a metric 'scor'. Did you mean 'score'?"),
    ],
)
def test_a_report_of_nothing_is_an_error(everything, selectors, metric, said):
    with pytest.raises((UsageError, NameUnknown), match=re.escape(said)):
        gather(everything.study, selectors, metric=metric)


def test_what_was_never_submitted_is_an_error_and_what_is_not_done_a_page(bench):
    with pytest.raises(
        NameUnknown, match=r"No experiment was submitted in .* yet, so there is nothing to report"
    ):
        gather(bench.study, [])
    bench.script(
        "broken", "def fit(task, *, x=1):\n    raise ValueError('<no>')\nexperiment = nf.Experiment(fit)"
    )
    with pytest.raises(NameUnknown, match="Submit it with `neurofit submit broken`"):
        gather(bench.study, ["broken"])
    bench.run("broken")
    words = Page(page(gather(bench.study, ["broken"]))).words
    assert "No task is done, so there are no scores yet." in words
    assert "1 task failed : ValueError: <no>" in words.replace("failed:", "failed :")


def test_damaged_files_are_named_and_the_rest_is_reported(everything, tmp_path):
    shutil.copytree(everything.root, tmp_path / "copy")
    study = Study(tmp_path / "copy")
    (best,) = gather(study, ["everything"]).experiments[0].table.best_runs(1)
    attempt = next((study.training_data / "everything" / "runs").glob(f"{best:03d}-*/rep-00/attempt-01"))
    for name in ("history.csv", "neurons.csv", "recipe.json"):
        (attempt / name).write_bytes(b"\xff\xfe\n,,\x00\n")
    next((study.training_data / "plain").glob("submissions/*/jobs.tasks")).write_text("{")
    report = gather(study, [])
    problems = " ".join(report.experiments[0].drawn.problems)
    assert "history.csv: damaged" in problems and "neurons.csv is damaged" in problems
    assert [one.name for one in report.experiments] == ["everything"] and "jobs.tasks" in report.left_out[0]
    assert report.left_out[0] in Page(page(report)).words
    with pytest.raises(UsageError, match=r"plain has no runs, so there is nothing to report\. .*jobs\.tasks"):
        gather(study, ["plain"])


def test_a_study_of_the_version_before_has_a_report(study_0_1_0):
    (one,) = gather(study_0_1_0, ["old"]).experiments
    assert one.total == sum(one.states.values()) and one.done and one.failures and one.costs
    assert "is off the grid" in " ".join(one.notes)
    # its pool ran on a host called login1, which only a machine of that name can ask
    assert not [problem for problem in one.problems if "it runs on login1" not in problem]
    assert "old" in Page(page(gather(study_0_1_0, ["old", "queued_slurm"]))).words


def test_a_file_that_is_not_a_report_is_kept_unless_it_was_named(tmp_path):
    path = tmp_path / "exp3-report.html"
    path.write_text("<p>mine</p>")
    with pytest.raises(UsageError, match=r"is not a report of neurofit\. Choose another name with -o FILE"):
        check_path(path, chosen=False)
    check_path(path, chosen=True)
    for wrong, said in (
        (tmp_path / "exp3.py", "must end in .html or .htm"),
        (tmp_path / "none" / "a.html", "does not exist"),
        (tmp_path, "must end in"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            check_path(wrong, chosen=True)


def test_a_report_is_written_whole(report, tmp_path):
    path = tmp_path / "report.html"
    assert write(report, path) == path.stat().st_size < 200_000
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"] and is_report(path)


def test_without_jinja2_the_command_says_what_to_install(everything, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.chdir(everything.root)
    assert run(group, "neurofit", ["report", "plain"]) == 2 and not list(everything.root.glob("*.html"))
    assert f"needs jinja2, which is not installed: {install('report')}" in capsys.readouterr().err


def test_numbers_of_a_report_can_be_read_by_programs(everything, tmp_path, monkeypatch, capsys):
    target = tmp_path / "out.html"
    monkeypatch.chdir(everything.root)
    assert run(group, "neurofit", ["report", "plain", "-o", str(target), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["replaced"], told["bytes"]) == (False, target.stat().st_size)
    assert told["experiments"] == [{"selector": "plain", "name": "plain", "runs": 2, "states": {"done": 4}}]


def test_an_argument_that_some_runs_leave_out_has_its_default_among_its_values(bench):
    bench.script(
        "either",
        """
        def fit(task, *, model="ridge", alpha=1.0):
            return {"m": alpha}
        experiment = nf.Experiment(fit, nf.grid(alpha=[10.0]) + nf.grid(model=["pls"]))
        """,
    )
    bench.run("either")
    (one,) = gather(bench.study, ["either"]).experiments
    assert {axis.name: axis.values for axis in one.axes} == {
        "alpha": ["1.0", "10.0"],
        "model": ["ridge", "pls"],
    }
    assert one.fixed == []
