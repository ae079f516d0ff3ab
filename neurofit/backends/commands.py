"""Asking a scheduler's programs: no shell, no end of patience, no environment of a job that we may be in
ourselves.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurofit.errors import QueueError

PATIENCE_SECONDS = 60.0
# What a scheduler sets in a job; sbatch, qsub and srun take some of it for options of what they are asked to
# start.
OF_A_JOB = re.compile(
    r"(SLURM(?!_CONF$)|SBATCH|SRUN|SALLOC|SQUEUE|SACCT|SUBMITIT"
    r"|PBS_(?!CONF_FILE$|EXEC$|SERVER$|DEFAULT$|PRIMARY$|SECONDARY$)"
    r"|SGE_(?!ROOT$|CELL$|QMASTER_PORT$|EXECD_PORT$|CLUSTER_NAME$)|JOB_|TASK_|PE_"
    r"|(NSLOTS|NHOSTS|NQUEUES|QUEUE|REQUEST|RESTARTED|ARC|ENVIRONMENT)$)"
)


@dataclass(frozen=True)
class Answer:
    """What a program said."""

    words: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def explained(self) -> str:
        """The command, its status and its words, for an error."""
        said = (self.stderr.strip() or self.stdout.strip() or "it said nothing")[-2000:]
        return f"`{shlex.join(self.words)[:500]}` failed with status {self.status}:\n{said}"


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what belongs to a job that this process may itself be part of."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if not OF_A_JOB.match(name)}


def ask(
    words: Sequence[str],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    environment: Mapping[str, str] | None = None,
    undisturbed: bool = False,
) -> Answer:
    """Run a program and give what it said, whatever its status.

    Parameters
    ----------
    environment : what it sees besides this process's own, cleaned
    undisturbed : whether it is out of reach of a Ctrl-C in this terminal

    Raises
    ------
    QueueError : the program is not there, or did not answer in time
    """
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience_seconds,
            env={**clean_environment(), **(environment or {})},
            start_new_session=undisturbed,
        )
    except FileNotFoundError:
        raise QueueError(f"There is no program '{words[0]}' on this host. Is this a submit host?") from None
    except OSError as error:
        raise QueueError(f"`{shlex.join(words)[:500]}` could not be started: {error}.") from error
    except subprocess.TimeoutExpired:
        raise QueueError(
            f"`{shlex.join(words)[:500]}` did not answer within {patience_seconds:g} s."
        ) from None
    return Answer(
        tuple(words),
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


def has(program: str) -> bool:
    return shutil.which(program) is not None


def ranges(jobs: int, most: int | None) -> Iterator[tuple[int, int]]:
    """First and last of the parts that `jobs` jobs are queued in, none longer than `most`."""
    size = min(most or jobs, jobs)
    for first in range(0, jobs, max(size, 1)):
        yield first, min(first + size, jobs) - 1


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of consecutive numbers, in order."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
