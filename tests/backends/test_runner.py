"""Profiles are checked when they are loaded, and say what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

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


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("24:00:00", 1440),
        ("1-12:00:00", 2160),
        ("0:00:30", 0.5),
        ("90", 90),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("'90:00:00'", 5400),
    ],
)
def test_a_time_limit_is_minutes_or_a_clock(tmp_path, written, minutes):
    found = profile(tmp_path, f"backend: slurm\nresources:\n  walltime_minutes: {written}\n")
    assert found.backend.resources.walltime_minutes == minutes


def test_an_alias_may_be_used_where_it_stands_for_little(tmp_path):
    found = profile(tmp_path, "backend: local\nsetup: &lines [module load x]\n")
    assert found.backend.setup == ("module load x",)


@given(st.text(st.sampled_from("[]{}&*abc:-,0 1\n#'\"!%e.|>\t\\"), max_size=200))
def test_any_text_is_a_profile_or_an_error_of_ours(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("runners")
    try:
        found = profile(folder, "backend: local\n" + text)
    except RunnerError:
        return
    assert isinstance(found.backend, LocalBackend)


def test_a_bare_backend_works_with_defaults(tmp_path):
    assert runner.load(tmp_path, "local").backend == LocalBackend()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("backend: local\nworker: 3\n", r"LocalBackend has no setting 'worker'\. Did you mean 'workers'\?"),
        ("backend: local\nresources: {cpu: 3}\n", r"resources has no setting 'cpu'\. Did you mean 'cpus'\?"),
        ("backend: local\nworkers: many\n", "'workers' is 'many', expected a whole number or null"),
        ("backend: local\nworkers: true\n", "'workers' is True, expected a whole number or null"),
        (
            "backend: local\nresources: {cpus: -1}\n",
            "'resources.cpus' is -1, expected a number from 1 to 100000",
        ),
        ("backend: local\ntasks_per_job: 0\n", "'tasks_per_job' is 0, expected a number from 1 to 1000000"),
        (
            "backend: local\nresources: {memory_gb: .nan}\n",
            "is nan, expected a number from 0.00098 to 1000000",
        ),
        (
            "backend: local\nresources: {memory_gb: .inf}\n",
            "'resources.memory_gb' is inf, expected a number from",
        ),
        ("backend: local\nresources: {memory_gb: 0}\n", "'resources.memory_gb' is 0, expected a number from"),
        (
            "backend: local\nresources: {memory_gb: 1e308}\n",
            r"'.*memory_gb' is 1e\+308, expected a number from",
        ),
        (
            "backend: local\nworkers: 1" + 400 * "0" + "\n",
            "'workers' is 10+.*0+, expected a number from 1 to 10000",
        ),
        ("backend: local\ngrace_seconds: .inf\n", "'grace_seconds' is inf, expected a number from 0"),
        (
            "backend: local\nresources: {walltime_minutes: 1:30}\n",
            "is '1:30', expected minutes.*Write 1:30:00",
        ),
        (
            "backend: local\nresources: {walltime_minutes: 24:61:00}\n",
            "is '24:61:00', expected minutes, H:MM:SS",
        ),
        ("backend: local\nresources: {walltime_minutes: 0}\n", "is 0, expected minutes, .*, from 0:00:01"),
        ("backend: local\nresources: {walltime_minutes: 2026-11-20}\n", "is '2026-11-20', expected minutes"),
        (
            "backend: local\nresources: {cpus: 010}\n",
            "is '010', expected a whole number. Write 10: .*leading zero",
        ),
        (
            "backend: local\nresources: {cpus: 0x10}\n",
            "'resources.cpus' is '0x10', expected a whole number. Write 16",
        ),
        ("backend: sge\nqueue: 'a\n\n  b'\n", r"'queue' is 'a\\nb', which contains a line break"),
        (
            "backend: slurm\ndirectives: ['--x=1', \"--y\\n#SBATCH --z\"]\n",
            "'directives' is .* which contains a line break",
        ),
        ('backend: local\nlauncher: "a\\0b"\n', "'launcher' is .* control character"),
        ("backend: local\nsetup: &a [*a]\n", "an alias that contains itself"),
        ("backend: local\nsetup: " + 2000 * "[" + "\n", "cannot be read as YAML"),
        (
            "backend: local\na: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{b}: &{b} [{', '.join(9 * ['*' + a])}]\n" for a, b in zip("abcdefgh", "bcdefghi")),
            "more than 20000 values, with aliases expanded",
        ),
        ("backend: local\n? [a]\n: 1\n", "cannot be read as YAML"),
        ("backend: local\nresources: 3\n", "'resources' is 3, expected settings such as {cpus: 1"),
        ("backend: lokal\n", r"there is no backend 'lokal'\. Did you mean 'local'\?"),
        ("workers: 3\n", "'backend' is missing"),
        ("- a\n", "expected one `setting: value` per line"),
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
        RunnerError,
        match=r"There is no runner 'qsub-gpo' in .*Did you mean 'qsub-gpu'\? Runners: qsub-gpu, local",
    ):
        runner.load(tmp_path, "qsub-gpo")


def test_the_list_of_runners_names_each_once(tmp_path):
    (tmp_path / "local.yaml").write_text("backend: local\n", encoding="utf-8")
    with pytest.raises(RunnerError, match=r"Runners: local, [^.]*") as raised:
        runner.load(tmp_path, "locl")
    assert str(raised.value).count("local") == 2, "once in the list, and once as the nearest name"


def test_a_sites_own_backend_lies_beside_its_profile(tmp_path):
    (tmp_path / "mysite.py").write_text(
        "from dataclasses import dataclass\nfrom neurofit.backends.local.backend import LocalBackend\n"
        "@dataclass(frozen=True)\nclass Queue(LocalBackend):\n    partition: str = 'a'\n"
    )
    assert profile(tmp_path, "backend: mysite.py:Queue\npartition: b\n").backend.partition == "b"


SITE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import Literal, Optional
from neurofit.backends.local.backend import LocalBackend

@dataclass(frozen=True)
class Login:
    host: str = ""
    port: int = 22

@dataclass(frozen=True)
class Queue(LocalBackend):
    level: Literal["low", "high"] = "low"
    limits: dict[str, int] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)
    wait_minutes: Optional[float] = None
    login: Login = field(default_factory=Login)
"""


