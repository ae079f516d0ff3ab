"""SLURM without one: what is asked, what answers mean, and programs that give every ugly one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Fakes

from neurofit.backends import commands, job_script, runner
from neurofit.backends.base import Ending, Limits, Queued, QueueState, Resources, Submission
from neurofit.backends.commands import Answer
from neurofit.backends.job_script import current_user
from neurofit.backends.slurm import answers, job as slurm_job, names
from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.backends.slurm.status_codes import ending, reason
from neurofit.errors import NeurofitError, QueueError, SubmissionError

GOLDEN = Path(__file__).parent / "golden"
TOKEN = "20261120-183012-slurm-gpu-k3f9"
NAME = f"exp3@{TOKEN}.0-99"
CONFIG = """Configuration data as of 2026-11-20T18:30:12
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = neurofit
MaxArraySize            = 1001
PrivateData             = none
SchedulerParameters     = bf_interval=5,max_array_tasks=100
"""
HEADER = "JOBID|STATE|REASON|NAME\n"
PROGRAMS = ["sbatch", "squeue", "sacct", "scontrol", "scancel"]


def said(
    stdout: str = "", *, status: int = 0, stderr: str = "", words: tuple[str, ...] = ("squeue",)
) -> Answer:
    return Answer(words, status, stdout, stderr)


@pytest.fixture
def submission(tmp_path) -> Submission:
    folder = tmp_path / "training_data" / "exp3" / "submissions" / TOKEN
    (folder / "logs").mkdir(parents=True)
    return Submission(folder, "group/exp3", 100, tmp_path)


@pytest.fixture
def queued(submission) -> Queued:
    return Queued(
        submission.folder, "6", 0, 99, {"cluster": "neurofit", "user": current_user(), "clusters": None}
    )


@pytest.fixture
def fakes(tmp_path, monkeypatch, processes) -> Fakes:
    found = Fakes(tmp_path / "fakes", monkeypatch, PROGRAMS)
    found.say("scontrol", CONFIG)
    found.say("squeue", HEADER)
    found.say("sacct", f"{answers.ACCOUNTED.replace(',', '|')}\n")
    return found


# what is handed over


@pytest.mark.process
def test_the_script_is_this(monkeypatch):
    backend = SlurmBackend(
        resources=Resources(cpus=4, gpus=1, memory_gb=7.5, walltime_minutes=720),
        queue="gpu",
        account="vision",
        qos="long",
        setup=("module load cuda",),
        directives=("--constraint=a100", "-x node[3,7]"),
        python="/opt/my env/bin/python",
        max_running=8,
    )
    submission = Submission(
        Path("/data/it's 100%/training_data/exp3/submissions") / TOKEN, "exp3", 100, Path("/data")
    )
    text = backend.part(submission, 0, 99, at_once=8)
    assert text == (GOLDEN / "slurm-gpu.sh").read_text()
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert subprocess.run(["bash", "-n"], input=backend.script(submission), text=True).returncode == 0


def test_jobs_of_stages_depend_on_these(submission):
    text = SlurmBackend().part(replace(submission, after=("12", "345")), 0, 99, at_once=None)
    assert "#SBATCH --dependency=afterany:12:345\n" in text
    assert "--dependency" not in SlurmBackend().part(submission, 0, 99, at_once=None)
    for odd in ("12\n#SBATCH --uid=0", "1 2", "", "$(id)", "12:13"):
        with pytest.raises(ValueError, match="not the id of a job"):
            replace(submission, after=(odd,))


def test_jobs_wait_only_for_those_of_their_own_cluster(submission, queued, fakes):
    elsewhere = replace(queued, id="7", process={"cluster": "beta", "user": "ann", "clusters": "beta"})
    unknown = replace(queued, id="8", process=None)
    forged = replace(queued, id="9\n#SBATCH --uid=0")
    found = SlurmBackend().dependencies([queued, elsewhere, unknown, forged, queued])
    assert found == ("6",)
    assert SlurmBackend(directives=("-M beta",)).dependencies([queued, elsewhere]) == ("7",)
    assert SlurmBackend(directives=("-M beta,neurofit",)).dependencies([queued, elsewhere]) == ()
    fakes.say("scontrol", stderr="slurm_load_ctl_conf error: Unable to contact slurm controller", status=1)
    assert SlurmBackend().dependencies([queued]) == ()


def test_where_a_dependency_is_refused_the_workers_own_look_remains(submission, fakes):
    fakes.say(
        "sbatch",
        stderr="sbatch: error: Batch job submission failed: Job dependency problem\n",
        status=1,
        call=1,
    )
    fakes.say("sbatch", "11\n", call=2)
    [entry] = SlurmBackend().submit(replace(submission, after=("6",)))
    assert entry.id == "11"
    assert "--dependency" not in (submission.folder / "slurm" / "000000.sh").read_text()


def test_a_job_that_ended_before_its_tasks_for_want_of_another_has_no_cause():
    assert ending("FAILED", "93:0", "node07") == Ending(None)
    assert job_script.cause(93, "node07") is None


def test_what_was_not_requested_is_not_reported(submission):
    text = SlurmBackend().part(submission, 0, 0, at_once=None)
    assert not any(
        word in text for word in ("--time", "--mem", "--partition", "--gpus", "--account", "--wckey")
    )


def test_a_container_runs_the_job_and_not_what_starts_it(submission):
    backend = SlurmBackend(launcher="apptainer exec --nv 'my image.sif'", python="/usr/bin/python3")
    assert f"exec {sys.executable} -u" in backend.part(submission, 0, 0, at_once=None)
    assert "exec apptainer exec --nv 'my image.sif' /usr/bin/python3 -m neurofit.worker" in backend.script(
        submission
    )


def test_the_throttle_is_shared_among_the_parts(submission):
    shares = list(SlurmBackend(max_running=5)._shares(submission, 40))
    assert shares == [(0, 39, 2), (40, 79, 2), (80, 99, 1)]
    assert [share for *_, share in SlurmBackend(max_running=1)._shares(submission, 40)] == [1, 1, 1]


def test_what_is_pickled_is_a_folder_and_a_number(submission):
    slurm_job.write(submission.folder, 40, "script")
    with open(submission.folder / "slurm" / "000040.pkl", "rb") as file:
        job = pickle.load(file).function
    assert vars(job) == {"folder": str(submission.folder), "first": 40}
    assert sorted(path.name for path in (submission.folder / "slurm").iterdir()) == [
        "000040.pkl",
        "000040.sh",
    ]


@pytest.mark.process
def test_previewing_and_loading_a_profile_ask_nothing_and_load_no_submitit(submission):
    code = "import sys; from neurofit.backends import slurm; sys.exit('submitit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_names_say_whose_jobs_they_are(submission):
    assert names.parsed(names.name_of(submission, 40, 79)) == (TOKEN, 40, 79)
    odd = Submission(submission.folder.with_name("2026-a b,c-1"), "x/y z", 1, submission.study)
    assert names.name_of(odd, 0, 0) == "y_z@2026-a_b_c-1.0-0"
    assert names.parsed("interactive") == names.parsed("exp3.0-9") == ("", 0, 0)


def test_a_jobs_own_environment_does_not_leak_into_what_it_submits():
    given = {"SLURM_JOB_ID": "1", "SBATCH_PARTITION": "x", "SLURM_CONF": "/opt/slurm.conf", "HOME": "/root"}
    assert commands.clean_environment(given) == {"SLURM_CONF": "/opt/slurm.conf", "HOME": "/root"}


# what answers mean


def test_what_squeue_says():
    text = (
        "Welcome! | maintenance on Sunday\n\n" + HEADER + f"6_0|RUNNING|None|{NAME}\n"
        f"6_1|COMPLETING|None|{NAME}\n6_2|COMPLETED|None|{NAME}\n6_3|PENDING|JobArrayTaskLimit|{NAME}\n"
        f"6_[4-6,8%4]|PENDING|Resources|{NAME}\n7|DREAMING|Whatever|a|b\n\nbye\n"
    )
    found = {(line.id, line.elements): (line.state, line.name) for line in answers.read_squeue(said(text))}
    assert found == {
        ("6", (0,)): (QueueState("running"), NAME),
        ("6", (1,)): (QueueState("running"), NAME),
        ("6", (3,)): (QueueState("pending", "as many jobs are running as max_running allows"), NAME),
        ("6", (4, 5, 6, 8)): (QueueState("pending", "waiting for free resources"), NAME),
        ("7", None): (QueueState("pending", "Whatever"), "a|b"),
    }


@pytest.mark.parametrize(
    "answer",
    [
        said(""),
        said("\n\n"),
        said("slurm_load_jobs error: Socket timed out on send/recv operation\n"),
        said(HEADER.rstrip()),
        said(HEADER + "6_0|RUNNING|No"),
        said(HEADER + "6_0|RUNNING|None|a\n6_1|RUN"),
        said("", status=1, stderr="slurm_load_jobs error: Socket timed out on send/recv operation"),
        said(
            HEADER,
            status=1,
            stderr="slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        ),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_absence(answer):
    with pytest.raises(QueueError):
        answers.read_squeue(answer)
    with pytest.raises(QueueError):
        answers.read_sacct(answer)


def test_lines_that_cannot_be_ours_are_passed_over():
    """SLURM's own words for jobs of several parts, a name with a line break, one with a separator."""
    foreign = "11+1|PENDING|JobHeldUser|het.sh\n11+0|PENDING|JobHeldUser|het.sh\n8|PENDING|JobHeldUser|a|b\n7|PENDING|"
    foreign += "JobHeldUser|a\n\n6_0|RUNNING\n|RUNNING|None|a\n\x00\ufffd|\x01|garbage\n\u2028|\x0b|\x1c\n"
    ours = f"6_3|PENDING|Priority|{NAME}\n"
    found = answers.read_squeue(said(HEADER + foreign + ours))
    assert [line for line in found if line.name == NAME] == [
        answers.Waiting("6", (3,), QueueState("pending", "jobs of higher priority come first"), NAME)
    ]
    assert {line.id for line in found} <= {"6", "7", "8"}


