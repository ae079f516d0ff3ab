"""PBS: what its programs print, recorded from OpenPBS 23.06, and every ugly answer they can give."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace

import pytest
from fakes import Fakes

from neurofit.backends.base import Queued, Submission
from neurofit.backends.job_script import current_user
from neurofit.backends.qsub import pbs_answers as answers
from neurofit.backends.qsub.pbs import PbsBackend
from neurofit.backends.qsub.qsub import parts
from neurofit.errors import HiddenError, QueueError


def listing(**jobs: dict) -> str:
    named = {id.replace("_", "."): job for id, job in jobs.items()}
    return json.dumps(
        {"timestamp": 1795199026, "pbs_version": "23.06.06", "pbs_server": "pbshost", "Jobs": named}
    )


def array(**states: dict) -> str:
    jobs = {
        "2[].pbshost": {
            "Job_Name": "nfk3f9183012",
            "job_state": "B",
            "comment": "Job Array Began at Fri Nov 20",
            "array_indices_submitted": "0-4",
        }
    }
    jobs |= {
        f"2[{index[1:]}].pbshost": {"array_index": int(index[1:]), **job} for index, job in states.items()
    }
    return json.dumps({"timestamp": 1, "pbs_version": "23.06.06", "Jobs": jobs})


NO_JOBS = json.dumps({"timestamp": 1795199026, "pbs_version": "23.06.06", "pbs_server": "pbshost"})


@pytest.fixture
def queue(tmp_path, monkeypatch, processes) -> Fakes:
    return Fakes(tmp_path / "queue", monkeypatch, ["qsub", "qstat", "qdel", "qselect"])


@pytest.fixture
def entry(tmp_path) -> Queued:
    return Queued(tmp_path / "20261120-183012-pbs-k3f9", "2[].pbshost", 0, 4)


def test_one_question_for_all(queue, entry):
    queue.say(
        "qstat",
        array(i0={"job_state": "R"}, i1={"job_state": "Q"}, i2={"job_state": "X"}, i3={"job_state": "F"}),
    )
    live = PbsBackend().poll([entry, Queued(entry.folder.with_name("other"), "9.pbshost", 5, 5)])
    assert {job: state.phase for (_, job), state in live.items()} == {0: "running", 1: "pending"}
    assert queue.calls("qstat") == [["-x", "-t", "-f", "-F", "json", "2[].pbshost", "9.pbshost"]]


def test_a_single_job_and_one_that_its_node_queued_again(queue, entry):
    (entry.folder / "resubmitted").mkdir(parents=True)
    (entry.folder / "resubmitted" / "000003.44.pbshost").touch()
    single = Queued(entry.folder.with_name("other"), "9.pbshost", 5, 5)
    text = json.loads(array(i3={"job_state": "X", "substate": 92, "Exit_status": 0}))
    text["Jobs"] |= {"9.pbshost": {"job_state": "H"}, "44.pbshost": {"job_state": "R"}}
    queue.say("qstat", json.dumps(text))
    live = PbsBackend().poll([entry, single])
    assert {key[1]: state.phase for key, state in live.items()} == {3: "running", 5: "pending"}
    assert "44.pbshost" in queue.calls("qstat")[0]
    assert (entry.token, 3) not in PbsBackend().endings([entry, single]), "it goes on under another id"
    assert list(PbsBackend().delete_commands([entry], [(entry.token, 3)])) == [
        ["qdel", "2[3].pbshost", "44.pbshost"]
    ]


def test_a_job_that_its_node_queues_again_while_pbs_answers_is_not_gone(queue, entry, tmp_path, monkeypatch):
    """It was not asked about, and the one that it came from is over."""
    again = entry.folder / "resubmitted"
    again.mkdir(parents=True)
    over, new = array(i3={"job_state": "X", "substate": 70}), array(i3={"job_state": "X", "substate": 70})
    new = json.dumps(
        {**json.loads(new), "Jobs": {**json.loads(new)["Jobs"], "44.pbshost": {"job_state": "Q"}}}
    )
    answer = (
        f"case $* in *44.pbshost*) echo '{new}' ;; *) touch {again}/000003.44.pbshost; echo '{over}' ;; esac"
    )
    (tmp_path / "qstat").write_text(f"#!/bin/bash\n{answer}\n")
    (tmp_path / "qstat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert {job: state.phase for (_, job), state in PbsBackend().poll([entry]).items()} == {3: "pending"}
    (again / "000003.44.pbshost").unlink()
    assert PbsBackend().endings([entry]) == {}


@pytest.mark.parametrize(
    ("letter", "phase", "reason"),
    [
        ("Q", "pending", ""),
        ("H", "pending", "held; `qrls '2[].pbshost'` releases it"),
        ("W", "pending", "waiting for its start time"),
        ("T", "pending", "being moved"),
        ("R", "running", ""),
        ("S", "running", "suspended"),
        ("E", "running", "ending"),
        ("U", "running", "suspended"),
        ("?", "pending", "in state ?"),
        ("Zombie", "pending", "in state Zombie"),
    ],
)
def test_states_in_words_and_an_unknown_one_is_still_there(queue, entry, letter, phase, reason):
    queue.say("qstat", array(i1={"job_state": letter}))
    (state,) = PbsBackend().poll([entry]).values()
    assert state.phase == phase and state.reason.startswith(reason)


def test_why_a_job_waits_and_that_it_never_can(queue, entry):
    never = "Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 8 T: 8)"
    waits = "Not Running: Not enough free nodes available"
    queue.say(
        "qstat", array(i0={"job_state": "Q", "comment": never}, i1={"job_state": "Q", "comment": waits})
    )
    live = PbsBackend().poll([entry])
    assert live[entry.token, 0].reason.startswith("can never run: Insufficient amount of resource: ncpus")
    assert live[entry.token, 1].reason == "Not enough free nodes available"


def test_news_of_a_start_is_not_a_reason_to_wait(queue, entry):
    began = "Job Array Began at Fri Nov 20 at 21:54"
    text = json.loads(array(i0={"job_state": "Q"}, i1={"job_state": "Q", "comment": began}))
    text["Jobs"]["2[].pbshost"]["comment"] = began
    queue.say("qstat", json.dumps(text))
    assert [state.reason for state in PbsBackend().poll([entry]).values()] == ["", ""]


def test_where_no_history_is_kept_the_jobs_that_are_left_are_asked_for_without_it(queue, entry, tmp_path):
    """OpenPBS as it is installed: with -x, `qstat` and `qselect` list nothing of what is running, and exit
    with 0.
    """
    queue.say(
        "qstat", NO_JOBS, stderr="qstat: PBS is not configured to maintain job history 2[].pbshost\n", call=1
    )
    queue.say("qstat", array(i0={"job_state": "R"}, i1={"job_state": "X", "substate": 92}), call=2)
    assert {key[1]: state.phase for key, state in PbsBackend().poll([entry]).items()} == {0: "running"}
    assert queue.calls("qstat") == [
        ["-x", "-t", "-f", "-F", "json", "2[].pbshost"],
        ["-t", "-f", "-F", "json", "2[].pbshost"],
    ]
    queue.say("qselect", "", stderr="qselect: PBS is not configured to maintain job history\n", call=1)
    queue.say("qselect", "2[].pbshost\n", call=2)
    queue.say(
        "qstat", NO_JOBS, stderr="qstat: PBS is not configured to maintain job history 2[].pbshost\n", call=3
    )
    queue.say("qstat", array(), call=4)
    (found,) = PbsBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)])
    assert (found.id, found.first, found.last) == ("2[].pbshost", 0, 4)
    assert queue.calls("qselect") == [["-x", "-N", "nfk3f9183012"], ["-N", "nfk3f9183012"]]


@pytest.mark.process
def test_a_node_queues_a_job_again_at_the_pbs_that_it_came_from_and_nowhere_else(entry, tmp_path):
    """A node's own PATH may hold Grid Engine's `qsub`, which took such a job."""
    calls = tmp_path / "calls"
    gridengine = f'echo sge "$1" >>{calls}; [ "$1" = --version ] && echo "SGE 8.1.9" && exit 2; exit 0'
    pbs = f'echo pbs "$1" >>{calls}; [ "$1" = --version ] && echo "pbs_version = 23.06.06" || echo 15.pbshost'
    for name, text in (("node", gridengine), ("pbs", pbs)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "qsub").write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name / "qsub").chmod(0o755)
    entry.folder.mkdir()
    script = entry.folder / "job.sh"
    backend = PbsBackend()
    text = backend.script(Submission(entry.folder, "exp3", 5, tmp_path))
    script.write_text(text.replace(backend.command(), "(exit 99) #"))
    for path, said in (
        (tmp_path / "pbs", ["pbs --version", "pbs -v"]),
        (tmp_path / "nowhere", ["sge --version"]),
    ):
        calls.unlink(missing_ok=True)
        environment = {
            "PATH": f"{tmp_path / 'node'}:{os.environ['PATH']}",
            "PBS_O_PATH": str(path),
            "PBS_EXEC": "/no",
        }
        done = subprocess.run(["bash", script], env={**environment, "NEUROFIT_JOB": "3"}, timeout=30)
        assert done.returncode == 0 and calls.read_text().splitlines() == said
    assert [path.name for path in (entry.folder / "resubmitted").iterdir()] == ["000003.15.pbshost"]
    assert "the next submit continues it" in (entry.folder / "logs" / "000003.log").read_text()


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": NO_JOBS},
        {
            "stdout": f"Notice: maintenance\n{NO_JOBS}\n",
            "stderr": "qstat: Unknown Job Id 2[].pbshost\n",
            "status": 153,
        },
        {"stderr": "qstat: Unknown Job Id 2[].pbshost\n", "status": 153},
        {
            "stderr": "qstat: 2[].pbshost Job has finished, use -x or -H to obtain historical job "
            "information\n",
            "status": 35,
        },
    ],
)
def test_finished_and_unknown_jobs_are_gone_and_no_failure(queue, entry, answer):
    queue.say("qstat", **answer)
    assert PbsBackend().poll([entry]) == {} and PbsBackend().endings([entry]) == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": ""},
        {"stdout": "Welcome\n"},
        {"stdout": array(i0={"job_state": "R"})[:-60]},
        {"stdout": "{}"},
        {"stdout": "[]"},
        {"status": 153},
        {"stderr": "qstat: cannot connect to server pbshost (errno=15010)", "status": 255},
        {"stdout": NO_JOBS, "stderr": "Connection refused", "status": 111},
    ],
)
def test_an_answer_that_cannot_be_read_says_nothing_is_known(queue, entry, answer):
    queue.say("qstat", **answer)
    with pytest.raises(QueueError):
        PbsBackend().poll([entry])


@pytest.mark.parametrize(
    ("job", "cause"),
    [
        ({"substate": 92, "Exit_status": 0}, None),
        ({"substate": 93, "Exit_status": 3}, "its script exited with status 3 (on node07)"),
        ({"substate": 93, "Exit_status": 97}, "cannot see the study's folder"),
        (
            {"substate": 93, "Exit_status": -29},
            "time limit exceeded: raise resources.walltime_minutes",
        ),
        ({"substate": 93, "Exit_status": -27}, "memory limit exceeded"),
        ({"substate": 93, "Exit_status": -1}, "could not run it on its node (code -1)"),
        ({"substate": 91, "Exit_status": 0}, "deleted from the queue"),
        ({"substate": 91}, "deleted from the queue"),
        ({"substate": 93, "Exit_status": 265}, "killed by signal 9"),
        ({"substate": 93, "Exit_status": 271}, "killed by signal 15"),
        ({"substate": 93, "Exit_status": 139}, "killed by signal 11"),
        ({"substate": 92, "Exit_status": None}, None),
    ],
)
@pytest.mark.parametrize("letter", ["F", "X"])
def test_endings_in_words(queue, entry, job, cause, letter):
    queue.say("qstat", array(i2={"job_state": letter, "exec_host": "node07/0", **job}))
    (found,) = PbsBackend().endings([entry]).items()
    assert found[0] == (entry.token, 2)
    assert found[1].cause is None if cause is None else cause in found[1].cause


@pytest.mark.parametrize("substate", [70, 69, None, "x"])
def test_a_subjob_that_shows_its_arrays_end_says_nothing_of_its_own(queue, entry, substate):
    """Where no history is kept, PBS makes an expired subjob's attributes up from those of its array."""
    queue.say("qstat", array(i2={"job_state": "X", "substate": substate, "Exit_status": 1}))
    assert PbsBackend().endings([entry]) == {} and PbsBackend().poll([entry]) == {}


