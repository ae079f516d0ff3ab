"""Two Unix users of one group on one study, on a real SLURM."""

from __future__ import annotations

import importlib.util
import json
import pwd
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest
from studies import WAITS, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]

PEOPLE = ("nfanna", "nfben")
PYTHON = Path("/usr/bin/python3")  # the tests' own may be where only root can go; so may their packages
PACKAGES = (
    "neurofit",
    "click",
    "yaml",
    "rich",
    "markdown_it",
    "mdurl",
    "pygments",
    "lazy_loader",
    "msgspec",
    "submitit",
    "cloudpickle",
    "typing_extensions",
)


class Shared:
    """A study that a group may write to, and its commands as either user types them."""

    def __init__(self, root: Path) -> None:
        self.root, self.packages = root, root.with_name("packages")

    def command(self, user: str, *words: str) -> subprocess.CompletedProcess[str]:
        start = f'umask 002; cd "$1"; shift; exec {PYTHON} -m neurofit "$@"'
        environment = {
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": f"/home/{user}",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            ["/usr/sbin/runuser", "-u", user, "--", "bash", "-c", start, "-", str(self.root), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    def counts(self, user: str, name: str = "waits") -> dict[str, int]:
        said = self.command(user, "status", name, "--json")
        (one,) = json.loads(said.stdout)["experiments"]
        return {state: number for state, number in one.items() if isinstance(number, int) and number}


@pytest.fixture
def study():
    if not PYTHON.exists():
        pytest.skip(f"there is no {PYTHON} that every user can start")
    for user in PEOPLE:
        try:
            pwd.getpwnam(user)
        except KeyError:
            subprocess.run(["useradd", "--create-home", "--user-group", user], check=True)
    subprocess.run(["groupadd", "--force", "nflab"], check=True)
    for user in PEOPLE:
        subprocess.run(["usermod", "-aG", "nflab", user], check=True)
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="neurofit-two-"))
    folder.chmod(0o755)
    found = Shared(folder / "study")
    found.packages.mkdir()
    for name in PACKAGES:
        origin = Path(importlib.util.find_spec(name).origin)
        if origin.name == "__init__.py":
            shutil.copytree(
                origin.parent, found.packages / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(origin, found.packages)
    found.root.mkdir()
    subprocess.run(["chgrp", "nflab", found.root], check=True)
    found.root.chmod(0o2775)
    subprocess.run(["chmod", "-R", "a+rX", found.packages], check=True)
    yield found
    (folder / "go").touch()
    shutil.rmtree(folder, ignore_errors=True)


def test_each_sees_the_others_tasks_queues_only_the_rest_and_may_cancel(study):
    anna, ben = PEOPLE
    assert study.command(anna, "init", ".").returncode == 0
    go = study.root.parent / "go"
    (study.root / "jobs" / "waits.py").write_text(
        "import neurofit as nf\n" + textwrap.dedent(WAITS % str(go))
    )
    setup = f"setup: [umask 002, 'export PYTHONPATH={study.packages}']"
    profile = (
        f"backend: slurm\nqueue: cpu\nresources: {{cpus: 1, memory_gb: 0.25}}\ngrace_seconds: 5\n{setup}\n"
    )
    (study.root / "runners" / "queue.yaml").write_text(profile)

    said = study.command(anna, "submit", "waits:0-1", "--backend", "queue")
    assert said.returncode == 0, said.stderr
    until(lambda: study.counts(ben).get("running") == 2)
    said = study.command(ben, "submit", "waits", "--backend", "queue")
    assert said.returncode == 0 and "4 tasks in 2 jobs" in said.stdout, said
    until(lambda: study.counts(anna).get("running") == 4)

    refused = study.command(ben, "cancel", "waits:0", "--yes")  # Anna's job: SLURM will not, the worker will
    assert refused.returncode == 5 and f"(submitted by {anna})" in refused.stderr
    assert "The tasks are cancelled nevertheless" in refused.stderr
    until(lambda: study.counts(anna).get("cancelled") == 2)
    go.touch()
    until(lambda: study.counts(ben) == {"done": 6, "cancelled": 2, "total": 8})
    said = study.command(ben, "submit", "waits", "--backend", "queue", "--retry")  # attempts after another's
    assert said.returncode == 0, said.stderr
    until(lambda: study.counts(anna) == {"done": 8, "total": 8})


SEARCH = """
import time
import neurofit as nf
def fit(task, *, x=0, y=0):
    time.sleep(0.3)
    if x == 3 and task.attempt.number == 1:
        raise ValueError("x=3 is too much")
    return {"validation/score": x - y}
experiment = nf.Experiment(
    fit, nf.search(x=[1, 2, 3, 4], y=[1, 2, 3], trials=12, metric="validation/score", sampler="grid")
)
"""


def test_two_users_share_a_search(study):
    anna, ben = PEOPLE
    assert study.command(anna, "init", ".").returncode == 0
    (study.root / "jobs" / "search.py").write_text(SEARCH)
    setup = f"setup: [umask 002, 'export PYTHONPATH={study.packages}']"
    profile = f"backend: slurm\nqueue: cpu\nresources: {{cpus: 1, memory_gb: 0.25}}\n{setup}\n"
    (study.root / "runners" / "queue.yaml").write_text(profile)

    assert study.command(anna, "submit", "search:0-5", "--backend", "queue").returncode == 0
    said = study.command(ben, "submit", "search", "--backend", "queue")
    assert said.returncode == 0 and "6 tasks in 6 jobs" in said.stdout, said
    until(lambda: study.counts(ben, "search") == {"done": 9, "failed": 3, "total": 12}, 90)
    said = study.command(ben, "submit", "search", "--backend", "queue", "--retry")  # also those of Anna
    assert said.returncode == 0 and "3 tasks in 3 jobs" in said.stdout, said
    until(lambda: study.counts(anna, "search") == {"done": 12, "total": 12})
    found = [
        json.loads(path.read_text())
        for path in study.root.glob("training_data/search/runs/*/suggestion.json")
    ]
    assert sorted(one["trial"] for one in found) == list(range(12))
    values = {(one["values"]["x"], one["values"]["y"]) for one in found}
    assert values == {(x, y) for x in (1, 2, 3, 4) for y in (1, 2, 3)}, "each combination once"
    owners = {path.owner() for path in study.root.glob("training_data/search/runs/*/suggestion.json")}
    assert owners == {anna, ben}
