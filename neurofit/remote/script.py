"""What the shell of the other host runs.

The command that `ssh` passes to the login shell there, which may be csh or fish, is the constant `REMOTE`. The script
comes through its standard input and is for a POSIX shell; texts in it are quoted, and stand at its beginning as
variables. It does nothing before its last line has come, and writes no file.

Its answer is made of lines that start with a random mark, so that whatever else a start-up file prints is ignored:

    MARK shell                  the script runs
    MARK refused WHY            `missing`, `denied`, `study` or `tar`; the end
    MARK neurofit PATH          the neurofit that is asked; then its own lines, `MARK {…}`, JSON objects
    MARK ended STATUS           how it ended; 0 means that it has answered, and the end
    MARK files SECONDS          the time there; the rest of the answer is an archive of `tar`, perhaps of gzip
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

REMOTE = "exec sh -s"
NO_NEUROFIT = "none"  # given as the path of the neurofit there: read the files alone
_SMALL = 2048  # blocks of 512 bytes
_SCRIPT = r"""
neurofit_say() { printf '\n%s %s\n' "$mark" "$*"; }
neurofit_own() { [ -n "$(find "$1" -prune \( -user 0 -o -user "$(id -u)" \) -print 2>/dev/null)" ]; }
neurofit_tool() {
    if [ -n "$tool" ]; then return; fi
    if [ -x .venv/bin/neurofit ] && neurofit_own . && neurofit_own .venv && neurofit_own .venv/bin &&
        neurofit_own .venv/bin/neurofit; then tool=$PWD/.venv/bin/neurofit
    elif tool=$(command -v neurofit 2>/dev/null); then :
    elif [ -x "$HOME/.local/bin/neurofit" ]; then tool=$HOME/.local/bin/neurofit
    else tool=none; fi
}
neurofit_there() {
    unset CDPATH
    neurofit_say shell
    case $study in '~') study=$HOME ;; '~/'*) study=$HOME/${study#??} ;; esac
    case $tool in '~/'*) tool=$HOME/${tool#??} ;; esac
    if ! cd "$study" 2>/dev/null; then
        if [ -d "$study" ]; then neurofit_say refused denied; else
            above=${study%/*}
            if [ -d "${above:-/}" ] && [ ! -x "${above:-/}" ]; then neurofit_say refused denied
            else neurofit_say refused missing; fi
        fi
        return 0
    fi
    if [ ! -r . ] || { [ -d training_data ] && { [ ! -r training_data/ ] || [ ! -x training_data/ ]; }; }; then
        neurofit_say refused denied; return 0
    fi
    if [ ! -d training_data/ ] && { [ ! -d jobs/ ] || [ ! -d runners/ ]; }; then
        neurofit_say refused study; return 0
    fi
    neurofit_tool
    if [ "$tool" != none ]; then
        neurofit_say neurofit "$tool"
        printf '%s\n' "$request" | PYTHONDONTWRITEBYTECODE=1 "$tool" answer "$mark"
        ended=$?
        neurofit_say ended "$ended"
        if [ "$ended" -eq 0 ]; then return 0; fi
    fi
    if ! command -v tar >/dev/null 2>&1; then neurofit_say refused tar; return 0; fi
    if command -v gzip >/dev/null 2>&1; then packed='gzip -c'; else packed=cat; fi
    set --
    if [ -d training_data/ ]; then set -- training_data/; fi
    if [ -d .neurofit/ ]; then set -- "$@" .neurofit/; fi
    neurofit_say files "$(date +%s)"
    if [ $# -gt 0 ]; then neurofit_find "$@" | $packed; fi
    return 0
}
"""


def program(
    mark: str,
    folder: str,
    request: str,
    *,
    found: Sequence[str],
    small: Sequence[str] = (),
    pruned: Sequence[str],
    tool: str | None,
) -> str:
    """The script for one request.

    Parameters
    ----------
    mark : str
        At the beginning of each line of the answer.
    folder : str
        Of the study, see `Address`.
    request : str
        What the neurofit there reads.
    found : sequence of str
        Patterns of the paths of files to fetch.
    small : sequence of str
        Patterns of files that are fetched unless they are larger than 1 MB.
    pruned : sequence of str
        Names of folders that are left out.
    tool : str or None
        The neurofit there; `none` for no neurofit; None: look for it.
    """
    values = {"mark": mark, "study": folder, "request": request, "tool": tool or ""}
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    prune = " -o ".join(f"-name {shlex.quote(name)}" for name in pruned)
    wanted = " -o ".join(f"-path {shlex.quote(pattern)}" for pattern in found)
    wanted += "".join(f" -o -path {shlex.quote(pattern)} -size -{_SMALL}" for pattern in small)
    find = (
        f'neurofit_find() {{ find -L "$@" \\( {prune} \\) -prune -o \\( {wanted} \\) -type f '
        "-exec tar -chf - {} + ; }"
    )
    return "\n".join([*lines, _SCRIPT, find, "neurofit_there </dev/null", "exit 0", ""])
