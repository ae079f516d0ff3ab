"""How much does a refractory period regularise a spike train? Answered by a program that is not written in
Python.

The program here is a few lines of awk; a simulator of yours goes in its place. Three things to copy: it is
started with a list of arguments, never a line for a shell, so that whatever is in them arrives as it is; what
it says goes into the task's log line by line while it runs; and when it fails, its last words are the task's
error.
"""

import collections
import shlex
import subprocess

import neurofit as nf

# Prints "name value" lines. Arguments: rate [spikes per second], refractory period [ms], duration [s], seed,
# note.
SIMULATOR = r"""
BEGIN {
    rate = ARGV[1]; dead = ARGV[2] / 1000; duration = ARGV[3]; srand(ARGV[4])
    print "note:", ARGV[5]
    if (rate * dead >= 1) {
        print "a rate of " rate " per second leaves no time for " ARGV[2] " ms after each spike" > "/dev/stderr"
        exit 2
    }
    free = rate / (1 - rate * dead)      # so that the mean rate is the one asked for
    while (time < duration) {
        gap = dead - log(1 - rand()) / free
        time += gap; sum += gap; squares += gap * gap; spikes++
    }
    mean = sum / spikes
    print "spikes", spikes
    print "rate", 1 / mean
    print "interval_cv", sqrt(squares / spikes - mean * mean) / mean
}
"""


def fit(task, *, rate=40.0, refractory_ms=0.0, duration=100.0, note='it\'s "quoted", $(not run)'):
    """Mean rate [1/s] of a simulated neuron, and its intervals' coefficient of variation: 1 without
    refractoriness.
    """
    said = run("awk", SIMULATOR, rate, refractory_ms, duration, task.seeds.noise, note)
    return numbers(said, wanted=("rate", "interval_cv"))


def run(*command):
    """Lines that the program printed; both its outputs appear in the log as they come."""
    command = [str(part) for part in command]
    last = collections.deque(maxlen=20)
    lines = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # one stream, so that the log keeps their order
        encoding="utf-8",
        errors="replace",
    ) as program:
        for line in program.stdout:
            print(line, end="", flush=True)
            lines.append(line)
            last.append(line)
    if program.returncode:
        shown = shlex.join(command[:1] + command[2:])[:300]  # without the program text
        raise RuntimeError(f"`{shown}` failed with status {program.returncode}:\n{''.join(last)}")
    return lines


def numbers(lines, wanted):
    """The values of the lines that read "name value"."""
    found = {line.split()[0]: line.split()[1] for line in lines if len(line.split()) == 2}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise RuntimeError(f"the program printed no {' and no '.join(missing)}")
    return {name: float(found[name]) for name in wanted}


experiment = nf.Experiment(
    fit=fit,
    grid=nf.grid(rate=[20.0, 60.0], refractory_ms=[0.0, 2.0, 5.0, 10.0]),
    repetitions=5,
)

if __name__ == "__main__":
    nf.main(experiment)
