"""The terminal: the command `neurofit`, and what `python jobs/exp3.py` does.

group (which commands there are)  ──►  commands/NAME (one each)  ──►  terminal (what is printed, and how)
"""

from __future__ import annotations


def main() -> int:
    """The command `neurofit`; gives its exit code."""
    from neurofit.cli.entry import run
    from neurofit.cli.group import group

    return run(group, "neurofit")