def test_a_sites_settings_have_any_type_that_a_dataclass_field_can_name(tmp_path):
    (tmp_path / "mysite.py").write_text(SITE)
    settings = (
        "level: high\nlimits: {a: 3}\nports: [1, 2]\nwait_minutes: 0:30:00\nlogin: {host: x, port: 7}\n"
    )
    queue = profile(tmp_path, f"backend: mysite.py:Queue\n{settings}").backend
    assert (queue.level, queue.limits, queue.ports, queue.wait_minutes) == ("high", {"a": 3}, [1, 2], 30)
    assert (queue.login.host, queue.login.port) == ("x", 7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("level: mid", "'level' is 'mid', expected 'low' or 'high'"),
        ("limits: {a: b}", r"'limits' is {'a': 'b'}, expected dict\[str, int\]"),
        ("ports: [1, x]", r"'ports' is \[1, 'x'\], expected list\[int\]"),
        ("wait_minutes: soon", "'wait_minutes' is 'soon', expected minutes, H:MM:SS or D-H:MM:SS"),
        ("login: {prot: 7}", r"login has no setting 'prot'\. Did you mean 'port'\?"),
        ("login: {port: x}", "'login.port' is 'x', expected a whole number"),
    ],
)
def test_a_wrong_setting_of_a_site_is_explained(tmp_path, line, words):
    (tmp_path / "mysite.py").write_text(SITE)
    with pytest.raises(RunnerError, match=words):
        profile(tmp_path, f"backend: mysite.py:Queue\n{line}\n")


def test_a_setting_without_a_default_has_to_be_given(tmp_path):
    (tmp_path / "mysite.py").write_text(
        "from dataclasses import dataclass, field\nfrom neurofit.backends.local.backend import LocalBackend\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Queue(LocalBackend):\n    partition: str\n"
    )
    with pytest.raises(RunnerError, match="the setting 'partition' is missing"):
        profile(tmp_path, "backend: mysite.py:Queue\n")


@pytest.mark.parametrize(
    "name", ["deep/local", "../local", "/etc/passwd", ".hidden", "", "a\nb", "a\0b", "x" * 300]
)
def test_a_runners_name_is_a_plain_file_name(tmp_path, name):
    (tmp_path / "runners" / "deep").mkdir(parents=True)
    for path in ("local.yaml", "runners/deep/local.yaml", "runners/.hidden.yaml"):
        (tmp_path / path).write_text("backend: local\n")
    with pytest.raises(RunnerError, match="cannot be a runner: expected the name of a file in"):
        runner.load(tmp_path / "runners", name)


def test_a_runners_name_may_have_spaces_dots_and_letters_of_any_language(tmp_path):
    for name in ("my queue", "gpu.v100", "größe"):
        (tmp_path / f"{name}.yaml").write_text("backend: local\n")
        assert runner.load(tmp_path, name).name == name and name in runner.names(tmp_path)