def test_jobs_are_cancelled_whole_or_by_ranges(entry):
    jobs = [(entry.token, job) for job in (0, 1, 3)]
    assert list(PbsBackend().delete_commands([entry], jobs)) == [["qdel", "2[0-1].pbshost", "2[3].pbshost"]]
    assert list(PbsBackend().delete_commands([entry], [(entry.token, job) for job in range(5)])) == [
        ["qdel", "2[].pbshost"]
    ]


def test_a_cancellation_that_is_refused_is_reported_and_jobs_that_are_gone_are_none(queue, entry):
    for words, status in (
        ("qdel: Unknown Job Id 2[].pbshost", 153),
        ("qdel: Job has finished 2[].pbshost", 35),
    ):
        queue.say("qdel", stderr=words, status=status)
        PbsBackend().cancel([entry], [(entry.token, 0)])
    queue.say("qdel", stderr="qdel: Unauthorized Request  2[].pbshost", status=159)
    with pytest.raises(QueueError, match="Unauthorized Request"):
        PbsBackend().cancel([entry], [(entry.token, 0)])


def test_a_held_array_names_the_command_that_lets_it_go(queue, entry):
    """Its subjobs are listed as queued, and `qrls` takes none of them."""
    text = json.loads(array(i0={"job_state": "Q"}, i1={"job_state": "Q"}))
    text["Jobs"]["2[].pbshost"] |= {"job_state": "H", "Hold_Types": "u", "substate": 20}
    queue.say("qstat", json.dumps(text))
    states = PbsBackend().poll([entry])
    assert {state.reason for state in states.values()} == {"held; `qrls '2[].pbshost'` releases it"}
    assert len(states) == 2 and {state.phase for state in states.values()} == {"pending"}
    text["Jobs"]["2[].pbshost"] |= {"Hold_Types": "s", "comment": "job held, too many failed attempts to run"}
    queue.say("qstat", json.dumps(text))
    assert {state.reason for state in PbsBackend().poll([entry]).values()} == {
        "held by PBS or its operators: job held, too many failed attempts to run"
    }
    text["Jobs"]["2[].pbshost"]["substate"] = 22
    queue.say("qstat", json.dumps(text))
    assert {state.reason for state in PbsBackend().poll([entry]).values()} == {
        "held until the jobs that it depends on have ended"
    }


