"""Readers of what SLURM and Grid Engine print, with whatever may be in it: they read it or say that they
cannot.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings, strategies as st

from neurofit.backends.commands import Answer
from neurofit.backends.qsub import gridengine_answers, qsub
from neurofit.backends.slurm import answers, backend, clusters, status_codes
from neurofit.errors import QueueError

TOKEN = "20261120-183012-slurm-gpu-k3f9"
NAME = f"exp3@{TOKEN}.0-99"
SQUEUE = f"""JOBID|STATE|REASON|NAME
6_0|RUNNING|None|{NAME}
6_[4-6,8%4]|PENDING|Resources|{NAME}
11+1|PENDING|JobHeldUser|het.sh
"""
SACCT = f"""JobID|State|ExitCode|NodeList|JobName
6_[8-9]|CANCELLED by 0|0:0|None assigned|{NAME}
6_0|FAILED|1:0|vm|{NAME}
"""
CONFIG = """Configuration data as of 2026-11-20T18:30:12
ClusterName             = neurofit
MaxArraySize            = 1001
SchedulerParameters     = bf_interval=5,max_array_tasks=100
"""
JOBS = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>1</JB_job_number>
      <JB_name>a%%lt;&amp;b%s</JB_name>
      <state>hqw</state>
      <slots>1</slots>
    </job_list>
    <job_list state="pending">
      <JB_job_number>5</JB_job_number>
      <JB_name>nfabc</JB_name>
      <state>qw</state>
      <slots>1</slots>
      <tasks>1-3:1</tasks>
    </job_list>
  </job_info>
</job_info>
"""
DETAILS = """<?xml version='1.0'?>
<detailed_job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/x.xsd">
  <djob_info>
    <element>
      <JB_job_number>5</JB_job_number>
      <JB_job_name>nfabc</JB_job_name>
      <JB_env_list><job_sublist><VA_variable>PS1</VA_variable><VA_value>%s</VA_value></job_sublist></JB_env_list>
      <JB_pe_range><ranges><RN_min>2</RN_min><RN_max>2</RN_max></ranges></JB_pe_range>
      <JB_ja_structure><task_id_range><RN_min>1</RN_min><RN_max>3</RN_max><RN_step>1</RN_step></task_id_range>
      </JB_ja_structure>
    </element>
  </djob_info>
</detailed_job_info>
"""
UNKNOWN = "<?xml version='1.0'?>\n<unknown_jobs >\n    <ST_name>%s</ST_name>\n</unknown_jobs>\n"
QACCT = """====
hostname     vm
jobnumber    5
taskid       2
failed       37  : qmaster enforced h_rt
exit_status  137 (Killed)
"""
CONTROL = "\x01\x1b[31m\ufffe"


def said(stdout: str, status: int = 0, stderr: str = "") -> Answer:
    return Answer(("program",), status, stdout, stderr)


def damaged(text: str) -> st.SearchStrategy[str]:
    """The text with some of it cut out and something else put there; or any text at all."""
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    put = st.one_of(st.text(max_size=30), st.text("0123456789[]-_,:%|+\n<>/&;. ", max_size=30))
    return st.one_of(
        st.builds(lambda ends, put: text[: ends[0]] + put + text[ends[1] :], ends, put), st.text()
    )


LIMIT = {"MaxArraySize": "1001"}
READERS = {
    "squeue": (SQUEUE, answers.read_squeue),
    "sacct": (SACCT, answers.read_sacct),
    "sbatch": ("6;neurofit\n", answers.read_sbatch),
    "config": (CONFIG, lambda answer: answers.limits(answers.read_config(answer), {})),
    "partition": (
        "MaxTime=2-12:30:00 X=y\n",
        lambda answer: answers.limits(LIMIT, answers.read_partition(answer)),
    ),
    "sinfo": (
        "node01|node01|16000+|cpu*\n",
        lambda answer: answers.limits(LIMIT, {}, answers.read_sinfo(answer, None)),
    ),
    "scancel": ("", answers.read_scancel),
    "refusal": ("sbatch: error: no\n", answers.refusal),
    "clusters": ("alpha|\nbeta|\n", answers.read_clusters),
    "script": ("#!/bin/bash\n#SBATCH -M beta,gamma # x\n", lambda answer: clusters.in_script(answer.stdout)),
    "reason": ("JobHeldUser, x", lambda answer: status_codes.reason(answer.stdout)),
    "qstat": (JOBS % "", lambda answer: gridengine_answers.jobs(answer, {"5"})),
    "qstat -j": (DETAILS % "", gridengine_answers.named_jobs),
    "unknown": (UNKNOWN % "nfabc", gridengine_answers.named_jobs),
    "reasons": (DETAILS % "", lambda answer: gridengine_answers.reasons(answer.stdout)),
    "qacct": (
        QACCT,
        lambda answer: [gridengine_answers.ending(one) for one in gridengine_answers.accounting(answer)],
    ),
    "qhost": (
        "node01 lx-amd64 2 1 2 2 0.59 23.5G 1.2G 0.0 0.0\n",
        lambda answer: gridengine_answers.limits("", "h_rt 24:00:00\n", answer.stdout),
    ),
    "qsub": ("5.1-3:1\n", lambda answer: gridengine_answers.job_id(answer.stdout)),
    "qconf": ("max_aj_tasks 75000\n", lambda answer: gridengine_answers.limits(answer.stdout)),
    "qdel": ("denied: job 9 does not exist\n", gridengine_answers.refused_deletions),
    "qsub -w": ("verification: found suitable queue(s)\n", gridengine_answers.verification),
    "qsub --version": ("SGE 8.1.9\n", lambda answer: (qsub.dialect(answer), qsub.version(answer))),
    "options": ("-l mem='1 G", lambda answer: gridengine_answers.words(answer.stdout)),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(st.data())
def test_whatever_a_program_prints_is_read_or_is_an_error_of_the_queue(name, data):
    text, read = READERS[name]
    for status in (0, 1):
        with contextlib.suppress(QueueError):
            read(said(data.draw(damaged(text)), status, data.draw(st.text(max_size=20))))


@given(
    st.from_regex(r"[A-Z_]{0,12}( by [0-9]{0,30})?|.{0,20}"),
    st.from_regex(r"[0-9]{0,5}:?[0-9]{0,5}|.{0,9}"),
    st.text(),
)
def test_whatever_accounting_says_of_an_end_is_reported_in_words(state, code, node):
    found = status_codes.ending(state, code, node)
    assert found is None or found.cause is None or found.cause.strip()


FOREIGN = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(
            r"[0-9]{1,6}(\+[0-9]|_\[[0-9,%-]{1,9}\])?\|[A-Z]{1,9}\|[^|]{0,9}\|[a-z|\n]{0,9}", fullmatch=True
        ),
    ),
    max_size=5,
)


