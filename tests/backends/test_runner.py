"""Profiles are checked when they are loaded, and say what is wrong with them."""

from __future__ import annotations

import pytest

from neurofit.backends import runner
from neurofit.backends.local.backend import LocalBackend
from neurofit.errors import RunnerError


def profile(tmp_path, text: str, name: str = "mine") -> runner.Runner:
    (tmp_path / f"{name}.yaml").write_text(text)
    return runner.load(tmp_path, name)


def test_a_profile_is_the_fields_of_its_backend(tmp_path):
    found = profile(
        tmp_path,
        "backend: local\nworkers: 3\nresources: {cpus: 2, memory_gb: 4}\nsetup: |\n  module load x\n  "
        "export A=1\ntask_minutes: 5\n",
    )
    assert found.backend.workers == 3 and found.backend.resources.memory_gb == 4
    assert found.backend.setup == ("module load x", "export A=1") and found.backend.task_minutes == 5


def test_a_bare_backend_works_with_defaults(tmp_path):
    assert runner.load(tmp_path, "local").backend == LocalBackend()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("backend: local\nworker: 3\n", r"LocalBackend has no setting 'worker'\. Did you mean 'workers'\?"),
        ("backend: local\nresources: {cpu: 3}\n", r"resources has no setting 'cpu'\. Did you mean 'cpus'\?"),
        ("backend: local\nworkers: many\n", "'workers' is 'many', expected int or nothing"),
        ("backend: local\nworkers: true\n", "'workers' is True, expected int or nothing"),
        ("backend: local\nresources: {cpus: -1}\n", "'resources.cpus' is -1, expected a number from 1 on"),
        ("backend: local\ntasks_per_job: 0\n", "'tasks_per_job' is 0, expected a number from 1 on"),
        ("backend: local\nresources: {memory_gb: .nan}\n", "'resources.memory_gb' is nan, expected a number from 0 on"),
        ("backend: local\nresources: 3\n", "'resources' is 3, expected e.g."),
        ("backend: lokal\n", r"there is no backend 'lokal'\. Did you mean 'local'\?"),
        ("workers: 3\n", "'backend' is missing"),
        ("- a\n", "expected settings, one `key: value` a line"),
        ("backend: [local\n", "cannot be read as YAML"),
        ("backend: mysite.py:Queue\n", "backend 'mysite.py:Queue' cannot be loaded"),
    ],
)
def test_a_wrong_profile_is_explained(tmp_path, text, words):
    with pytest.raises(RunnerError, match=words):
        profile(tmp_path, text)


def test_an_unknown_runner_lists_those_there_are(tmp_path):
    profile(tmp_path, "backend: local\n", "qsub-gpu")
    with pytest.raises(
        RunnerError, match=r"No runner 'qsub-gpo' in .*Did you mean 'qsub-gpu'\? Runners there: qsub-gpu, local"
    ):
        runner.load(tmp_path, "qsub-gpo")


def test_a_sites_own_backend_lies_beside_its_profile(tmp_path):
    (tmp_path / "mysite.py").write_text(
        "from dataclasses import dataclass\nfrom neurofit.backends.local.backend import LocalBackend\n"
        "@dataclass(frozen=True)\nclass Queue(LocalBackend):\n    partition: str = 'a'\n"
    )
    assert profile(tmp_path, "backend: mysite.py:Queue\npartition: b\n").backend.partition == "b"
