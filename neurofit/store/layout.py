"""Every file name under `training_data/`.

training_data/
├── .storage.json                       identity of the storage; see `storage.py`
├── .hosts.jsonl                        jobs that died because of their hosts
├── .code/3f9a1c2e5b6d/                 copies of the study's own files, by content
└── exp3/
    ├── .lock                           the process of a submit host that is writing here
    ├── runs.jsonl                      number, id and arguments of every run ever submitted
    ├── chosen.jsonl                    which attempt counts, if a user chose an earlier one
    ├── .scratch/20261128-101502-here-w2k7/   a done task run by hand: a submission with its attempt
    ├── submissions/20261120-183012-local-k3f9/
    │   ├── submission.json  jobs.tasks  queue.jsonl
    │   ├── stops/000001.json           one per cancellation; alike.json: fail-fast stop
    │   ├── journal/000017.1.jsonl      one per start of a job
    │   ├── notice/                     claim.json digest.json result.json: what the notify command got
    │   └── logs/
    ├── runs/012-3f9a1c2e/suggestion.json    the arguments of a trial of a search
    ├── runs/012-3f9a1c2e/packed.zip         files of its attempts, if it was packed; see `packing.py`
    └── runs/012-3f9a1c2e/rep-03/
        ├── checkpoint/000400/
        ├── persistent-01/              what the attempts from this one on share, until one starts from scratch
        └── attempt-02/                 claim.json stdout.log stderr.log history.csv outcome.json …
                                        if it was packed, claim.json and outcome.json alone
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from neurofit.store import storage
from neurofit.study import Study
from neurofit.transient import StorageUnavailable, retry

ATTEMPT = re.compile(r"attempt-(\d+)$")
PERSISTENT = re.compile(r"persistent-(\d+)$")
RUN = re.compile(r"\d{3,}-[0-9a-f]{8}$")
SUBMISSION = re.compile(r"\d{8}-\d{6}-.")
JOURNAL = re.compile(r"(\d+)\.(\d+)\.jsonl$")


@dataclass(frozen=True)
class AttemptFiles:
    """The files of one attempt at a task."""

    folder: Path

    @property
    def number(self) -> int:
        return int(self.folder.name.removeprefix("attempt-"))

    @property
    def claim(self) -> Path:
        return self.folder / "claim.json"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def stdout(self) -> Path:
        return self.folder / "stdout.log"

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr.log"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"


@dataclass(frozen=True)
class TaskFiles:
    """The files of one repetition of one run."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoint"

    def persistent(self, number: int) -> Path:
        """The folder of the attempts from this one on."""
        return self.folder / f"persistent-{number:02d}"

    def persistent_numbers(self) -> list[int]:
        """The first attempts of the persistent folders that exist, in order."""
        try:
            names = retry(lambda: os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(match[1]) for name in names if (match := PERSISTENT.match(name)))

    def attempt(self, number: int) -> AttemptFiles:
        return AttemptFiles(self.folder / f"attempt-{number:02d}")

    def attempts(self) -> list[AttemptFiles]:
        """The attempts that exist, oldest first."""
        try:
            found = [path for path in retry(lambda: list(self.folder.iterdir())) if ATTEMPT.match(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((AttemptFiles(path) for path in found), key=lambda files: files.number)


@dataclass(frozen=True)
class SubmissionFiles:
    """The files of one submission: what one `neurofit submit` queued."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def record(self) -> Path:
        return self.folder / "submission.json"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs.tasks"

    @property
    def queue(self) -> Path:
        return self.folder / "queue.jsonl"

    @property
    def stops(self) -> Path:
        return self.folder / "stops"

    @property
    def fail_fast(self) -> Path:
        return self.stops / "alike.json"

    @property
    def need_stop(self) -> Path:
        return self.stops / "needs.json"

    @property
    def journals(self) -> Path:
        return self.folder / "journal"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def notice(self) -> Path:
        return self.folder / "notice"

    @property
    def notice_claim(self) -> Path:
        return self.notice / "claim.json"

    @property
    def notice_digest(self) -> Path:
        return self.notice / "digest.json"

    @property
    def notice_result(self) -> Path:
        return self.notice / "result.json"

    def journal(self, job: int, start: int) -> Path:
        return self.journals / f"{job:06d}.{start}.jsonl"


@dataclass(frozen=True)
class ExperimentFiles:
    """The files of one experiment."""

    study: Study
    name: str

    @cached_property
    def folder(self) -> Path:
        return self.study.training_data / self.name

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @property
    def registry(self) -> Path:
        return self.folder / "runs.jsonl"

    @property
    def chosen(self) -> Path:
        return self.folder / "chosen.jsonl"

    @property
    def scratch(self) -> Path:
        return self.folder / ".scratch"

    @property
    def submissions_folder(self) -> Path:
        return self.folder / "submissions"

    def submission(self, name: str) -> SubmissionFiles:
        return SubmissionFiles(self.submissions_folder / name)

    def submissions(self) -> list[SubmissionFiles]:
        """The complete submissions, oldest first (their names start with the time)."""
        return [self.submission(name) for name in self._submission_names() if SUBMISSION.match(name)]

    def misnamed(self) -> list[Path]:
        """Folders of submissions that were renamed, which are not treated as submissions."""
        others = [self.submission(name) for name in self._submission_names() if not SUBMISSION.match(name)]
        return [files.folder for files in others if os.path.lexists(files.record)]

    def _submission_names(self) -> list[str]:
        try:
            return sorted(
                name for name in retry(lambda: os.listdir(self.submissions_folder)) if name[0] != "."
            )
        except FileNotFoundError:
            return []

    def run(self, number: int, run_id: str) -> Path:
        return self.folder / f"runs/{number:03d}-{run_id[:8]}"

    def task(self, number: int, run_id: str, repetition: int) -> TaskFiles:
        return TaskFiles(self.folder / f"runs/{number:03d}-{run_id[:8]}/rep-{repetition:02d}")

    def suggestion(self, number: int, run_id: str) -> Path:
        return self.folder / f"runs/{number:03d}-{run_id[:8]}/suggestion.json"

    def outcome_text(self, number: int, run_id: str, repetition: int, attempt: int) -> str:
        """The path of an outcome, as text: a table needs thousands, and a Path is slower to create."""
        return f"{self.folder}/runs/{number:03d}-{run_id[:8]}/rep-{repetition:02d}/attempt-{attempt:02d}/outcome.json"


def host_deaths(study: Study) -> Path:
    return study.training_data / ".hosts.jsonl"


def code_store(study: Study) -> Path:
    return study.training_data / ".code"


@dataclass(frozen=True)
class Discovered:
    """The experiments with files under `training_data/`, and messages about what could not be read."""

    names: list[str]
    unseen: list[str]


def discover_experiments(study: Study) -> Discovered:
    """Find the experiments under `training_data/`, and the folders and links that may hide one.

    A folder that is reached through several links is entered once, so circular links do no harm.
    """
    if reason := storage.gone(study):
        return Discovered([], [reason])
    walk = _Walk()
    walk.enter(str(study.training_data), "")
    while walk.links:
        walk.follow(*walk.links.pop(0))
    return Discovered(sorted(walk.names), walk.unseen)


class _Walk:
    """A walk that enters folders first, then targets of links that were not entered yet."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.unseen: list[str] = []
        self.links: list[tuple[str, str]] = []
        self._entered: set[tuple[int, int]] = set()

    def enter(self, folder: str, name: str) -> None:
        """Enter a folder. `name` is the experiment's name if it is one; empty for `training_data` itself."""
        waiting = [(folder, name)]
        while waiting:
            folder, name = waiting.pop()
            try:
                status, inner = retry(partial(_look_into, folder))
            except FileNotFoundError:
                if os.path.islink(folder):
                    self.unseen.append(_broken_link(folder))
                continue
            except OSError as error:
                if not name and isinstance(error, StorageUnavailable):
                    raise  # all of the storage is unavailable, which differs from empty
                self.unseen.append(f"{folder}: {error.strerror}, so experiments in it are not listed.")
                continue
            self._entered.add((status.st_dev, status.st_ino))
            names = {entry.name for entry in inner}
            if name and "runs.jsonl" in names:
                self.names.append(name)
            elif name and any(
                entry.name == "submissions" and _has_submissions(entry.path) for entry in inner
            ):
                self.unseen.append(f"{folder}: it has submissions but no runs.jsonl, so it is not listed.")
            for entry in inner:
                if _is_folder_of_records(entry.name, name.rpartition("/")[2]):
                    continue
                path, full = f"{folder}/{entry.name}", f"{name}/{entry.name}".lstrip("/")
                if entry.is_symlink():
                    self.links.append((path, full))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, full))

    def follow(self, path: str, name: str) -> None:
        try:
            status = retry(partial(os.stat, path))
        except OSError:
            self.unseen.append(_broken_link(path))
            return
        if not os.path.isdir(path):
            return
        if (status.st_dev, status.st_ino) not in self._entered:
            self.enter(path, name)
        elif os.path.lexists(f"{path}/runs.jsonl"):
            self.names.append(name)  # another name of the same experiment


def _look_into(folder: str) -> tuple[os.stat_result, list[os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        inner = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    return os.stat(folder), inner


def _is_folder_of_records(name: str, inside: str) -> bool:
    """Whether a folder is a run in `runs/` or a submission in `submissions/`, which contain no experiments."""
    return bool(inside == "runs" and RUN.match(name)) or bool(
        inside == "submissions" and SUBMISSION.match(name)
    )


def _has_submissions(folder: str) -> bool:
    try:
        return any(SUBMISSION.match(name) for name in os.listdir(folder))
    except OSError:
        return True  # it may have some


def _broken_link(link: str) -> str:
    return f"{link}: broken link to '{os.readlink(link)}', so experiments behind it are not listed."
