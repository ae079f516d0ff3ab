"""The command line: the command `neurofit`, and `python jobs/exp3.py`.

application   the commands, and how one runs: errors become a message and an exit code
commands/     one module per command
options       arguments and options that commands share
terminal      printing: facts to stdout, remarks to stderr, tables, colours
wording       times, counts, plans and failures as text, and the commands suggested next
progress      the live display of running tasks
foreground    one task in this process; `script` does the same for `python jobs/exp3.py`
"""

from __future__ import annotations


def main() -> int:
    """Run the command `neurofit` with the arguments of this process.

    Returns
    -------
    int
        The exit code, see `neurofit.exit_codes`.
    """
    from neurofit.cli.application import group, run

    return run(group, "neurofit")
