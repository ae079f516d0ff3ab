"""SLURM where jobs go to another cluster than this host's: its own answers, of two clusters of SLURM
22.05.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from contract import read_back
from fakes import Fakes

from neurofit.backends.base import Ending, Queued, QueueState, Submission
from neurofit.backends.job_script import current_user
from neurofit.backends.slurm import answers, clusters
from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.errors import QueueError, RunnerError, SubmissionError

TOKEN = "20261120-183012-slurm-gpu-k3f9"
NAME = f"exp3@{TOKEN}.0-99"
HEADER = "JOBID|STATE|REASON|NAME\n"
ACCOUNTED = f"{answers.ACCOUNTED.replace(',', '|')}\n"
LOCAL = "ClusterName             = neurofit\nMaxArraySize            = 1001\n"
BETA = "ClusterName             = beta\nMaxArraySize            = 41\n"
UNREACHABLE = (
    "squeue: error: No cluster 'beta' known by database.\nsqueue: error: 'beta' can't be reached now, or it "
    "is an invalid entry for --cluster.  Use 'sacctmgr list clusters' to see available clusters.\n"
)
TO_BETA = SlurmBackend(directives=("--clusters=beta",))


@pytest.fixture
def submission(tmp_path) -> Submission:
    folder = tmp_path / "training_data" / "exp3" / "submissions" / TOKEN
    (folder / "logs").mkdir(parents=True)
    return Submission(folder, "group/exp3", 100, tmp_path)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fakes(tmp_path, monkeypatch, processes) -> Fakes:
    programs = ["sbatch", "squeue", "sacct", "scontrol", "scancel", "sacctmgr"]
    found = Fakes(tmp_path / "fakes", monkeypatch, programs)
    found.say("scontrol", LOCAL)
    found.say("scontrol", LOCAL, cluster="neurofit")
    found.say("scontrol", BETA, cluster="beta")
    found.say("squeue", HEADER)
    found.say("squeue", f"CLUSTER: beta\n{HEADER}", cluster="beta")
    for cluster in (None, "beta", "neurofit"):
        found.say("sacct", ACCOUNTED, cluster=cluster)
    return found


def script_in(submission: Submission, *directives: str) -> None:
    """What 0.1.0 left beside a call's note."""
    (submission.folder / "job.sh").touch()
    (submission.folder / "slurm").mkdir()
    lines = "".join(f"#SBATCH {line}\n" for line in directives)
    (submission.folder / "slurm" / "000000.sh").write_text(
        f"#!/bin/bash\n\n# Parameters\n{lines}\n# setup\ncd /x\n"
    )


def note(submission: Submission, cluster: str | None, **more) -> Queued:
    process = None if cluster is None else {"cluster": cluster, "user": current_user(), **more}
    return Queued(submission.folder, "77", 0, 99, process)


# where a submission goes


@pytest.mark.parametrize(
    ("directives", "found"),
    [
        ((), None),
        (("--clusters=beta",), "beta"),
        (("--clusters beta",), "beta"),
        (("--cluster=beta",), "beta"),
        (("-M beta",), "beta"),
        (("-Mbeta",), "beta"),
        (("-M beta --constraint=a100", "--mem=1G"), "beta"),
        (("--clusters=alpha", "-M 'beta,gamma'"), "beta,gamma"),
        (("--cluster-constraint=fast", "--comment='see -M beta'", "--mail-user=M"), None),
        (("--clusters=all  # whichever",), "all"),
        (("--comment=it's",), None),
    ],
)
def test_options_of_sbatch_say_which_clusters(directives, found):
    assert clusters.in_options(directives) == found


def test_the_environment_of_the_submit_host_chooses_where_the_profile_does_not():
    both = {"SBATCH_CLUSTERS": "beta", "SLURM_CLUSTERS": "alpha"}
    assert clusters.chosen((), both) == "alpha", "as sbatch itself"
    assert clusters.chosen((), {"SBATCH_CLUSTERS": "beta", "SLURM_CLUSTERS": ""}) == "beta"
    assert clusters.chosen(("-M gamma",), both) == "gamma"
    assert clusters.chosen((), {}) is None
    for wrong in ("a\n#SBATCH --hold", "a b", "--x", ","):
        with pytest.raises(RunnerError, match="SLURM_CLUSTERS"):
            clusters.chosen((), {"SLURM_CLUSTERS": wrong})


