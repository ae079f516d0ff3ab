"""Run a scheduler's programs: without a shell, with a timeout, and without variables inherited from an enclosing
job.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurofit.errors import QueueError

TIMEOUT_SECONDS = 60.0
# Variables that a scheduler sets in a job. sbatch, qsub and srun would read some of them as options.
JOB_VARIABLE = re.compile(
    r"(SLURM(?!_CONF$)|SBATCH|SRUN|SALLOC|SQUEUE|SACCT|SUBMITIT"
    r"|PBS_(?!CONF_FILE$|EXEC$|SERVER$|DEFAULT$|PRIMARY$|SECONDARY$)"
    r"|SGE_(?!ROOT$|CELL$|QMASTER_PORT$|EXECD_PORT$|CLUSTER_NAME$)|JOB_|TASK_|PE_"
    r"|(NSLOTS|NHOSTS|NQUEUES|QUEUE|REQUEST|RESTARTED|ARC|ENVIRONMENT)$)"
)


@dataclass(frozen=True)
class Answer:
    """The exit status and output of a program."""

    words: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def explained(self) -> str:
        """The command, its status and its output, for an error."""
        output = (self.stderr.strip() or self.stdout.strip() or "(no output)")[-2000:]
        return f"`{shlex.join(self.words)[:500]}` failed with status {self.status}:\n{output}"


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without the variables of a job that this process may be part of."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if not JOB_VARIABLE.match(name)}


def ask(
    words: Sequence[str],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    environment: Mapping[str, str] | None = None,
    own_session: bool = False,
) -> Answer:
    """Run a program and return its output, whatever its exit status.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    timeout_seconds : float
        The program is killed after this time.
    environment : mapping or None
        Variables that are added to this process's own, cleaned environment.
    own_session : bool
        Whether the program runs in a session of its own, which a Ctrl-C in this terminal does not reach.

    Raises
    ------
    QueueError
        The program is missing, could not be started, or did not answer in time.
    """
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            env={**clean_environment(), **(environment or {})},
            start_new_session=own_session,
        )
    except FileNotFoundError:
        raise QueueError(
            f"The program '{words[0]}' was not found on this host. Is it a submit host?"
        ) from None
    except OSError as error:
        raise QueueError(f"`{shlex.join(words)[:500]}` could not be started: {error}.") from error
    except subprocess.TimeoutExpired:
        raise QueueError(
            f"`{shlex.join(words)[:500]}` did not answer within {timeout_seconds:g} s."
        ) from None
    return Answer(
        tuple(words),
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


def output_of(*words: str) -> str:
    """The output of a program; empty if it cannot be asked."""
    try:
        return ask(words).stdout
    except QueueError:
        return ""


def has(program: str) -> bool:
    """Whether a program is on PATH."""
    return shutil.which(program) is not None


def ranges(jobs: int, most: int | None) -> Iterator[tuple[int, int]]:
    """First and last numbers of the parts of `jobs` jobs, none of more than `most` jobs."""
    size = min(most or jobs, jobs)
    for first in range(0, jobs, max(size, 1)):
        yield first, min(first + size, jobs) - 1