@pytest.mark.parametrize(
    "line",
    [
        "6_0|",
        "6|RUNNING",
        f"6_[0-3;7]|PENDING|None|{NAME}",
        f"6_[9-4]|PENDING|None|{NAME}",
        f"6_0||None|{NAME}",
        f"6_[0-6:0]|PENDING|None|{NAME}",
        f"6_[0-99999999]|PENDING|None|{NAME}",
        f"6+1|PENDING|None|{NAME}",
        f"|RUNNING|None|{NAME}",
        f"6_{'9' * 5000}|PENDING|None|{NAME}",
        f"6_[-]|PENDING|None|{NAME}",
    ],
)
def test_a_line_of_ours_that_is_not_understood_is_reported_of_its_own_jobs_and_of_no_others(
    fakes, queued, line
):
    other = Queued(queued.folder.with_name("other"), "7", 5, 5, queued.process)
    fakes.say("squeue", f"{HEADER}{line}\n7_0|RUNNING|None|x@other.5-5\n")
    found = dict(SlurmBackend().poll([queued, other]))
    assert found.pop(("other", 5)) == QueueState("running")
    assert len(found) == 100 and {state.phase for state in found.values()} == {"unknown"}
    assert "cannot be read" in found[TOKEN, 0].reason
    (queued.folder / "job.sh").touch()
    if NAME in line:
        with pytest.raises(QueueError, match="cannot be read"):
            SlurmBackend().find([Submission(queued.folder, "exp3", 100, queued.folder)])