@settings(max_examples=50)
@given(FOREIGN, FOREIGN, FOREIGN)
def test_lines_of_other_jobs_change_nothing_of_ours(before, between, after):
    def with_others(text: str) -> str:
        first, *lines = text.splitlines()
        parts = [first, *before, *(line for ours in lines for line in (ours, *between)), *after]
        return "\n".join(parts) + "\n"

    def ours(found):
        return [line for line in found if backend.parsed(line.name)[0] == TOKEN]

    assert ours(answers.read_squeue(said(with_others(SQUEUE)))) == ours(answers.read_squeue(said(SQUEUE)))
    assert ours(answers.read_sacct(said(with_others(SACCT)))) == ours(answers.read_sacct(said(SACCT)))


@given(st.sets(st.integers(0, 5000), min_size=1, max_size=300))
def test_elements_survive_being_folded_and_read(indices):
    found = [answers.elements_of(word) for word in answers.folded("6", sorted(indices))]
    assert [index for id, elements in found for index in elements] == sorted(indices)


@pytest.mark.parametrize("length", range(len(SQUEUE)))
def test_an_answer_cut_anywhere_but_at_a_lines_end_is_none(length):
    cut = SQUEUE[:length]
    if cut.endswith("\n"):
        return
    with pytest.raises(QueueError):
        answers.read_squeue(said(cut))


# Grid Engine


@pytest.mark.parametrize("odd", ["", CONTROL, "&", "<", "<>", "</JB_name>", "&nbsp;", "\x00"])
def test_another_jobs_odd_name_hides_nothing_of_ours(odd):
    assert gridengine_answers.jobs(said(JOBS % odd), {"5"}) == [
        gridengine_answers.Listed("5", job, "qw") for job in range(3)
    ]


@pytest.mark.parametrize("odd", [CONTROL, "<>", "&"])
def test_what_is_odd_about_our_own_job_is_reported_of_it_alone(odd):
    text = JOBS.replace("<JB_name>nfabc", f"<JB_name>nfabc{odd}") % ""
    found = gridengine_answers.jobs(said(text), {"1", "5"})
    assert [(job.id, job.job) for job in found if not job.problem] == (
        [("1", 0), *(("5", job) for job in range(3))] if odd == CONTROL else [("1", 0)]
    )
    assert all("cannot be read" in job.problem and job.id == "5" for job in found if job.problem)


@pytest.mark.parametrize("tasks", ["1-x", "3-1:1", "1-9:0", "1-99999999:1", "", "9" * 5000])
def test_tasks_that_cannot_be_read_are_reported_of_their_own_job(tasks):
    found = gridengine_answers.jobs(said((JOBS % "").replace("1-3:1", tasks)), {"1", "5"})
    assert ("1", 0, "") in [(job.id, job.job, job.problem) for job in found]
    if tasks:
        assert [job.id for job in found if job.problem] == ["5"]


@pytest.mark.parametrize("length", range(0, len(JOBS) - 15, 7))
def test_a_list_of_jobs_that_is_cut_is_none(length):
    text = (JOBS % "")[:length]
    with pytest.raises(QueueError):
        gridengine_answers.jobs(said(text), {"5"})


@pytest.mark.parametrize("odd", ["nfabc", "", "<>", "%lt;&amp;", "&", CONTROL, "<x", "<ST_name>"])
def test_names_that_it_does_not_know_are_none_whatever_its_tags(odd):
    for status in (0, 1):
        assert gridengine_answers.named_jobs(said(UNKNOWN % odd, status)) == {}
    assert (
        gridengine_answers.named_jobs(said("<?xml version='1.0'?><unknown_jobs><>nfabc</></unknown_jobs>"))
        == {}
    )
    with pytest.raises(QueueError):
        gridengine_answers.named_jobs(said((UNKNOWN % odd)[:40]))


@pytest.mark.parametrize("odd", ["", CONTROL, "&", "a < b", "</x>"])
def test_a_jobs_environment_does_not_hide_its_tasks(odd):
    assert gridengine_answers.named_jobs(said(DETAILS % odd)) == {"5": ("nfabc", 0, 2)}


@pytest.mark.parametrize(
    "wrong",
    [
        ("<RN_min>1</RN_min><RN_max>3", "<RN_min>1</RN_min><RN_max>x"),
        (">5</JB_job_n", ">x</JB_job_n"),
        (">nfabc<", "><>"),
    ],
)
def test_details_that_cannot_be_read_are_an_error_and_no_absence(wrong):
    with pytest.raises(QueueError):
        gridengine_answers.named_jobs(said((DETAILS % "").replace(*wrong)))
