"""`qstat -F json` as OpenPBS up to 23.06 prints it, which is JSON by luck: recorded answers, and its writer
with values of all kinds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from neurofit.backends.commands import Answer
from neurofit.backends.qsub import pbs_answers as answers
from neurofit.errors import QueueError

RECORDED = Path(__file__).parent / "answers" / "pbs"


def asked(text: str) -> list[answers.Listed]:
    return answers.jobs(Answer(("qstat", "-f", "-F", "json"), 0, text, ""))


# OpenPBS's own writer (pbs_json.c of 23.06), in the parts that matter here


def escaped(value: str) -> str:
    out, index = [], 0
    while index < len(value):
        letter, following = value[index], value[index + 1 : index + 2]
        if letter in "\b\f\n\r\t":
            out.append({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}[letter])
        elif letter == '"':
            out.append('\\"' if index and value[index - 1] != "\\" else '"')
        elif letter == "\\" and following in ("'", ","):
            out.append(following)
            index += 1
        elif letter == "\\":
            out.append(letter + following)
            index += len(following)
        else:
            out.append(letter)
        index += 1
    return "".join(out)


def is_number(value: str) -> bool:
    """strtod, and what follows it."""
    match = re.match(
        r"\s*[+-]?(inf(inity)?|nan|0x[0-9a-f]+|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)\s*$", value, re.IGNORECASE
    )
    number = re.sub(r"0x\w+", "5", value.strip().lower()) if match else "5"
    return bool(match) and (value[:1] != "0" or float(number) < 1)


def written(jobs: dict[str, dict]) -> str:
    lines = []

    def put(depth: int, name: str, value) -> None:
        indent = " " * 4 * depth
        if isinstance(value, dict):
            lines.append(f'{indent}"{name}":{{')
            for inner, one in value.items():
                put(depth + 1, inner, one)
            if lines[-1][-1] == ",":
                lines[-1] = lines[-1][:-1]
            lines.append(f"{indent}}},")
        elif is_number(value):
            lines.append(f'{indent}"{name}":{value},')
        else:
            lines.append(f'{indent}"{name}":"{value if not value.strip() else escaped(value)}",')

    put(0, "", {"timestamp": "1795887379", "pbs_version": "23.06.06", "Jobs": jobs})
    return "{\n" + "\n".join(lines[1:-1]) + "\n}\n"


VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=25),
    st.text(st.sampled_from("\"\\,'{}[]:\n\t 01.einfnaINF+-x"), max_size=12),
    st.sampled_from(
        [
            "005",
            "1.",
            "inf",
            "-inf",
            "nan",
            "a\\,b",
            "0x1F",
            "1e400",
            ".5",
            "+5",
            "-007",
            "C:\\",
            '\\"',
            "}",
            "{",
            "() {  eval `modulecmd bash $*`;\n}",
            'x\\\\", "job_state":"F"',
        ]
    ),
).filter(lambda value: value == "" or not set(value) <= set(" \n\t"))
NAMES = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,8}\Z")


@given(
    st.lists(st.sampled_from("QHRXFEBSWT"), min_size=1, max_size=4),
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.one_of(st.none(), VALUES),
    VALUES,
    st.integers(0, 300),
)
@example(["R"], {"G": "C:\\dir\\"}, "a \\", "1.", 1)
def test_states_are_read_whatever_is_in_variables_comments_and_paths(
    letters, variables, comment, path, status
):
    jobs = {}
    for index, letter in enumerate(letters):
        job = {
            "Job_Name": "nfk3f9183012",
            "job_state": letter,
            "Error_Path": f"host:/home/{path}",
            "substate": "93",
        }
        job |= {
            "Resource_List": {"ncpus": "1", "mem": "1gb"},
            "Variable_List": {**variables, "NEUROFIT_JOB": "4"},
        }
        job |= {} if comment is None else {"comment": comment}
        jobs[f"2[{index}].pbshost"] = {**job, "Exit_status": str(status), "exec_host": "node07/0*2"}
    listed = asked(written(jobs))
    assert [(job.id, job.letter) for job in listed] == [
        (f"2[{index}].pbshost", letter) for index, letter in enumerate(letters)
    ]
    assert all(
        (job.status, job.substate, job.host, job.span) == (status, 93, "node07", (4, 4)) for job in listed
    )


@given(st.integers(0, 10_000), st.dictionaries(NAMES, VALUES, max_size=3))
def test_a_torn_answer_is_not_a_answer(cut, variables):
    whole = written(
        {f"{number}.pbshost": {"job_state": "R", "Variable_List": variables} for number in (1, 2, 3)}
    )
    text = whole[: cut % (len(whole) - 2)]
    with pytest.raises(QueueError, match="cannot be read"):
        asked(text)


@given(st.text(max_size=300))
def test_any_other_text_is_not_a_answer_and_no_crash(text):
    assert answers.read_json(text) is None
    assert answers.read_json("{\n" + text + "\n}") is None


@given(
    st.lists(st.sampled_from(written({"1.h": {"job_state": "R", "A": {"B": "1."}}}).split("\n")), max_size=20)
)
def test_lines_in_any_order_are_an_answer_or_none(lines):
    found = answers.read_json("\n".join(["{", '    "timestamp":1', *lines, "}"]))
    assert found is None or found["timestamp"] == 1


@pytest.mark.parametrize("name", ["backslash", "variables"])
def test_the_answer_of_openpbs_about_an_array(name):
    """A backslash in the folder that `qsub` was called in, and in a comment; variables like `1.` and
    `inf`.
    """
    text = (RECORDED / f"{name}.json").read_text()
    with pytest.raises(ValueError, match=r"Invalid|Expecting"):
        json.loads(text, strict=False)
    array, *subjobs = asked(text)
    assert array.is_array and array.letter == "H" and array.span == (0, len(subjobs) - 1)
    assert [(job.index, job.letter, job.substate) for job in subjobs] == [
        (index, "Q", 10) for index in range(len(subjobs))
    ]


@pytest.mark.parametrize("before", ["Notice: {maintenance}\n", "{ at noon\n", ""])
def test_a_banner_around_an_answer_is_passed_over(before):
    text = written({"1.pbshost": {"job_state": "R", "A": "1."}})
    if before.startswith("{"):
        with pytest.raises(QueueError):
            asked(before + text)
    else:
        assert [job.letter for job in asked(f"{before}{text}bye\n")] == ["R"]


def test_a_job_that_is_not_understood_is_there_and_blinds_nothing():
    odd = {
        "1.pbshost": {"job_state": "1e400", "substate": "1e400"},
        "2.pbshost": {"job_state": "R"},
        "3.pbshost": {},
    }
    assert [(job.id, job.letter, job.substate) for job in asked(written(odd))] == [
        ("1.pbshost", "inf", None),
        ("2.pbshost", "R", None),
        ("3.pbshost", "?", None),
    ]
    for jobs in ("[]", "null", "1", '"x"'):
        with pytest.raises(QueueError):
            asked(f'{{"timestamp": 1, "Jobs": {jobs}}}')
    assert asked('{"timestamp": 1, "Jobs": {"1.h": 3, "2.h": {"job_state": "R"}}}')[0].id == "2.h"