def test_a_line_of_accounting_that_is_not_understood_is_reported_of_its_own_jobs(fakes, queued):
    other = Queued(queued.folder.with_name("other"), "7", 5, 5, queued.process)
    fakes.say(
        "sacct",
        "JobID|State|ExitCode|NodeList|JobName\n93+0|FAILED|1:0|vm|mpi\n6_[x|\n7_0|COMPLETED|0:0|vm|x@other.5-5\n",
    )
    found = SlurmBackend().endings([queued, other])
    assert found["other", 5] == Ending(None) and "cannot be read" in found[TOKEN, 99].problem


def test_an_empty_queue_is_an_answer():
    assert answers.read_squeue(said(HEADER)) == []


def test_a_list_that_slurm_cut_short_counts_for_all():
    assert answers.elements_of("6_[1,3,...]") == ("6", None)
    assert answers.elements_of("6_[0-6:3]") == ("6", (0, 3, 6))


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("None", ""),
        ("DependencyNeverSatisfied", "can never run: the job that it depends on failed"),
        ("PartitionConfig", "can never run"),
        ("BeginTime", "started again"),
        ("ReqNodeNotAvail, UnavailableNodes:vm", "not available (ReqNodeNotAvail, UnavailableNodes:vm)"),
        ("QOSMaxJobsPerUserLimit", "waiting for running jobs"),
        ("AssocGrpGRES", "waiting for running jobs"),
        ("QOSMaxCpuPerJobLimit", "can never run as it is"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_why_it_waits_is_reported_in_words(word, words):
    assert words in reason(word)


@pytest.mark.parametrize(
    ("state", "code", "cause"),
    [
        ("COMPLETED", "0:0", None),
        (
            "OUT_OF_MEMORY",
            "0:125",
            "memory limit exceeded on vm: raise resources.memory_gb",
        ),
        ("TIMEOUT", "0:0", "time limit exceeded on vm: raise resources.walltime_minutes"),
        ("NODE_FAIL", "1:0", "its node failed (vm)"),
        ("CANCELLED by 0", "0:0", "cancelled by root"),
        ("CANCELLED by 987654", "0:0", "cancelled by user 987654"),
        ("CANCELLED", "0:0", "cancelled"),
        ("PREEMPTED", "0:0", "preempted by jobs of higher priority"),
        ("FAILED", "0:53", "its output could not be opened on vm"),
        ("FAILED", "66:0", "could not be entered on vm"),
        ("FAILED", "99:0", "the queue refused"),
        ("FAILED", "127:0", "a program was not found"),
        ("FAILED", "0:9", "killed by signal 9 on vm"),
        ("FAILED", "3:0", "it exited with status 3 on vm"),
        ("LAUNCH_FAILED", "0:0", "SLURM reports LAUNCH_FAILED on vm"),
    ],
)
def test_how_it_ended_is_reported_in_words(state, code, cause):
    found = ending(state, code, "vm")
    assert found is not None
    assert found.cause == cause if cause is None else found.cause.startswith(cause) or cause in found.cause


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "REQUEUED", "SUSPENDED", "DREAMING", ""])
def test_what_is_not_over_has_no_ending(state):
    assert ending(state, "0:0", "None assigned") is None