SERVER = """Server: pbshost
    server_state = Active
    server_host = pbshost
    managers = root@pbshost,ann@*,
	carl@login
    default_queue = workq
    query_other_jobs = False
    max_array_size = 500
"""


def test_jobs_wait_for_those_of_their_own_server_and_for_those_that_nodes_queued_again(queue, entry):
    (entry.folder / "resubmitted").mkdir(parents=True)
    (entry.folder / "resubmitted" / "000003.44.pbshost").touch()
    queue.say("qstat", SERVER.replace("pbshost", "pbshost.example.org", 1))
    elsewhere = Queued(entry.folder.with_name("other"), "9.otherhost", 0, 0)
    odd = Queued(entry.folder.with_name("odd"), "9.pbshost:beforeany:1", 0, 0)
    after = PbsBackend().dependencies([entry, elsewhere, odd])
    assert after == ("2[].pbshost", "44.pbshost")
    array, single = (PbsBackend().call(entry.folder / "job.sh", part, after) for part in parts(5, 4, None))
    assert array[:4] == ["qsub", "-W", "depend=afterany:2[].pbshost:44.pbshost", "-J"]
    assert single[:4] == ["qsub", "-W", "depend=afterany:2[].pbshost:44.pbshost", "-v"]
    queue.say("qstat", stderr="Connection refused", status=111)
    assert PbsBackend().dependencies([entry]) == ()


