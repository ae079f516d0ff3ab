"""What both dialects of qsub share: telling them apart, job scripts, and what to do without a clear
answer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Fakes
from hypothesis import given, strategies as st

from neurofit.backends import job_script, runner
from neurofit.backends.base import Resources, Submission
from neurofit.backends.commands import Answer
from neurofit.backends.qsub.gridengine import SgeBackend
from neurofit.backends.qsub.pbs import PbsBackend
from neurofit.backends.qsub.qsub import ArrayPart, clock, dialect, job_name, parts
from neurofit.errors import QueueError, SubmissionError

SGE_VERSION = 'qsub: invalid option argument "--version"'
GOLDEN = Path(__file__).parent / "golden"
RUNNERS = Path(__file__).parents[2] / "runners"
TOKEN = "20261120-183012-qsub-gpu-k3f9"


@pytest.fixture
def queue(tmp_path, monkeypatch, processes) -> Fakes:
    return Fakes(tmp_path / "queue", monkeypatch, ["qsub", "qstat", "qdel", "qacct", "qconf", "qselect"])


@pytest.fixture
def submission(tmp_path) -> Submission:
    study = tmp_path / "a b,c:d 'e' $(f)"
    folder = study / "training_data" / "exp3" / "submissions" / TOKEN
    (folder / "logs").mkdir(parents=True)
    return Submission(folder, "exp3", 5, study)


@pytest.mark.parametrize(
    ("out", "err", "expected"),
    [
        ("pbs_version = 23.06.06\n", "", "pbs"),
        ("", "Welcome!\npbs_version = 2022.1.1\n", "pbs"),
        ("", 'qsub: invalid option argument "--version"\n', "sge"),
        ("SGE 8.1.9\nusage: qsub [options]\n", "", "sge"),
        ("UGE 8.5.5\n", "", "sge"),
        ("", "Version: 6.1.2\nCommit: 661e\n", "torque"),
        ("", "Unknown option: version\nUsage:\n    qsub [-a start_time]\n", "slurm"),
        ("", "", None),
    ],
)
def test_whose_qsub_this_is_is_asked(out, err, expected):
    assert dialect(Answer(("qsub", "--version"), 0, out, err)) == expected


@pytest.mark.parametrize(
    ("backend", "err", "words"),
    [
        (PbsBackend(), SGE_VERSION, "for PBS, and `qsub` here is Grid Engine.*backend: sge"),
        (
            SgeBackend(),
            "pbs_version = 23.06.06",
            r"for Grid Engine, and `qsub` here is PBS \(pbs_version = 23.06.06\)",
        ),
        (PbsBackend(), "Unknown option: version", "SLURM's imitation of qsub.*backend: slurm"),
        (SgeBackend(), "what?", "`qsub` here is unknown"),
    ],
)
def test_a_profile_for_the_other_dialect_is_an_error_before_anything_is_queued(
    queue, submission, backend, err, words
):
    queue.say("qsub", stderr=err, status=2)
    with pytest.raises(SubmissionError, match=words):
        list(backend.submit(submission))
    assert queue.calls("qsub") == [["--version"]] and queue.calls("qconf") == []
    assert not backend.check()[0].ok


@pytest.mark.process
def test_without_a_qsub_this_is_not_a_submit_host(submission, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmissionError, match="Is it a submit host"):
        list(SgeBackend().submit(submission))


def test_names_start_with_a_letter_and_have_15_characters_at_most():
    names = [job_name(TOKEN), job_name("9 what:ever,"), job_name(TOKEN.replace("k3f9", "aaaa"))]
    assert names[0] == "nfk3f9183012"
    assert all(name[0].isalpha() and name.isalnum() and len(name) <= 15 for name in names)
    assert len(set(names)) == 3


def test_a_submission_is_split_and_its_throttle_shared_out():
    assert parts(8, 3, 4) == [ArrayPart(0, 2, 2), ArrayPart(3, 5, 1), ArrayPart(6, 7, 1)]
    assert parts(8, None, None) == [ArrayPart(0, 7)]
    assert sum(part.running for part in parts(100, 7, 50)) == 50
    assert [clock(minutes) for minutes in (0.5, 90, 6000.25)] == ["00:00:30", "01:30:00", "100:00:15"]


@pytest.mark.process
@pytest.mark.parametrize("name", ["qsub-cpu", "qsub-gpu", "pbs-cpu", "pbs-gpu"])
def test_scripts_are_these(name, monkeypatch):
    for variable in ("TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH"):
        monkeypatch.delenv(variable, raising=False)
    backend = replace(runner.load(RUNNERS, name).backend, python="/usr/bin/python3", max_running=4)
    backend = replace(backend, setup=("source /etc/profile", "module load python"), directives=("-m a",))
    study = Path("/home/ann's work, 1:2/study")
    submission = Submission(study / "training_data/exp3/submissions" / TOKEN, "exp3", 20, study)
    text = backend.preview(submission)
    assert text == (GOLDEN / f"{name}.sh").read_text()
    assert subprocess.run(["bash", "-n", "-c", text]).returncode == 0


WORKER = """#!/bin/bash
printf '%s\\n' "$PWD" "$@" "$OMP_NUM_THREADS" "${{FROM_SETUP-}}" >>"$SAID"
{words}
exit {status}
"""


@pytest.fixture
def run(submission, tmp_path, queue, monkeypatch):
    """Run a backend's script as its queue would, with a worker that ends with this status; gives the
    script's.
    """

    def run(backend, status: int = 0, words: str = "", job: int = 2, **settings) -> int:
        worker = tmp_path / "worker"
        worker.write_text(WORKER.format(words=words, status=status))
        worker.chmod(0o755)
        backend = replace(backend, python=str(worker), resources=Resources(cpus=3), **settings)
        (submission.folder / "job.sh").write_text(backend.script(submission))
        index = {"SGE_TASK_ID": str(job + 1)} if backend.dialect == "sge" else {"PBS_ARRAY_INDEX": str(job)}
        environment = {**os.environ, **index, "SAID": str(tmp_path / "said"), "PBS_O_PATH": ""}
        return subprocess.run(["bash", submission.folder / "job.sh"], env=environment, cwd="/").returncode

    return run


BOTH = pytest.mark.parametrize("backend", [SgeBackend(), PbsBackend()], ids=["sge", "pbs"])


@BOTH
def test_the_script_starts_a_worker_in_the_study_with_folder_and_number(run, submission, tmp_path, backend):
    assert run(backend, setup=("export FROM_SETUP=yes",)) == 0
    said = (tmp_path / "said").read_text().splitlines()
    assert said == [str(submission.study), "-m", "neurofit.worker", str(submission.folder), "2", "3", "yes"]
    assert list(submission.folder.glob("logs/*")) == [], "an empty log is removed"


@BOTH
def test_what_happens_before_a_worker_is_in_the_jobs_log(run, submission, backend):
    assert run(backend, setup=("echo trouble >&2", "exit 99")) == 1
    assert (submission.folder / "logs" / "000002.log").read_text() == "trouble\n"


@BOTH
def test_a_missing_log_folder_is_made_and_a_missing_study_is_not(run, submission, backend):
    (submission.folder / "logs").rmdir()
    assert run(backend, words="echo hello") == 0
    assert (submission.folder / "logs" / "000002.log").read_text() == "hello\n"
    script = (submission.folder / "job.sh").read_text()
    submission.study.rename(submission.study.with_name("away"))
    environment = {**os.environ, "SGE_TASK_ID": "3", "PBS_ARRAY_INDEX": "2"}
    assert subprocess.run(["bash", "-c", script], env=environment).returncode == 97
    assert not submission.study.exists()


@BOTH
def test_a_script_leaves_its_status_and_its_next_start_takes_that_away(run, submission, backend):
    node = os.uname().nodename.split(".")[0]
    assert run(backend, setup=("exit 3",)) == 3 and os.listdir(submission.folder / "ended") == [
        f"000002.3.{node}"
    ]
    assert run(backend, status=95, job=7) == 95
    assert sorted(os.listdir(submission.folder / "ended")) == [f"000002.3.{node}", f"000007.95.{node}"]
    assert run(backend, status=0) == 0 and os.listdir(submission.folder / "ended") == [f"000007.95.{node}"]
    assert job_script.records(submission.folder) == {7: job_script.ExitRecord(95, node)}


@BOTH
def test_a_setup_that_ends_the_script_in_peace_is_a_failure(run, submission, backend):
    assert [run(backend, setup=(f"exit {status}",)) for status in (0, 99)] == [1, 1]
    assert job_script.records(submission.folder)[2].status == 1


@BOTH
def test_a_script_that_was_killed_or_is_to_be_started_again_leaves_nothing(run, submission, backend, queue):
    queue.say("qsub", stderr="qsub: not from here", status=159)
    assert run(backend, setup=("kill -9 $BASHPID",)) == -9
    run(backend, status=99)
    assert job_script.records(submission.folder) == {}


@BOTH
def test_a_script_that_a_person_starts_by_hand_does_nothing(run, submission, backend):
    run(backend, status=3)
    script = submission.folder / "job.sh"
    done = subprocess.run(["bash", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert (
        done.returncode == 64
        and "has no job number" in done.stdout
        and set(job_script.records(submission.folder)) == {2}
    )


@BOTH
def test_a_status_finds_a_place_where_the_disk_is_full(run, submission, backend):
    (submission.folder / "logs" / "000002.log").symlink_to("/dev/full")
    assert run(backend, setup=("echo trouble", "exit 5")) == 5
    assert job_script.records(submission.folder)[2].status == 5


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.one_of(NAMES, st.from_regex(r"\A[0-9]{5,7}\.[0-9]{1,4}\.[^/\0]{0,5}\Z")), max_size=8))
def test_odd_names_among_statuses_are_passed_over(names):
    with tempfile.TemporaryDirectory() as folder:
        (ended := Path(folder, "ended")).mkdir()
        for name in set(names) - {"", ".", ".."}:
            with contextlib.suppress(OSError):
                (ended / name).touch()
        assert all(
            job >= 0 and 0 <= one.status <= 999 for job, one in job_script.records(Path(folder)).items()
        )


def test_grid_engine_starts_again_what_a_worker_asks_for_and_nothing_else_is_taken_for_that(run):
    assert [run(SgeBackend(), status=status) for status in (0, 1, 99, 100)] == [0, 1, 99, 1]


def test_pbs_queues_the_job_once_more_from_its_node_and_leaves_the_new_id(run, submission, queue):
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say("qsub", "Welcome to this node\n77.pbshost\n")
    assert run(PbsBackend(), status=99) == 0
    assert queue.calls("qsub") == [["--version"], ["-v", "NEUROFIT_JOB=2", str(submission.folder / "job.sh")]]
    assert os.listdir(submission.folder / "resubmitted") == ["000002.77.pbshost"]


def test_where_a_node_may_not_submit_the_log_says_so_and_the_job_is_over(run, submission, queue):
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say("qsub", stderr="qsub: Bad UID for job execution", status=159)
    assert run(PbsBackend(), status=99) == 0
    assert (
        "Bad UID for job execution); the next submit continues"
        in (submission.folder / "logs/000002.log").read_text()
    )
    assert not (submission.folder / "resubmitted").exists()


def test_a_node_whose_qsub_is_of_another_queue_gets_no_job_from_us(run, submission, queue):
    queue.say("qsub", stderr=SGE_VERSION, status=2)
    assert run(PbsBackend(), status=99) == 0
    assert queue.calls("qsub") == [["--version"]]
    assert "the next submit continues" in (submission.folder / "logs/000002.log").read_text()


@pytest.mark.parametrize(
    ("backend", "version", "answers", "ids"),
    [
        (SgeBackend(), SGE_VERSION, ["Welcome!\n12.1-5:1\nDo not run jobs here.\n"], ["12"]),
        (SgeBackend(), SGE_VERSION, ['Your job-array 12.1-5:1 ("x") has been submitted'], ["12"]),
        (PbsBackend(), "pbs_version = 23", ["Welcome!\n12[].pbshost\nbye\n"], ["12[].pbshost"]),
    ],
)
def test_a_banner_around_the_id_is_passed_over(queue, submission, backend, version, answers, ids):
    queue.say("qsub", stderr=version, call=1)
    for call, answer in enumerate(answers, start=2):
        queue.say("qsub", answer, call=call)
    assert [entry.id for entry in backend.submit(submission)] == ids


def test_a_refusal_half_way_keeps_what_was_taken(queue, submission):
    queue.say("qsub", stderr=SGE_VERSION, call=1)
    queue.say("qconf", "max_aj_tasks                 2\n")
    queue.say("qsub", "12.1-2:1\n", call=2)
    queue.say("qsub", stderr="job rejected: quota", status=25)
    queue.say("qstat", "<?xml version='1.0'?><unknown_jobs/>")
    queue.say("qacct", stderr="error: job name nfk3f9183012 not found", status=1)
    queued = SgeBackend().submit(submission)
    assert next(queued).id == "12"
    with pytest.raises(SubmissionError, match="status 25:\njob rejected: quota"):
        next(queued)


def test_a_job_that_was_taken_without_an_answer_is_found_by_its_name(queue, submission):
    queue.say("qsub", stderr=SGE_VERSION, call=1)
    queue.say("qsub", stderr="error: commlib error: got read error", status=1)
    queue.say("qstat", NAMED)
    assert [(entry.id, entry.first, entry.last) for entry in SgeBackend().submit(submission)] == [
        ("31", 0, 4)
    ]


def test_an_unknown_answer_is_not_taken_for_a_refusal(queue, submission):
    queue.say("qsub", stderr=SGE_VERSION, call=1)
    queue.say("qsub", stderr="error: commlib error: got read error", status=1)
    queue.say("qstat", stderr="error: unable to send message to qmaster", status=1)
    with pytest.raises(QueueError, match="It is not known whether the jobs were queued") as caught:
        list(SgeBackend().submit(submission))
    assert not isinstance(caught.value, SubmissionError)


NAMED = """<?xml version='1.0'?>
<detailed_job_info><djob_info><element>
  <JB_job_number>31</JB_job_number><JB_job_name>nfk3f9183012</JB_job_name>
  <JB_ja_structure><task_id_range><RN_min>1</RN_min><RN_max>5</RN_max><RN_step>1</RN_step></task_id_range></JB_ja_structure>
</element></djob_info></detailed_job_info>
"""