def test_accounting_that_is_off_knows_nothing():
    assert answers.read_sacct(said(status=1, stderr="Slurm accounting storage is disabled\n")) == []


@pytest.mark.parametrize(
    "text",
    ["6\n", "6;neurofit\n", "*** quota 99 % ***\n6\nbye\n", "motd 2026\nSubmitted batch job 6\n", "6\n\n"],
)
def test_the_id_is_found_among_banners(text):
    assert answers.read_sbatch(said(text)) == ("6", "neurofit" if ";" in text else None)


def test_a_refusal_and_no_answer_are_reported_apart():
    with pytest.raises(SubmissionError, match="invalid partition specified: nope"):
        answers.read_sbatch(
            said(status=1, stderr="sbatch: error: invalid partition specified: nope", words=("sbatch",))
        )
    with pytest.raises(SubmissionError, match="connect failure"):
        answers.read_sbatch(
            said(status=1, stderr="sbatch: error: Unable to contact slurm controller (connect failure)")
        )
    for stderr in ("Socket timed out on send/recv operation", "Zero Bytes were transmitted or received"):
        with pytest.raises(QueueError) as caught:
            answers.read_sbatch(
                said(status=1, stderr=f"sbatch: error: Batch job submission failed: {stderr}")
            )
        assert not isinstance(caught.value, SubmissionError)
    with pytest.raises(QueueError, match="without a job id"):
        answers.read_sbatch(said(""))