def test_the_environments_choice_is_in_the_script_and_its_preview(submission, monkeypatch):
    assert "--clusters" not in SlurmBackend().preview(submission)
    monkeypatch.setenv("SBATCH_CLUSTERS", "beta")
    assert "#SBATCH --clusters=beta\n" in SlurmBackend().preview(submission)
    assert SlurmBackend(directives=("-M gamma",)).preview(submission).count("beta") == 0


@pytest.mark.parametrize("answer", ["77;beta\n", "hello\nSubmitted batch job 77 on cluster beta\n", "77\n"])
def test_the_cluster_that_took_an_array_is_kept(fakes, submission, answer):
    fakes.say("sbatch", answer)
    (*_, entry) = found = list(TO_BETA.submit(submission))
    assert [(one.first, one.last) for one in found] == [(0, 40), (41, 81), (82, 99)], "beta's own limit"
    assert entry.id == "77" and entry.process["cluster"] == "beta"
    assert read_back(entry) == entry
    assert fakes.calls("scontrol") == [["-M", "beta", "show", "config"]]


def test_of_several_clusters_the_one_that_answered_is_kept_and_the_smallest_limit_counts(fakes, submission):
    fakes.say("sbatch", "77;neurofit\n", call=1)
    fakes.say("sbatch", "5;beta\n")
    found = list(SlurmBackend(directives=("--clusters=beta,neurofit",)).submit(submission))
    assert [(one.id, one.last, one.process["cluster"]) for one in found[:2]] == [
        ("77", 40, "neurofit"),
        ("5", 81, "beta"),
    ]


def test_where_the_answer_does_not_say_which_of_several_it_is_looked_up(fakes, submission):
    fakes.say("sacctmgr", "beta|\nneurofit|\n")
    fakes.say("sbatch", "77\n")
    fakes.say(
        "squeue", f"CLUSTER: beta\n{HEADER}77_0|PENDING|None|{NAME.replace('0-99', '0-40')}\n", cluster="beta"
    )
    first = next(SlurmBackend(directives=("--clusters=all",)).submit(submission))
    assert (first.id, first.process["cluster"]) == ("77", "beta")


def test_a_cluster_that_is_not_known_is_a_refusal(fakes, submission):
    fakes.say("scontrol", stderr=UNREACHABLE.replace("squeue", "scontrol"), status=1, cluster="beta")
    with pytest.raises(SubmissionError, match="'beta' can't be reached now"):
        list(TO_BETA.submit(submission))
    assert not fakes.calls("sbatch")


# what becomes of it


def test_another_clusters_jobs_are_asked_for_there(fakes, submission):
    fakes.say("squeue", f"{HEADER}77_3|RUNNING|None|somebody's own 77\n")
    fakes.say(
        "squeue",
        f"CLUSTER: beta\n{HEADER}77_3|PENDING|Priority|{NAME}\n77_4|RUNNING|None|{NAME}\n",
        cluster="beta",
    )
    entry = note(submission, "beta", clusters="beta")
    states = SlurmBackend().poll([entry])
    assert states == {
        (TOKEN, 3): QueueState("pending", "jobs of higher priority come first"),
        (TOKEN, 4): QueueState("running"),
    }
    assert [words[:2] for words in fakes.calls("squeue")] == [["-M", "beta"]]
    fakes.say("sacct", f"{ACCOUNTED}77_0|TIMEOUT|0:0|beta1|{NAME}\n", cluster="beta")
    (ended,) = SlurmBackend().endings([entry]).values()
    assert "beta1" in ended.cause
    SlurmBackend().cancel([entry], [(TOKEN, 3)])
    SlurmBackend().cancel([entry], [(TOKEN, job) for job in range(100)])
    assert fakes.calls("scancel") == [["-M", "beta", "77_[3]"], ["-M", "beta", "77"]]


