"""Every code block of README and docs does what the page says, in a study made for the page.

Shell blocks run as they stand, with `neurofit` and `python` on PATH and fake queues. Python blocks run by themselves;
one with a title, ```python title="jobs/noise.py"```, is written to that file, and an experiment, in `jobs/`, is loaded
and does a task. YAML blocks are written to their file and read as runners. A text block is what the shell block before
it prints; `…` stands for anything. HTML comments above a block say more:

    <!-- not run: REASON -->         it cannot run in a test
    <!-- not checked: REASON -->     a text block whose words are not always the same
    <!-- needs TensorFlow -->        it runs in the slow tier
    <!-- exits with 3 -->            the last command's exit code
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import Fakes

from neurofit.backends import runner

pytestmark = pytest.mark.process

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?P<notes>(?:^<!--[^\n]*-->\n)*)^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOTE = re.compile(r"<!-- (not run|not checked|needs TensorFlow|exits with)(?::? (.+?))? -->")
DRAWINGS = ("architecture.md",)  # its blocks without a language are trees and diagrams
QUEUES = ("sbatch squeue sacct scancel scontrol sinfo sacctmgr", "qsub qstat qdel qacct qconf qhost pbsnodes")
EXPERIMENT = '''"""Stands for the experiment that the pages call exp3."""

import neurofit as nf


def fit(task, *, filters=9, activation="softplus"):
    task.log(1, loss=1 / filters)
    print("a line of the log")
    return {"test/correlation": 0.4 + filters / 100 + task.seed / 1000}


experiment = nf.Experiment(
    fit, grid=nf.grid(filters=[2, 4, 8, 16], activation=["relu", "softplus"]), repetitions=3
)

if __name__ == "__main__":
    experiment.main()
'''


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    body: str
    notes: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"

    @property
    def is_slow(self) -> bool:
        return "needs TensorFlow" in self.notes


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        notes = {name: said or "" for name, said in NOTE.findall(match["notes"])}
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(page, line, match["language"], match["title"], match["body"], notes))
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)), f"{page}: a block is not read"
    return found


class Reader:
    """Somebody who types what a page says, in order, and looks at what comes."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.printed = ""

    def does(self, block: Block) -> None:
        if "not run" in block.notes:
            assert block.notes["not run"], f"{block}: give the reason"
        elif block.language == "bash":
            self.printed = self.shell(block.body, int(block.notes.get("exits with", 0)), str(block))
        elif block.language == "python":
            self.python(block)
        elif block.language == "yaml":
            self.writes(block)
            runner.load(self.folder / "runners", Path(block.title).stem)
        elif block.language == "text":
            if "not checked" not in block.notes:
                self.compares(block)
        else:
            assert block.page.name in DRAWINGS, f"{block}: say which language it is"

    def shell(self, text: str, status: int = 0, place: str = "") -> str:
        """What the commands print. The folder that they go to is where the next ones start."""
        text = re.sub(
            r"^(neurofit runners check [\w-]+)(?= *(#|$))", r"\1 --no-canary", text, flags=re.MULTILINE
        )
        cwd = self.home / "cwd"
        script = f"trap 'pwd >{shlex.quote(str(cwd))}' EXIT\n{text}"
        done = subprocess.run(
            ["bash", *([] if status else ["-e"]), "-c", script],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == status, f"{place} exits with {done.returncode}\n{text}\n{printed}"
        assert "Traceback" not in printed or status, f"{place}\n{printed}"
        self.folder = Path(cwd.read_text().strip())
        return printed

    def python(self, block: Block) -> None:
        if block.title is None:
            done = subprocess.run(
                [sys.executable, "-"],
                input=block.body,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            return
        self.writes(block)
        folder, _, name = block.title.removesuffix(".py").rpartition("jobs/")
        assert not folder, f"{block}: no experiment"
        if not block.title.startswith("jobs/"):
            return  # a program that an experiment calls
        self.shell(f"neurofit show {name}", place=str(block))
        if "models.Fit" not in block.body:
            self.shell(f"neurofit run {name} --dry-run", place=str(block))

    def writes(self, block: Block) -> None:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body, encoding="utf-8")

    def compares(self, block: Block) -> None:
        """Lines of the block, in order, among those that were printed."""
        left = iter([line.strip() for line in self.printed.splitlines()])
        for line in filter(None, (line.strip() for line in block.body.splitlines())):
            pattern = re.escape(line).replace("…", ".*")
            assert any(re.fullmatch(pattern, printed) for printed in left), f"{block}: {line}\n{self.printed}"


@pytest.fixture
def queues(tmp_path, monkeypatch) -> Fakes:
    """Queues that take every job and never start one; `neurofit` and `python` are those of the tests."""
    fakes = Fakes(tmp_path / "fakes", monkeypatch, " ".join(QUEUES).split())
    fakes.say("sbatch", "11\n")
    fakes.say("scontrol", "Configuration data as of today\nClusterName = alpha\nMaxArraySize = 1001\n")
    fakes.say("squeue", "JOBID|STATE|REASON|NAME\n")
    fakes.say("sacct", "JobID|State|ExitCode|NodeList|JobName\n")
    fakes.say("sinfo", "cpu*|(null)\ngpu|gpu:a100:4\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in {"neurofit": [sys.executable, "-m", "neurofit"], "python": [sys.executable]}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "ssh").write_text(  # to a host on which the study's folder is in the home folder
        f'#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\ncd {shlex.quote(str(tmp_path))}; exec sh -c "$3"\n'
    )
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return fakes


@pytest.fixture
def reader(own_home, queues, tmp_path) -> Reader:
    """In a study with every runner, the experiments of this repository, and an `exp3` that is done at once."""
    study = tmp_path / "study"
    for name in ("jobs", "runners"):
        shutil.copytree(REPOSITORY / name, study / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data", "lib/tables"):
        (study / name).mkdir(parents=True)
    (study / "runners" / "local.yaml").write_text("backend: local\nworkers: 2\n")
    (study / "lib" / "tables" / "a.csv").write_text("a\n1\n")
    (study / "jobs" / "exp3.py").write_text(EXPERIMENT)
    return Reader(own_home, study)


ON_RESULTS = (
    "exports.md",
    "finished-tasks.md",
    "large_studies.md",
    "plots.md",
    "remote.md",
    "report.md",
    "results.md",
)  # they begin where exp3 is done


def pages(*, slow: bool) -> list[Path]:
    """Pages with a block that needs TensorFlow; or with one that runs without."""
    return [page for page in PAGES if any(block.is_slow == slow for block in blocks(page))]


@pytest.mark.parametrize("page", pages(slow=False), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_do_what_it_says(page, reader):
    found = [block for block in blocks(page) if not block.is_slow]
    if page.name in ON_RESULTS and any(block.language == "bash" for block in found):
        reader.shell("neurofit submit exp3")
    for block in found:
        reader.does(block)


ON_MODELS = ("quickstart.md", "plots.md", "finished-tasks.md")  # the first trains what the others begin with


def trains_shortly(reader: Reader) -> None:
    """The experiment that the pages call exp3 is that of this repository, with a short training."""
    script = (REPOSITORY / "jobs" / "exp3.py").read_text(encoding="utf-8")
    assert "epochs=150" in script
    (reader.folder / "jobs" / "exp3.py").write_text(
        script.replace("epochs=150", "epochs=1"), encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "page", [page for page in pages(slow=True) if page.name not in ON_MODELS], ids=lambda page: page.stem
)
def test_the_blocks_that_need_tensorflow_do_what_the_page_says(page, reader):
    trains_shortly(reader)
    for block in blocks(page):
        reader.does(block)


@pytest.mark.slow
@pytest.mark.long
def test_the_blocks_of_pages_on_trained_models_do_what_they_say(reader):
    trains_shortly(reader)
    study = reader.folder
    for name in ON_MODELS:
        reader.folder = study
        for block in blocks(REPOSITORY / "docs" / name):
            reader.does(block)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "models.Fit(" in page.read_text()], ids=lambda page: page.stem
)
def test_the_models_of_a_page_can_be_trained(page, reader):
    for block in blocks(page):
        if block.language == "python" and "models.Fit(" in block.body and "data=recordings" not in block.body:
            reader.writes(block)
            name = block.title.removeprefix("jobs/").removesuffix(".py")
            reader.shell(f"neurofit run {name} --set data=simulated --set epochs=1", place=str(block))
