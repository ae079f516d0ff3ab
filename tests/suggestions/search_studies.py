"""Searches that queues are tried with, and what must be true of them afterwards."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

from held_runs import WAIT

from neurofit.files import read_json
from neurofit.spans import members
from neurofit.store.records import SuggestionRecord
from neurofit.store.registry import read_registry
from neurofit.store.suggestions import content_hash
from neurofit.structure import read_record

BRANIN = """
    import math, time
    def branin(task, *, x=0.0, y=0.0):
        {wait}
        time.sleep({seconds})
        bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
        return {{"validation/loss": bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10}}
    experiment = nf.Experiment(
        branin,
        nf.search(
            x=nf.uniform(-5, 10), y=nf.uniform(0, 15), trials={trials}, at_once={at_once},
            metric="validation/loss", direction="minimize",
        ),
    )
"""


def branin(trials: int, *, at_once: int = 10, seconds: float = 0.05, held: bool = False) -> str:
    """A script; if held, its trials wait as `held_runs` says."""
    return BRANIN.format(trials=trials, at_once=at_once, seconds=seconds, wait=WAIT if held else "")


def suggestion_files(bench, name: str) -> dict[int, Path]:
    """Run → its suggestion.json; fails if a run has several."""
    found: dict[int, Path] = {}
    for path in (bench.study.training_data / name / "runs").glob("**/suggestion*"):
        assert path.name == "suggestion.json" and path.parent.parent.name == "runs", path
        number = int(path.parent.name.partition("-")[0])
        assert number not in found, f"two folders of run {number}"
        found[number] = path
    return found


def suggestions(bench, name: str) -> dict[int, SuggestionRecord]:
    return {
        run: read_record(path, SuggestionRecord)
        for run, path in sorted(suggestion_files(bench, name).items())
    }


def check(bench, name: str, trials: int, repetitions: int = 1) -> None:
    """Every trial was done exactly once, with the arguments that were suggested for it from what was known.

    Read from the files alone, so that nothing of what is tested says that it is right.
    """
    folder = bench.study.training_data / name
    lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    runs = read_registry(folder / "runs.jsonl").runs
    assert len(lines) == len(runs) == len({run.id for run in runs.values()}) == trials
    assert sorted(runs) == sorted(run.trial for run in runs.values()) == list(range(trials))
    found = suggestions(bench, name)
    assert sorted(found) == list(range(trials))
    done: Counter[tuple[int, int]] = Counter()
    ended: dict[int, float] = {}
    for path in (folder / "runs").glob("*/*/attempt-*/outcome.json"):
        outcome = read_json(path)
        if outcome["state"] == "abandoned":  # noted by whoever took over: its worker left no word
            continue
        suggestion = found[outcome["run"]]
        assert outcome["params"] == suggestion.values, path
        assert outcome["facts"]["suggestion"] == content_hash(suggestion), path
        if outcome["state"] == "done":
            done[outcome["run"], outcome["repetition"]] += 1
            end = datetime.fromisoformat(outcome["ended"]).timestamp()
            ended[outcome["run"]] = max(end, ended.get(outcome["run"], 0.0))
    assert done == {(run, repetition): 1 for run in range(trials) for repetition in range(repetitions)}
    for number, suggestion in found.items():
        assert suggestion.trial == number
        known = {state: list(members(spans)) for state, spans in suggestion.known.items()}
        everything = [trial for numbers in known.values() for trial in numbers]
        assert len(everything) == len(set(everything)) and set(everything) <= set(range(trials)) - {number}
        late = [trial for trial in known.get("done", []) if ended[trial] > suggestion.t + 0.002]
        assert not late, f"trial {number} knew results before they were there: {late}"
