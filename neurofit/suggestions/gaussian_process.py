"""Optuna's Gaussian process, asked in a process of its own: it imports torch, which a worker should not hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurofit.errors import NeurofitError, is_installed
from neurofit.experiments.grid.search import Choices, Integers, Range, Search, SearchedArgument, Uniform
from neurofit.suggestions.trial import KnownTrial

ANSWER_SECONDS = 240  # below the silence after which another worker takes a task over
_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = (  # finds a neurofit that is not installed, and not a torch.py in the current folder
    "import sys; sys.path[0] = sys.argv[1]; from neurofit.suggestions.gaussian_process import main; main()"
)


def ask(search: Search, given: Mapping[str, Any], known: Sequence[KnownTrial], seed: int) -> dict[str, Any]:
    """What the Gaussian process suggests.

    Raises
    ------
    MissingExtra
        Optuna or torch is not installed.
    NeurofitError
        Its process failed.
    """
    for library in ("optuna", "torch"):
        if not is_installed(library):
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, _ROOT],
            input=json.dumps(_request(search, given, known, seed)),
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NeurofitError(
            f"The sampler 'gp' has not answered in {ANSWER_SECONDS} s with {len(known):,} trials. "
            "Choose sampler='tpe', which is faster."
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NeurofitError(f"The sampler 'gp' failed: {last}. Choose another, such as sampler='tpe'.")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _request(
    search: Search, given: Mapping[str, Any], known: Sequence[KnownTrial], seed: int
) -> dict[str, Any]:
    return {
        "ranges": [[one.name, *_written(one.given(given))] for one in search.arguments],
        "direction": search.direction,
        "seed": seed,
        "known": [
            {"number": one.number, "state": one.state, "values": one.values, "value": one.value}
            for one in known
        ],
    }


_KINDS: dict[str, type[Uniform] | type[Integers] | type[Choices]] = {
    "uniform": Uniform,
    "integers": Integers,
    "choices": Choices,
}


def _written(range: Range) -> list[Any]:
    kind = next(name for name, kind in _KINDS.items() if isinstance(range, kind))
    return [kind, *([range.values] if isinstance(range, Choices) else [range.low, range.high, range.log])]


def _read(kind: str, *parts: Any) -> Range:
    return Choices(tuple(parts[0])) if kind == "choices" else _KINDS[kind](*parts)


def main() -> None:
    """Answer the request on standard input. What libraries print goes before the answer, which is the last line."""
    from neurofit.suggestions.replay import Replay

    request = json.load(sys.stdin)
    arguments = tuple(SearchedArgument(name, _read(*parts)) for name, *parts in request["ranges"])
    search = Search(arguments, trials=1, metric="metric", direction=request["direction"])
    known = [KnownTrial(**one) for one in request["known"]]
    print("\n" + json.dumps(Replay(search, {}).ask(known, request["seed"], "gp")), flush=True)