def test_what_is_held_there_names_the_command_that_releases_it_there(fakes, submission):
    fakes.say("squeue", f"CLUSTER: beta\n{HEADER}77_3|PENDING|JobHeldUser|{NAME}\n", cluster="beta")
    (state,) = SlurmBackend().poll([note(submission, "beta", clusters="beta")]).values()
    assert "`scontrol -M beta release 77`" in state.reason


def test_notes_of_010_of_such_a_submission_are_asked_for_where_its_script_went(fakes, submission):
    script_in(submission, "--job-name=x", "--clusters=beta")
    fakes.say("squeue", f"CLUSTER: beta\n{HEADER}77_3|PENDING|Priority|{NAME}\n", cluster="beta")
    for cluster in ("neurofit", None):  # what it took for the cluster's name, or nothing
        assert SlurmBackend().poll([note(submission, cluster)]) == {
            (TOKEN, 3): QueueState("pending", "jobs of higher priority come first")
        }


def test_notes_without_a_cluster_and_of_this_hosts_own_stay_valid(fakes, submission):
    script_in(submission, "--job-name=x")
    fakes.say("squeue", f"{HEADER}77_3|PENDING|Priority|{NAME}\n")
    for entry in (
        note(submission, None),
        note(submission, "neurofit"),
        note(submission, "neurofit", clusters=None),
    ):
        assert list(SlurmBackend().poll([entry])) == [(TOKEN, 3)]
        SlurmBackend().cancel([entry], [(TOKEN, 3)])
    assert fakes.calls("scancel") == [["77_[3]"]] * 3
    assert not any("-M" in words for words in fakes.calls("squeue"))


def test_what_was_queued_from_a_host_of_another_cluster_is_asked_for_there(fakes, submission):
    fakes.say("squeue", f"CLUSTER: beta\n{HEADER}77_3|PENDING|Priority|{NAME}\n", cluster="beta")
    entry = note(submission, "beta", clusters=None)  # a colleague submitted it on one of beta's own hosts
    assert list(SlurmBackend().poll([entry])) == [(TOKEN, 3)]
    SlurmBackend().cancel([entry], [(TOKEN, 3)])
    assert fakes.calls("scancel") == [["-M", "beta", "77_[3]"]]
    fakes.say("squeue", stderr=UNREACHABLE, status=1, cluster="beta")
    states = SlurmBackend().poll([entry])
    assert (
        len(states) == 100
        and "queued on the cluster beta; this host can only ask neurofit" in states[TOKEN, 0].reason
    )


def test_a_cluster_that_does_not_answer_blinds_no_other(fakes, submission):
    here = Queued(submission.folder.with_name("other"), "7", 5, 5, {"cluster": "neurofit", "clusters": None})
    there = note(submission, "beta", clusters="beta")
    fakes.say("squeue", f"{HEADER}7_0|RUNNING|None|x@other.5-5\n")
    fakes.say("squeue", stderr=UNREACHABLE, status=1, cluster="beta")
    states = SlurmBackend().poll([here, there])
    assert states["other", 5] == QueueState("running")
    assert (
        len(states) == 101
        and states[TOKEN, 0].phase == "unknown"
        and "can't be reached" in states[TOKEN, 0].reason
    )
    with pytest.raises(QueueError, match="can't be reached"):
        SlurmBackend().poll([there])


def test_accounting_that_fails_for_one_cluster_still_tells_of_the_other(fakes, submission):
    here = Queued(submission.folder.with_name("other"), "7", 5, 5, {"cluster": "neurofit", "clusters": None})
    fakes.say("sacct", f"{ACCOUNTED}7_0|COMPLETED|0:0|vm|x@other.5-5\n", cluster="neurofit")
    fakes.say("sacct", stderr="sacct: error: Problem talking to the database", status=1, cluster="beta")
    ended = SlurmBackend().endings([here, note(submission, "beta", clusters="beta")])
    assert ended["other", 5] == Ending(None)
    assert ended[TOKEN, 0].cause is None and "talking to the database" in ended[TOKEN, 0].problem