def test_limits():
    config = answers.read_config(said(CONFIG))
    assert answers.limits(config, {"MaxTime": "2-12:30:00"}) == Limits(
        array_size=100, walltime_minutes=3630.0
    )
    assert answers.limits({"MaxArraySize": "1001"}, {"MaxTime": "UNLIMITED"}) == Limits(array_size=1001)
    nodes = answers.read_sinfo(said("n1|n1|16384|cpu*\nn2|h2|65536+|cpu*\nn3|h3|262144|big\n"), None)
    assert [node.name for node in nodes] == ["n1", "n2"] and nodes[1].host == "h2"
    assert answers.limits(config, {}, nodes).memory_gb == 64
    assert answers.limits(config, {"MaxMemPerNode": "32768"}, nodes).memory_gb == 32
    assert answers.limits(config, {"MaxMemPerNode": "UNLIMITED"}).memory_gb is None
    several = (
        "PartitionName=a\n Default=NO MaxTime=1:00:00\n\nPartitionName=b\n Default=YES MaxTime=2:00:00\n"
    )
    assert answers.read_partition(said(several))["PartitionName"] == "b"
    with pytest.raises(QueueError, match="gave an incomplete answer"):
        answers.read_config(said(CONFIG[:100], words=("scontrol", "show", "config")))


def test_elements_are_folded_into_words_of_bounded_length():
    assert list(answers.folded("6", [1, 2, 3, 7])) == ["6_[1-3,7]"]
    words = list(answers.folded("6", range(0, 20_000, 2)))
    assert max(map(len, words)) < answers.LONGEST_LIST + 2000 and len(words) > 5
    assert sorted(index for word in words for index in answers.elements_of(word)[1]) == list(
        range(0, 20_000, 2)
    )


# programs that answer as we say


def test_submitting_asks_for_limits_once_and_yields_each_call(fakes, submission):
    fakes.say("scontrol", CONFIG.replace("max_array_tasks=100", "max_array_tasks=40"))
    for call in (1, 2, 3):
        fakes.say("sbatch", f"banner\n{10 + call}\n", call=call)
    found = []
    for entry in SlurmBackend().submit(submission):
        found.append((entry.id, entry.first, entry.last))
        assert len(fakes.calls("sbatch")) == len(found)
    assert found == [("11", 0, 39), ("12", 40, 79), ("13", 80, 99)]
    assert fakes.calls("scontrol") == [["show", "config"]]


def test_a_refusal_half_way_keeps_what_was_taken(fakes, submission):
    fakes.say("scontrol", CONFIG.replace("max_array_tasks=100", "max_array_tasks=40"))
    fakes.say("sbatch", "11\n", call=1)
    fakes.say("sbatch", stderr="sbatch: error: QOSMaxSubmitJobPerUserLimit\n", status=1, call=2)
    found = []
    with pytest.raises(SubmissionError, match="QOSMaxSubmitJobPerUserLimit"):
        for entry in SlurmBackend().submit(submission):
            found.append(entry.id)
    assert found == ["11"]


def test_an_answer_that_was_lost_is_looked_up_by_name(fakes, submission):
    fakes.say(
        "sbatch",
        stderr="sbatch: error: Batch job submission failed: Socket timed out on send/recv\n",
        status=1,
    )
    fakes.say("squeue", f"{HEADER}5_0|PENDING|None|other\n6_0|PENDING|Priority|{NAME}\n")
    assert [entry.id for entry in SlurmBackend().submit(submission)] == ["6"]