def test_where_pbs_refuses_a_dependency_the_workers_own_look_remains(queue, entry, tmp_path):
    entry.folder.mkdir()
    queue.say("qsub", stderr="pbs_version = 23.06.06", call=1)
    queue.say("qsub", stderr="qsub: Unknown Job Id 2[].pbshost", status=153, call=2)
    queue.say("qsub", "5[].pbshost\n", call=3)
    queue.say("qstat", NO_JOBS)
    asked = Submission(entry.folder, "exp3", 5, tmp_path, after=("2[].pbshost",))
    assert [one.id for one in PbsBackend().submit(asked)] == ["5[].pbshost"]
    assert "depend=afterany:2[].pbshost" in queue.calls("qsub")[1]
    assert "-W" not in queue.calls("qsub")[2]


def test_limits_are_the_smaller_of_server_and_queue(queue):
    most = "    resources_max.walltime = 02:30:00\n    resources_max.mem = 64gb\n"
    limits = f"Queue: short\n    max_array_size = 20\n{most}"
    queue.say("qstat", SERVER, call=1)
    queue.say("qstat", limits, call=2)
    found = PbsBackend(queue="short").limits()
    assert (found.array_size, found.walltime_minutes, found.memory_gb) == (20, 150, 64)
    assert answers.limits("").array_size is None


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({}, "workq"), ({"queue": "short"}, "short"), ({"directives": ("-q long@pbshost",)}, "long")],
)
def test_limits_are_those_of_the_queue_that_takes_the_jobs_the_default_one_too(queue, settings, asked):
    queue.say("qstat", SERVER, call=1)
    queue.say("qstat", "Queue: it\n    max_array_size = 20\n", call=2)
    assert PbsBackend(**settings).limits().array_size == 20
    assert queue.calls("qstat") == [["-B", "-f"], ["-Q", "-f", asked]]