def test_calls_that_were_never_noted_are_found_where_the_script_went(fakes, submission):
    script_in(submission, "--clusters=beta")
    fakes.say("sacct", f"{ACCOUNTED}77_0|COMPLETED|0:0|beta1|{NAME}\n", cluster="beta")
    (entry,) = SlurmBackend().find([submission])
    assert (entry.id, entry.process["cluster"], entry.process["clusters"]) == ("77", "beta", "beta")


def test_every_cluster_of_all_is_looked_through_and_one_that_fails_is_not_a_absence(fakes, submission):
    script_in(submission, "-M all")
    fakes.say("sacctmgr", "beta|\nneurofit|\n")
    fakes.say("squeue", f"{HEADER}77_0|PENDING|None|{NAME}\n")
    (entry,) = SlurmBackend().find([submission])
    assert (entry.id, entry.process["cluster"]) == ("77", "neurofit")
    fakes.say("squeue", stderr=UNREACHABLE, status=1, cluster="beta")
    with pytest.raises(QueueError, match="can't be reached"):
        SlurmBackend().find([submission])


def test_a_local_controller_that_is_away_hides_nothing_of_another_cluster(fakes, submission):
    for program in ("squeue", "scontrol"):
        fakes.say(program, stderr="Unable to contact slurm controller (connect failure)", status=1)
    fakes.say("squeue", f"CLUSTER: beta\n{HEADER}77_3|RUNNING|None|{NAME}\n", cluster="beta")
    assert list(SlurmBackend().poll([note(submission, "beta", clusters="beta")])) == [(TOKEN, 3)]


def test_checking_asks_the_cluster_that_jobs_go_to(fakes):
    found = TO_BETA.check()
    assert [finding.ok for finding in found] == [True, True, True] and "the cluster beta answers" in found[
        0
    ].what
    assert TO_BETA.limits().array_size == 41
    fakes.say("scontrol", stderr=UNREACHABLE, status=1, cluster="beta")
    (finding,) = TO_BETA.check()
    assert not finding.ok and not finding.answered and "can't be reached" in finding.advice


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("beta", ["-M", "beta", "requeue", "6_2"]),
        ("neurofit", ["requeue", "6_2"]),
        (None, ["requeue", "6_2"]),
    ],
)
def test_a_job_is_started_again_on_the_cluster_it_is_in(fakes, submission, monkeypatch, name, words):
    """Where a node's programs ask another cluster than the job's, as in a container with the submit host's
    settings.
    """
    (submission.folder / "job.sh").write_text("exit 99\n")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "6")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    if name is not None:
        monkeypatch.setenv("SLURM_CLUSTER_NAME", name)
    code = f"from neurofit.backends.submitit_job import Job; Job({str(submission.folder)!r}, 40)()"
    assert subprocess.run([sys.executable, "-c", code], cwd=submission.folder).returncode == 99
    assert fakes.calls("scontrol")[-1] == words


def test_a_study_whose_jobs_are_on_another_cluster_queues_nothing_twice_and_can_be_cancelled(fakes, bench):
    bench.script(
        "quick", "experiment = nf.Experiment(fit=lambda task, *, x=0: {'m': x}, grid=nf.grid(x=[0, 1, 2]))\n"
    )
    profile = bench.runner("queue", "backend: slurm\ngrace_seconds: 0.01\ndirectives: [--clusters=beta]\n")
    fakes.say("sbatch", "77;beta\n")
    token = bench.submit("quick", profile).name
    fakes.say("squeue", f"CLUSTER: beta\n{HEADER}77_[0-2]|PENDING|None|quick@{token}.0-2\n", cluster="beta")
    for _ in range(2):
        assert bench.counts("quick") == {"queued": 3}
    assert bench.submit("quick", profile) is None
    said = bench.command("cancel", "quick", "--yes")
    assert said.returncode == 0 and "Cancelled 3 tasks" in said.stdout
    assert fakes.calls("scancel") == [["-M", "beta", "77"]]
