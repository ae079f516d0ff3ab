"""Grid Engine: what its programs print, recorded from 8.1.9, and every ugly answer they can give."""

from __future__ import annotations

import pytest
from fakes import Fakes

from neurofit.backends.base import Queued, Resources, Submission
from neurofit.backends.commands import Answer
from neurofit.backends.qsub import gridengine_answers as answers
from neurofit.backends.qsub.gridengine import SgeBackend
from neurofit.backends.qsub.qsub import ArrayPart
from neurofit.errors import QueueError

LISTED = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>5</JB_job_number>
      <JB_name>nfk3f9183012</JB_name>
      <JB_owner>root</JB_owner>
      <state>r</state>
      <queue_name>cpu.q@vm</queue_name>
      <slots>1</slots>
      <tasks>1</tasks>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>5</JB_job_number>
      <JB_name>nfk3f9183012</JB_name>
      <state>%s</state>
      <queue_name></queue_name>
      <slots>1</slots>
      <tasks>2-3:1,5</tasks>
    </job_list>
    <job_list state="pending">
      <JB_job_number>77</JB_job_number>
      <state>qw</state>
    </job_list>
  </job_info>
</job_info>
"""
EMPTY = "<?xml version='1.0'?>\n<job_info><queue_info></queue_info><job_info></job_info></job_info>\n"
IN_ERROR = """<?xml version='1.0'?>
<detailed_job_info><djob_info><element><JB_job_number>5</JB_job_number><JB_ja_tasks>
  <ulong_sublist><JAT_task_number>2</JAT_task_number><JAT_message_list><ulong_sublist><QIM_type>1</QIM_type>
  <QIM_message>11/20/2026 20:52:55 [0:31]: error: can&apos;t open output file &quot;/x&quot;: No file</QIM_message>
  </ulong_sublist></JAT_message_list></ulong_sublist></JB_ja_tasks></element></djob_info></detailed_job_info>