def test_an_array_fits_every_queue_that_a_routing_queue_leads_to(queue):
    queue.say("qstat", SERVER, call=1)
    queue.say(
        "qstat",
        "Queue: in\n    queue_type = Route\n    route_destinations = short,long,\n\tfar@other\n",
        call=2,
    )
    queue.say("qstat", "Queue: short\n    max_array_size = 3\nQueue: long\n    max_array_size = 5\n", call=3)
    assert PbsBackend(queue="in").limits().array_size == 3
    assert queue.calls("qstat")[2] == ["-Q", "-f", "short", "long"]


@pytest.mark.parametrize(
    ("user", "host", "change", "shown"),
    [
        ("ben", "pbshost", ("", ""), False),
        ("ann", "login", ("", ""), True),
        ("carl", "login", ("", ""), True),
        ("root", "pbshost", ("", ""), True),
        ("root", "pbshost", ("root@pbshost,", ""), False),
        ("root", "pbshost", ("    managers = root@pbshost,ann@*,\n\tcarl@login\n", ""), True),
        ("root", "login", ("    managers = root@pbshost,ann@*,\n\tcarl@login\n", ""), False),
        ("ben", "login", ("query_other_jobs = False", "query_other_jobs = True"), True),
        ("ben", "login", ("    query_other_jobs = False\n", ""), True),
        ("ben", "login", ("managers", "operators"), False),
        ("carl", "login", ("managers", "operators"), True),
    ],
)
def test_who_is_reported_of_others_jobs(user, host, change, shown):
    assert answers.shows_all_jobs_to(user, host, SERVER.replace(*change)) is shown


@pytest.fixture
def anns(entry, monkeypatch) -> Queued:
    """What another user queued."""
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    return replace(entry, process={"user": "ann"})


def test_jobs_that_pbs_does_not_show_are_hidden_and_not_gone(queue, entry, anns):
    """With query_other_jobs=False, `qstat` leaves them out, and exits with 0."""
    queue.say("qstat", NO_JOBS, call=1)
    queue.say("qstat", SERVER)
    states = PbsBackend().poll([anns])
    assert set(states) == {(entry.token, job) for job in range(5)}
    assert {state.phase for state in states.values()} == {"hidden"}
    assert {state.reason for state in states.values()} == {
        "this PBS shows jobs only to the user who queued them (query_other_jobs), and these were queued by ann"
    }
    queue.say("qstat", NO_JOBS, call=3)
    queue.say("qstat", SERVER.replace("query_other_jobs = False", "query_other_jobs = True"), call=4)
    assert PbsBackend().poll([anns]) == {}, "shown, and gone"
    queue.say("qstat", NO_JOBS, call=5)
    queue.say("qstat", stderr="qstat: cannot connect to server", status=171, call=6)
    with pytest.raises(QueueError):
        PbsBackend().poll([anns])


def test_own_jobs_are_not_hidden_and_no_query_is_made_about_that(queue, entry):
    queue.say("qstat", NO_JOBS)
    assert PbsBackend().poll([replace(entry, process={"user": current_user()})]) == {}
    assert PbsBackend().poll([entry]) == {}, "queued by 0.1.0, which noted no user"
    assert all("-B" not in call for call in queue.calls("qstat"))


def test_what_a_colleague_queued_and_did_not_confirm_may_be_there(queue, entry, anns, tmp_path):
    entry.folder.mkdir()
    (entry.folder / "job.sh").touch()
    queue.say("qstat", SERVER)
    with pytest.raises(
        HiddenError,
        match=r"only to the user who queued them .* and these were queued by root, who submitted 20261120",
    ):
        PbsBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)])


def test_a_part_knows_who_queued_it(queue, entry, tmp_path):
    entry.folder.mkdir()
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say("qsub", "7[].pbshost\n")
    (queued,) = PbsBackend().submit(Submission(entry.folder, "exp3", 5, tmp_path))
    assert queued.process == {"user": current_user()}