def test_where_nobody_knows_whether_it_was_taken_that_is_reported_and_nothing_taken_back(fakes, submission):
    fakes.say("sbatch", stderr="sbatch: error: Socket timed out on send/recv operation\n", status=1)
    with pytest.raises(QueueError, match="is not known") as caught:
        list(SlurmBackend().submit(submission))
    assert not isinstance(caught.value, SubmissionError)


def test_what_was_never_confirmed_is_also_found_when_it_has_ended(fakes, submission, queued):
    assert SlurmBackend().find([submission]) == [] and not fakes.calls("squeue")  # no job.sh: never asked
    (submission.folder / "job.sh").touch()
    fakes.say(
        "sacct",
        f"JobID|State|ExitCode|NodeList|JobName\n6_0|COMPLETED|0:0|vm|{NAME}\n6_1|FAILED|1:0|vm|{NAME}\n",
    )
    assert SlurmBackend().find([submission]) == [queued]


def test_one_question_for_all(fakes, queued):
    other = Queued(queued.folder.with_name("other"), "7", 5, 5, queued.process)
    fakes.say("squeue", f"{HEADER}6_3|PENDING|Priority|{NAME}\n7_0|RUNNING|None|x@other.5-5\n")
    found = SlurmBackend().poll([queued, other])
    assert found == {
        (TOKEN, 3): QueueState("pending", "jobs of higher priority come first"),
        ("other", 5): QueueState("running"),
    }
    assert len(fakes.calls("squeue")) == 1 and not fakes.calls("scontrol") and not fakes.calls("sacct")


def test_an_id_that_another_job_has_now_is_not_ours(fakes, queued):
    fakes.say("squeue", f"{HEADER}6_3|RUNNING|None|another job\n")
    assert SlurmBackend().poll([queued]) == {}


def test_what_this_host_cannot_see_is_not_gone(fakes, queued, monkeypatch):
    fakes.say("scontrol", CONFIG.replace("= neurofit", "= elsewhere"))
    fakes.say(
        "squeue",
        stderr="squeue: error: No cluster 'neurofit' known by database.",
        status=1,
        cluster="neurofit",
    )
    states = SlurmBackend().poll([queued])
    assert (
        len(states) == 100
        and "queued on the cluster neurofit; this host can only ask elsewhere" in states[TOKEN, 0].reason
    )
    fakes.say(
        "scontrol", CONFIG.replace("PrivateData             = none", "PrivateData             = jobs,usage")
    )
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    other = Queued(queued.folder, "6", 0, 99, {"cluster": "neurofit", "user": "somebody"})
    state = SlurmBackend().poll([other])[TOKEN, 0]
    assert state.phase == "hidden" and "were queued by somebody" in state.reason


@pytest.mark.parametrize("program", ["squeue", "sacct"])
def test_a_program_that_is_late_is_not_waited_for_endlessly(fakes, queued, monkeypatch, program):
    fakes.say(program, HEADER, seconds=10)
    monkeypatch.setattr(
        commands.ask, "__kwdefaults__", {**commands.ask.__kwdefaults__, "timeout_seconds": 0.3}
    )
    ask = SlurmBackend().poll if program == "squeue" else SlurmBackend().endings
    with pytest.raises(QueueError, match=r"did not answer within 0\.3 s"):
        ask([queued])
    assert not fakes.has_answered(program)


def test_endings_of_folded_elements(fakes, queued):
    fakes.say(
        "sacct",
        f"JobID|State|ExitCode|NodeList|JobName\n6_[8-9]|CANCELLED by 0|0:0|None assigned|{NAME}\n"
        f"6_0|COMPLETED|0:0|vm|{NAME}\n6_1|RUNNING|0:0|vm|{NAME}\n7_2|FAILED|1:0|vm|other\n",
    )
    assert SlurmBackend().endings([queued]) == {
        (TOKEN, 8): Ending("cancelled by root"),
        (TOKEN, 9): Ending("cancelled by root"),
        (TOKEN, 0): Ending(None),
    }