"""
WAITING = """<?xml version='1.0'?>
<detailed_job_info><djob_info><element><JB_job_number>5</JB_job_number></element></djob_info><messages><element>
<SME_message_list><element><MES_job_number_list><ulong_sublist><ULNG_value>5</ULNG_value></ulong_sublist></MES_job_number_list>
<MES_message_number>24</MES_message_number><MES_message>cannot run in PE "smp" because it only offers 0 slots</MES_message>
<MES_message>cannot run in PE "smp" because it only offers 0 slots</MES_message></element></SME_message_list>
<SME_global_message_list><element><MES_message>queue instance "cpu.q@vm" dropped because it is disabled</MES_message></element>
</SME_global_message_list></element></messages></detailed_job_info>
"""  # noqa: E501
RECORD = """==============================================================
qname        cpu.q
hostname     node07
jobname      nfk3f9183012
jobnumber    5
taskid       {task}
failed       {failed}
exit_status  {status}
maxvmem      5.234MB
"""


@pytest.fixture
def queue(tmp_path, monkeypatch, processes) -> Fakes:
    return Fakes(tmp_path / "queue", monkeypatch, ["qsub", "qstat", "qdel", "qacct", "qconf"])


@pytest.fixture
def entry(tmp_path) -> Queued:
    return Queued(tmp_path / "20261120-183012-ge-k3f9", "5", 0, 4, {"user": "ann", "cluster": ""})


def test_one_question_for_all_and_tasks_are_unfolded(queue, entry):
    queue.say("qstat", LISTED % "qw")
    other = Queued(entry.folder.with_name("other"), "6", 0, 3, {"user": "bob"})
    live = SgeBackend().poll([entry, other])
    assert {job: state.phase for (_, job), state in live.items()} == {
        0: "running",
        1: "pending",
        2: "pending",
        4: "pending",
    }
    assert queue.calls("qstat") == [["-xml", "-u", "ann,bob"]]


@pytest.mark.parametrize(
    ("state", "phase", "reason"),
    [
        ("qw", "pending", ""),
        ("hqw", "pending", "held; `qrls 5`"),
        ("Rq", "pending", "will be started again"),
        ("hRwq", "pending", "held"),
        ("t", "running", "starting"),
        ("r", "running", ""),
        ("Rr", "running", ""),
        ("s", "running", "suspended"),
        ("S", "running", "suspended"),
        ("T", "running", "suspended"),
        ("dr", "running", "being deleted"),
        ("dt", "running", "being deleted"),
        ("Eqw", "pending", "in error. Fix the cause and run `qmod -cj 5`, or cancel"),
        ("Zzz", "pending", ""),
    ],
)
def test_states_in_words_and_an_unknown_one_is_still_there(state, phase, reason):
    found = answers.state(answers.Listed("5", 1, state), None)
    assert found.phase == phase and found.reason.startswith(reason)


def test_a_job_in_error_is_reported_with_grid_engines_reason(queue, entry):
    queue.say("qstat", LISTED % "Eqw", call=1)
    queue.say("qstat", IN_ERROR, call=2)
    live = SgeBackend().poll([entry])
    assert live[entry.token, 1].reason.startswith(
        'in error: can\'t open output file "/x": No file. Fix the cause'
    )
    assert queue.calls("qstat")[1] == ["-xml", "-j", "5"]


def test_why_a_job_waits_is_asked_only_where_nothing_of_it_runs(queue, entry):
    queue.say("qstat", (LISTED % "qw").replace("<state>r<", "<state>qw<"), call=1)
    queue.say("qstat", WAITING, call=2)
    reasons = {state.reason for state in SgeBackend().poll([entry]).values()}
    (reason,) = reasons
    assert reason.startswith('cannot run in PE "smp"') and "dropped because it is disabled" in reason


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": ""},
        {"stdout": "   \n"},
        {"stdout": "Welcome to the cluster\n"},
        {"stdout": (LISTED % "qw")[:700]},
        {"stdout": "<?xml version='1.0'?><something/>"},
        {"stdout": LISTED % "qw", "stderr": "error: commlib error: got read error", "status": 1},
        {"stderr": 'error: unable to contact qmaster using port 6444 on host "vm"', "status": 1},
    ],
)
def test_an_answer_that_cannot_be_read_says_nothing_is_known(queue, entry, answer):
    queue.say("qstat", **answer)
    with pytest.raises(QueueError):
        SgeBackend().poll([entry])


def test_tasks_that_cannot_be_read_are_reported_of_and_are_not_gone(queue, entry):
    queue.say("qstat", (LISTED % "qw").replace("2-3:1,5", "2-3:1,…"))
    states = SgeBackend().poll([entry])
    assert [states[entry.token, job].phase for job in range(5)] == ["running", *["unknown"] * 4]
    assert "cannot be read" in states[entry.token, 1].reason


def test_a_list_without_the_job_says_that_it_is_gone(queue, entry):
    queue.say("qstat", f"This site is down on Friday.\n{EMPTY}Bye.\n")
    assert SgeBackend().poll([entry]) == {}


@pytest.mark.parametrize(
    ("failed", "status", "cause"),
    [
        ("0", "0", None),
        ("0", "3", "its script exited with status 3 (on node07)"),
        ("0", "97", "cannot see the study's folder"),
        (
            "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit",
            "137  (Killed)",
            "time limit exceeded (on node07)",
        ),
        (
            "100 : assumedly after job",
            "137                  (Killed)",
            "deleted from the queue or killed",
        ),
        ("100 : assumedly after job", "139", "it was killed by signal 11"),
        ("21  : in recognizing job", "0", "its node failed"),
        ("26  : opening input/output file", "0", "its output could not be opened"),
        ("77  : something new", "0", "something new"),
    ],
)
def test_endings_in_words(queue, entry, failed, status, cause):
    queue.say("qacct", "Total System Usage\n" + RECORD.format(task=3, failed=failed, status=status))
    (found,) = SgeBackend().endings([entry]).items()
    assert found[0] == (entry.token, 2)
    assert found[1].cause is None if cause is None else cause in found[1].cause


def test_a_start_that_was_rescheduled_is_not_a_end(queue, entry):
    again = RECORD.format(task=3, failed="25  : rescheduling", status="99")
    queue.say("qacct", again)
    assert SgeBackend().endings([entry]) == {}
    queue.say("qacct", again + RECORD.format(task=3, failed="0", status="0"))
    assert SgeBackend().endings([entry])[entry.token, 2].cause is None


@pytest.mark.parametrize(
    "answer",
    [
        {"stderr": "error: job id 5 not found", "status": 1},
        {"stderr": "/var/lib/gridengine/default/common/accounting: No such file or directory", "status": 1},
        {"stdout": RECORD.format(task=3, failed="", status="")},
        {"stdout": RECORD.format(task=3, failed="0", status="0")[:120]},
        {"stdout": ""},
    ],
)
def test_accounting_that_is_off_late_or_torn_says_nothing(queue, entry, answer):
    queue.say("qacct", **answer)
    assert SgeBackend().endings([entry]) == {}


def test_jobs_are_cancelled_whole_or_by_ranges(entry):
    jobs = [(entry.token, job) for job in (0, 1, 3)]
    assert list(SgeBackend().delete_commands([entry], jobs)) == [["qdel", "5.1-2", "5.4-4"]]
    assert list(SgeBackend().delete_commands([entry], [(entry.token, job) for job in range(5)])) == [
        ["qdel", "5"]
    ]
    assert list(SgeBackend().delete_commands([entry], [])) == []
    many = Queued(entry.folder, "5", 0, 9999)
    calls = list(SgeBackend().delete_commands([many], [(entry.token, job) for job in range(0, 9999, 2)]))
    assert len(calls) == 10 and all(len(call) <= 501 for call in calls)


def test_a_cancellation_that_is_refused_is_reported_and_jobs_that_are_gone_are_none(queue, entry):
    queue.say("qdel", 'denied: job "5" does not exist\n', status=1)
    SgeBackend().cancel([entry], [(entry.token, 0)])
    queue.say(
        "qdel",
        'denied: job "6" does not exist\n',
        stderr="ann - you do not have the necessary privileges\n",
        status=1,
    )
    with pytest.raises(QueueError, match="you do not have the necessary privileges"):
        SgeBackend().cancel([entry], [(entry.token, 0)])


def test_a_queue_of_another_cluster_is_not_asked(tmp_path, monkeypatch):
    (tmp_path / "cell" / "common").mkdir(parents=True)
    (tmp_path / "cell" / "common" / "act_qmaster").write_text("here\n")
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    monkeypatch.setenv("SGE_CELL", "cell")
    backend = SgeBackend()
    assert backend.identity()["cluster"] == "here"
    assert backend.can_ask(Queued(tmp_path, "5", 0, 1, {"cluster": "here"})) and backend.can_ask(
        Queued(tmp_path, "5", 0, 1)
    )
    assert not backend.can_ask(Queued(tmp_path, "5", 0, 1, {"cluster": "there"}))


def test_a_submission_that_is_over_is_found_in_accounting(queue, entry, tmp_path):
    queue.say(
        "qstat",
        "<?xml version='1.0'?>\n<unknown_jobs >\n    <ST_name>nfk3f9183012</ST_name>\n</unknown_jobs>\n",
    )
    queue.say("qacct", "".join(RECORD.format(task=task, failed="0", status="0") for task in (2, 1, 3)))
    found = SgeBackend().find([Submission(entry.folder, "exp3", 5, tmp_path)])
    assert [(entry.id, entry.first, entry.last) for entry in found] == [("5", 0, 2)]
    assert queue.calls("qacct") == [["-j", "nfk3f9183012"]]


def test_memory_is_asked_for_as_the_site_counts_it():
    backend = SgeBackend(
        resources=Resources(cpus=4, memory_gb=6, gpus=1),
        memory_complexes=("mem_free", "h_data"),
        gpu_complex="cuda",
    )
    assert {"-pe smp 4", "-l mem_free=6G,h_data=1536M", "-l cuda=1"} < set(backend.options("x"))


@pytest.mark.parametrize(
    ("said", "status", "ok", "advice"),
    [
        ("verification: found suitable queue(s)\n", 0, True, ""),
        ('Unable to run job: job requests unknown queue "nope.q"\nExiting.\n', 1, False, "unknown queue"),
        ('Unable to run job: unknown resource "foo"\nExiting.\n', 1, False, 'unknown resource "foo"'),
        (
            'Job 2 (-l gpu=9) cannot run in queue "vm" because it offers only hc:gpu=2.000000\n'
            "verification: no suitable queues\n",
            0,
            False,
            "offers only hc:gpu=2",
        ),
    ],
)
def test_whether_such_a_job_would_be_accepted(said, status, ok, advice):
    finding = answers.verification(Answer(("qsub",), status, "", said))
    assert finding.ok is ok and advice in finding.advice and finding.answered


def test_a_qmaster_that_does_not_answer_has_refused_nothing():
    said = 'error: commlib error: got select error\nunable to send message to qmaster using port 6444 on host "vm"\n'
    finding = answers.verification(Answer(("qsub",), 1, "", said))
    assert not finding.ok and not finding.answered


NOT_WITHOUT_LOAD = (
    'Job 3 cannot run in PE "smp" because it only offers 0 slots\nverification: no suitable queues\n'
)
SUITABLE = "verification: found suitable queue(s)\n"


@pytest.mark.parametrize(
    ("levels", "ok", "advice"),
    [
        ([NOT_WITHOUT_LOAD, SUITABLE], True, ""),
        ([NOT_WITHOUT_LOAD, NOT_WITHOUT_LOAD, SUITABLE], True, "whether a host has mem_free is known only"),
        ([NOT_WITHOUT_LOAD] * 3, False, "0 slots"),
    ],
)
def test_memory_that_only_running_hosts_report_does_not_speak_against_a_job(queue, levels, ok, advice):
    queue.say("qsub", 'qsub: invalid option argument "--version"\nSGE 8.1.9\n', status=7, call=1)
    for call, said in enumerate(levels, start=2):
        queue.say("qsub", said, call=call)
    finding = SgeBackend(resources=Resources(cpus=2, memory_gb=4)).check()[-1]
    assert finding.ok is ok and advice in finding.advice
    assert [words[1] for words in queue.calls("qsub")[1:]] == ["v", "p", "v"][: len(levels)]
    assert all("-l" in words and "mem_free=4G" in words for words in queue.calls("qsub")[1:3])


def test_jobs_wait_for_those_of_their_own_cluster(queue, tmp_path, monkeypatch):
    (tmp_path / "default" / "common").mkdir(parents=True)
    (tmp_path / "default" / "common" / "act_qmaster").write_text("master\n")
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    monkeypatch.delenv("SGE_CELL", raising=False)
    calls = [
        Queued(tmp_path, id, 0, 4, {"user": "ann", "cluster": cluster})
        for id, cluster in (("5", "master"), ("6", "other"), ("7 -h", "master"), ("8", "master"), ("9", ""))
    ]
    assert SgeBackend().dependencies(calls) == ("5", "8")
    words = SgeBackend().call(tmp_path / "job.sh", ArrayPart(0, 4, 2), ("5", "8"))
    options = ["-t", "1-5", "-tc", "2", "-hold_jid", "5,8"]
    assert words == ["qsub", "-terse", *options, str(tmp_path / "job.sh")]
    monkeypatch.setenv("SGE_ROOT", str(tmp_path / "nowhere"))
    assert SgeBackend().dependencies(calls) == ()


def test_limits_are_the_largest_of_the_queues_and_hosts_that_a_job_may_go_to():
    configured = "max_aj_instances 2000\nmax_aj_tasks 75000\n"
    hosts = (
        "HOSTNAME ARCH NCPU NSOC NCOR NTHR LOAD MEMTOT MEMUSE SWAPTO SWAPUS\n"
        "global   -       -    -    -    -    -      -      -    -    -\n"
        "node01   lx-amd64 2   1    2    2 0.59  23.5G  1.2G  0.0  0.0\n"
        "node02   lx-amd64 2   1    2    2    -   1.5T     -  0.0  0.0\n"
    )
    queues = "qname a.q\nh_rt 24:00:00,[node01=12:00:00]\n\nqname b.q\nh_rt 48:00:00\n"
    found = answers.limits(configured, queues, hosts)
    assert (found.array_size, found.walltime_minutes, found.memory_gb) == (75000, 2880, 1536)
    assert answers.limits(configured, "h_rt 24:00:00\nh_rt INFINITY\n").walltime_minutes is None
    assert answers.limits("max_aj_tasks 0\n").array_size is None