def test_a_submission_is_split_without_an_array_of_one(queue, entry, tmp_path):
    entry.folder.mkdir()
    queue.say("qstat", "    max_array_size = 2\n")
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    for call, id in enumerate(("7[].pbshost", "8[].pbshost", "9.pbshost"), start=2):
        queue.say("qsub", f"{id}\n", call=call)
    backend = PbsBackend(max_running=3)
    queued = list(backend.submit(Submission(entry.folder, "exp3", 5, tmp_path)))
    assert [(one.id, one.first, one.last) for one in queued] == [
        ("7[].pbshost", 0, 1),
        ("8[].pbshost", 2, 3),
        ("9.pbshost", 4, 4),
    ]
    assert [call[:2] for call in queue.calls("qsub")[1:]] == [
        ["-J", "0-1%1"],
        ["-J", "2-3%1"],
        ["-v", "NEUROFIT_JOB=4"],
    ]


def test_what_was_never_confirmed_is_found_by_its_name(queue, entry, tmp_path):
    queue.say("qselect", "7[].pbshost\n9.pbshost\n")
    jobs = {
        "7[].pbshost": {"Job_Name": "nfk3f9183012", "job_state": "B", "array_indices_submitted": "0-3"},
        "9.pbshost": {"Job_Name": "nfk3f9183012", "job_state": "Q", "Variable_List": {"NEUROFIT_JOB": 4}},
    }
    queue.say("qstat", json.dumps({"timestamp": 1, "Jobs": jobs}))
    found = PbsBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)])
    assert [(one.id, one.first, one.last) for one in found] == [("7[].pbshost", 0, 3), ("9.pbshost", 4, 4)]
    assert queue.calls("qselect") == [["-x", "-N", "nfk3f9183012"]]
    (entry.folder / "resubmitted").mkdir(parents=True)
    (entry.folder / "resubmitted" / "000004.9.pbshost").touch()  # queued again by its node, and known by that
    assert [one.id for one in PbsBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)])] == [
        "7[].pbshost"
    ]
    queue.say("qselect", "")
    assert PbsBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)]) == []


def test_a_held_job_tells_whether_such_a_one_is_accepted_and_is_deleted(queue):
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say("qsub", "3.pbshost\n", call=2)
    assert all(finding.ok for finding in PbsBackend().check())
    assert queue.calls("qsub")[1][0] == "-h" and queue.calls("qdel") == [["3.pbshost"]]
    queue.say("qsub", "pbs_version = 23.06.06\n", call=3)
    queue.say("qsub", stderr="qsub: Unknown queue", status=170)
    assert PbsBackend().check()[-1].advice == "qsub: Unknown queue"


def test_a_server_that_is_away_is_reported_from_one_that_refuses(queue):
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say(
        "qsub", stderr="Connection refused\nqsub: cannot connect to server pbshost (errno=15010)", status=171
    )
    (finding,) = [finding for finding in PbsBackend().check() if not finding.ok]
    assert not finding.answered and "cannot connect to server" in finding.advice


PLAIN = """
    import importlib
    def fit(task, *, x=0):
        found = 0
        for name in ("keras", "tensorflow"):
            try:
                importlib.import_module(name)
                found += 1
            except ModuleNotFoundError:
                pass
        return {"m": x, "libraries": found}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2]), repetitions=2)
"""


def test_a_plain_fit_is_queued_and_runs_where_tensorflow_is_not_installed(queue, bench, without_models):
    queue.say("qsub", "pbs_version = 23.06.06\n", call=1)
    queue.say("qsub", "2[].pbshost\n")
    queue.say("qstat", NO_JOBS)
    bench.script("plain", PLAIN)
    bench.runner("pbs", "backend: pbs\ngrace_seconds: 0\n")
    environment = {**os.environ, "PYTHONPATH": without_models["PYTHONPATH"]}
    submitted = bench.command("submit", "plain", "--backend", "pbs", env=environment)
    assert submitted.returncode == 0, submitted.stderr
    (script,) = bench.study.training_data.glob("plain/submissions/*/job.sh")
    for job in ("0", "1"):
        started = {**environment, "PBS_ARRAY_INDEX": job, "PBS_O_PATH": ""}
        done = subprocess.run(["bash", script], env=started, cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert bench.counts("plain") == {"done": 4}
    table = bench.command("results", "plain", "--json", env=environment)
    rows = sorted((row["m"], row["libraries"]) for row in json.loads(table.stdout))
    assert rows == [(1, 0), (1, 0), (2, 0), (2, 0)]
