"""Exit codes: those of the commands, and those with which a job reports to its queue.

A command that a signal ends exits with 128 plus the number of the signal, as a shell reports it.
"""

from __future__ import annotations

OK = 0
ERROR = 1
USAGE = 2
TASKS_FAILED = 3
STILL_RUNNING = 4
QUEUE_UNREACHABLE = 5
SIGNAL = 128  # plus the number of the signal
INTERRUPTED = 130  # Ctrl-C (SIGINT)
BROKEN_PIPE = 141  # SIGPIPE: the reader of the output, such as `head`, has closed it

MEANINGS = {
    OK: "success",
    ERROR: "an error",
    USAGE: "wrong usage",
    TASKS_FAILED: "some tasks failed, were lost or stopped",
    STILL_RUNNING: "tasks were still running when --wait ended",
    QUEUE_UNREACHABLE: "a queue could not be asked",
}

# Of a worker or of the script that starts it. Queues report them, so they never change.
NOT_BY_HAND = 64  # the job script was started without a job number, so not by its queue
NO_FOLDER = 66  # SLURM's script could not enter the submission's folder
NO_LOG = 67  # SLURM's script could not write the job's log
UNMET = 93  # of a pool's gate and of a worker: an experiment that is needed first will not get done
DAMAGED = 94  # a file of the submission could be read, but its content is wrong
NO_ROOM = 95  # the disk is too full even for an outcome
NO_DEVICE = 96  # no GPU of the node was free
NO_STUDY = 97  # the node does not see the submission's folder, or cannot write there
START_AGAIN = 99  # the time limit is near, or the queue interrupted the job: start it again