def test_cancelling_elements_and_whole_arrays(fakes, queued):
    SlurmBackend().cancel([queued], [(TOKEN, job) for job in (1, 2, 3, 7)])
    SlurmBackend().cancel([queued], [(TOKEN, job) for job in range(100)])
    assert fakes.calls("scancel") == [["6_[1-3,7]"], ["6"]]
    fakes.say(
        "scancel", stderr="scancel: error: Kill job error on job id 6: Invalid job id specified\n", status=1
    )
    SlurmBackend().cancel([queued], [(TOKEN, 1)])
    fakes.say(
        "scancel", stderr="scancel: error: Kill job error on job id 6: Access/permission denied\n", status=1
    )
    with pytest.raises(QueueError, match="permission denied"):
        SlurmBackend().cancel([queued], [(TOKEN, 1)])


@pytest.mark.process
def test_a_host_without_slurm_says_so(monkeypatch, tmp_path, submission):
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = SlurmBackend().check()
    assert not finding.ok and "is this a submit host" in finding.advice
    with pytest.raises(SubmissionError, match="The program 'scontrol' was not found on this host"):
        list(SlurmBackend().submit(submission))


def test_checking_asks_whether_such_a_job_would_be_accepted(fakes):
    stderr = "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified\n"
    fakes.say("sbatch", stderr=stderr, status=1)
    found = SlurmBackend(queue="nope").check()
    assert [finding.ok for finding in found] == [True, True, False]
    assert found[-1].advice.startswith("Invalid partition name specified.")
    assert fakes.calls("sbatch")[0][0] == "--test-only"


# what runs on the node


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (3, False), (99, True)])
def test_a_job_hands_its_workers_status_on_and_asks_to_be_started_again(fakes, submission, status, requeued):
    (submission.folder / "job.sh").write_text(f'echo "$@" >said\nexit {status}\n')
    code = f"from neurofit.backends.submitit_job import Job; Job({str(submission.folder)!r}, 40)()"
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=submission.folder)
    assert done.returncode == status
    assert (submission.folder / "said").read_text() == f"{submission.folder} 42\n"
    assert fakes.calls("scontrol") == ([["requeue", "6_2"]] if requeued else [])


def test_a_job_asks_again_to_be_started_again_if_the_controller_refuses_for_a_moment(fakes, submission):
    (submission.folder / "job.sh").write_text("exit 99\n")
    fakes.say("scontrol", stderr="Job update not available right now, try again in a bit\n", status=1, call=1)
    code = f"from neurofit.backends.submitit_job import Job; Job({str(submission.folder)!r}, 40)()"
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=submission.folder, capture_output=True
    )
    assert (done.returncode, done.stderr) == (99, b"")
    assert fakes.calls("scontrol") == [["requeue", "6_2"]] * 2


def test_a_job_passes_signals_on(fakes, submission):
    (submission.folder / "job.sh").write_text(
        "trap 'exit 5' USR2\ntouch ready\nwhile true; do sleep 0.05; done\n"
    )
    code = f"from neurofit.backends.submitit_job import Job; Job({str(submission.folder)!r}, 0)()"
    environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "0"}
    job = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=submission.folder)
    deadline = time.monotonic() + 20
    while not (submission.folder / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR2)
    assert job.wait(timeout=20) == 5


@pytest.mark.parametrize("name", ["slurm-cpu", "slurm-gpu"])
def test_the_profiles_that_come_with_neurofit_can_be_used(name):
    found = runner.load(Path(__file__).resolve().parents[2] / "runners", name)
    assert isinstance(found.backend, SlurmBackend) and isinstance(found.backend.resources, Resources)


def test_a_wrong_setting_is_named(tmp_path):
    (tmp_path / "queue.yaml").write_text("backend: slurm\npartition: gpu\n")
    with pytest.raises(NeurofitError, match="SlurmBackend has no setting 'partition'"):
        runner.load(tmp_path, "queue")
