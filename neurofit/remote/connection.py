"""One process of `ssh` for one command: its answer, line by line, and what went wrong as a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

from neurofit.errors import HostError
from neurofit.remote.address import Address
from neurofit.remote.script import REMOTE
from neurofit.text import cut, printable

CONNECT_SECONDS = 15
MOST_BYTES = 2_000_000_000  # of an answer
LONGEST_LINE = 256_000_000
_LOST = 255  # ssh's own status
_OPTIONS = (
    "BatchMode=yes",  # never ask for anything
    f"ConnectTimeout={CONNECT_SECONDS}",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ForwardX11=no",
    "ForwardAgent=no",
)
_BLOCK = 1 << 20


def words(address: Address) -> list[str]:
    """The command, without a shell."""
    options = [word for option in _OPTIONS for word in ("-o", option)]
    return ["ssh", "-T", *options, "--", address.host, REMOTE]


class Connection:
    """The answer of one process of `ssh`."""

    def __init__(self, address: Address, mark: str, process: subprocess.Popen[bytes], errors: IO[bytes]):
        self.address, self._mark, self._process, self._errors = address, mark.encode(), process, errors
        assert process.stdout is not None
        self._stdout = process.stdout
        self.noise = b""  # what was printed before the first line of the script
        self.has_shell = False

    def lines(self) -> Iterator[str]:
        """What follows the mark in each of its lines, until the answer ends. Other lines are passed over."""
        left = MOST_BYTES
        while line := self._stdout.readline(LONGEST_LINE):
            left -= len(line)
            if left < 0 or (not line.endswith(b"\n") and len(line) >= LONGEST_LINE):
                raise HostError(
                    f"{self.address.name} sends more than an answer can be. Nothing of it was used."
                )
            if not line.startswith(self._mark + b" "):
                if not self.has_shell and len(self.noise) < 4000:
                    self.noise += line
                continue
            self.has_shell = True
            if line.endswith(b"\n"):  # else it was cut off
                yield line[len(self._mark) + 1 : -1].decode("utf-8", "replace")

    def rest(self, path: Path) -> None:
        """Write the rest of the answer to a file.

        Raises
        ------
        HostError
            It is too large.
        """
        left = MOST_BYTES
        with open(path, "wb") as file:
            while block := self._stdout.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise HostError(
                        f"The files of {self.address} have more than {MOST_BYTES // 10**9} GB. Select fewer tasks, for "
                        f"example exp3:17/3, or install neurofit on {self.address.name}, which sends only the answer."
                    )
                file.write(block)

    def complaints(self) -> list[str]:
        """The last lines that `ssh` and the programs there wrote to stderr."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 20_000))
        text = printable(self._errors.read().decode("utf-8", "replace").replace("\r", ""))
        return [line.strip() for line in text.splitlines() if line.strip()]

    def finish(self) -> None:
        """Wait for the end, and check that the whole answer came.

        Raises
        ------
        HostError
            The connection could not be made or was lost, or the other host does not run a shell.
        """
        status = self._process.wait()
        if status == 0 and self.has_shell:
            return
        raise HostError(self._explained(status))

    def _explained(self, status: int) -> str:
        name, complaints = self.address.name, self.complaints()
        if status < 0:
            return f"ssh was ended by signal {-status} before {name} had answered. Nothing was shown."
        if status == _LOST:
            return _of_ssh(self.address, complaints, lost=self.has_shell)
        heard = self.noise.decode("utf-8", "replace").strip().splitlines() or complaints
        said = f": '{cut(printable(heard[-1]), 200, 40)}'" if heard else ""
        if not self.has_shell:
            return (
                f"{name} did not run a POSIX shell (status {status}){said}. neurofit needs an account whose login "
                f"shell can run `sh`, tar and find. Try `{_by_hand(self.address)} 'exec sh -c id'`."
            )
        return (
            f"The shell on {name} ended with status {status} before it had answered{said}. Nothing was shown."
        )


def _by_hand(address: Address) -> str:
    return shlex.join(["ssh", address.host])


def _of_ssh(address: Address, complaints: list[str], *, lost: bool) -> str:
    """What ssh's own messages mean, and what to do."""
    name, by_hand = address.name, _by_hand(address)
    text = "\n".join(complaints)
    last = f" ssh: '{cut(complaints[-1], 200, 60)}'." if complaints else ""
    if lost:
        return f"The connection to {name} was lost before the answer was complete.{last} Repeat the command."
    if "Host key verification failed" in text or "host key is known" in text:
        if "IDENTIFICATION HAS CHANGED" in text:
            return (
                f"The key of {name} is not the one in your known_hosts: the host was installed again, or somebody is "
                f"between you and it. Ask its administrators, then remove the old key: ssh-keygen -R {name}"
            )
        return (
            f"The key of {name} is not in your known_hosts, so ssh did not connect. Log in once by hand and compare "
            f"the fingerprint with the one that the administrators publish: {by_hand}"
        )
    if "Permission denied" in text or "Too many authentication failures" in text:
        return (
            f"{name} did not accept a key, and neurofit never asks for a password or a code.{last} Copy your key there "
            f"(ssh-copy-id {shlex.quote(address.host)}), and load it if it has a passphrase (ssh-add). If the host "
            f"wants a password or a code each time, log in with `ssh -M -S ~/.ssh/%r@%h-%p …` or set ControlMaster "
            "auto, ControlPath ~/.ssh/%r@%h-%p and ControlPersist 8h for it in ~/.ssh/config: then one login serves "
            "all commands."
        )
    if "Could not resolve hostname" in text:
        return (
            f"There is no host {name}, or this machine has no network.{last} Hosts of your own stand in "
            "~/.ssh/config."
        )
    if "Connection refused" in text:
        return (
            f"{name} refused the connection: no SSH server listens there.{last} Check the host and the port, with "
            f"`{by_hand}`."
        )
    if any(part in text for part in ("timed out", "timeout", "No route to host", "Network is unreachable")):
        return (
            f"{name} did not answer within {CONNECT_SECONDS} s.{last} Is it switched on, and are you in its network (a "
            f"VPN)? A host behind another one needs ProxyJump in ~/.ssh/config. Try `{by_hand}`."
        )
    return f"ssh could not connect to {name}.{last} Try `{by_hand}`, which shows why."


@contextlib.contextmanager
def opened(address: Address, mark: str, program: str) -> Iterator[Connection]:
    """A connection that runs the program there, and ends with the block (see `ending_on_signals`).

    Raises
    ------
    HostError
        There is no `ssh`.
    """
    if shutil.which("ssh") is None:
        raise HostError(
            "The program 'ssh' was not found on this machine. Install OpenSSH's client (Debian, Ubuntu: apt-get "
            "install openssh-client)."
        )
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words(address), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=1 << 16
        )
        try:
            threading.Thread(target=_feed, args=(process, program.encode("utf-8", "surrogateescape"))).start()
            yield Connection(address, mark, process, errors)
        finally:
            _end(process)


def _feed(process: subprocess.Popen[bytes], program: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # its end explains why
        process.stdin.write(program)
    with contextlib.suppress(OSError):
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.stdout is not None
    process.stdout.close()


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception, so that ssh ends and copies are removed with this process."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    default = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    before = {number: signal.signal(number, end) for number in default}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def json_of(line: str) -> dict[str, Any] | None:
    """The JSON object of a line, or None."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
