"""An SSH server on loopback with an account of its own, and programs that stand for `ssh`."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from neurofit.cli.application import group, run

USER = f"nf-test-{os.getpid()}"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
REPOSITORY = Path(__file__).resolve().parents[2]


def without_server(reason: str) -> None:
    """Leave the test out, or fail it in continuous integration, which must have a server."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; scripts/sshd installs it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def tree():
    return _tree


def _tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in a folder: times, permissions and content."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_mode, content)
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Server:
    """An sshd, and the home folder of the account that it lets in."""

    folder: Path
    home: Path
    account: pwd.struct_passwd
    programs: Path  # with the `ssh` that knows the server

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def connections(self) -> int:
        return self.log.count("Connection from ")

    def path(self, folder: str) -> str:
        """A folder in the home folder, which the account of these tests itself has elsewhere."""
        return str(self.home / folder) if self.account.pw_uid == os.geteuid() else folder

    def give(self, path: Path) -> None:
        """Make the account the owner of a folder and what is in it."""
        for one in [path, *path.rglob("*")]:
            os.chown(one, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)

    def there(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command that the account runs in its home folder."""
        words = [str(self.programs / "ssh"), "box", f"cd {self.home} && {command}"]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def _account(home: Path) -> Iterator[pwd.struct_passwd]:
    """Another user with this home folder, if this one is root; otherwise this user."""
    if os.geteuid() != 0 or shutil.which("useradd") is None:
        yield pwd.getpwuid(os.geteuid())
        return
    words = [
        "useradd",
        "--no-create-home",
        "--home-dir",
        str(home),
        "--shell",
        "/bin/sh",
        "--password",
        "*",
        USER,
    ]
    subprocess.run(words, check=True, capture_output=True)
    try:
        yield pwd.getpwnam(USER)
    finally:
        _remove(pwd.getpwnam(USER))


def _remove(account: pwd.struct_passwd) -> None:
    """Remove the account, after its processes: those that wait on the other side of a connection that has ended."""
    deadline = time.monotonic() + 20
    while subprocess.run(["userdel", account.pw_name], capture_output=True).returncode:
        if time.monotonic() > deadline:
            pytest.fail(f"the user {account.pw_name} could not be removed", pytrace=False)
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == account.pw_uid:
                    os.kill(int(folder.name), signal.SIGKILL)
        time.sleep(0.1)


def _key(path: Path) -> Path:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def sshd(processes, tmp_path_factory) -> Iterator[Server]:
    if SSHD is None or shutil.which("ssh") is None:
        without_server("sshd or ssh not found")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nf-sshd-")))
        folder.chmod(0o755)
        home, programs = folder / "home", folder / "programs"
        home.mkdir()
        programs.mkdir()
        account = stack.enter_context(_account(home))
        opening = _opening(folder) if account.pw_uid != os.geteuid() else []
        if not _can_import(account, opening):  # so that only this user can
            account, opening = pwd.getpwuid(os.geteuid()), []
        host, other, mine, stranger = (_key(folder / name) for name in ("host", "other", "mine", "stranger"))
        (folder / "authorized").write_text(mine.with_suffix(".pub").read_text())
        (folder / "banner").write_text("Welcome. {not json}\n")
        port = free_port()
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication yes\nLogLevel VERBOSE\n"
            f"Banner {folder}/banner\nSetEnv HOME={home}\n"
        )
        known = host.with_suffix(".pub").read_text().split()[:2]
        wrong = other.with_suffix(".pub").read_text().split()[:2]
        (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
        (folder / "changed").write_text(f"[127.0.0.1]:{port} {' '.join(wrong)}\n")
        (folder / "empty").write_text("")
        lines = []
        for name, key, hosts, at in (
            ("box", mine, "known", port),
            ("nokey", stranger, "known", port),
            ("strange", mine, "empty", port),
            ("changed", mine, "changed", port),
            ("closed", mine, "known", free_port()),
        ):
            lines.append(
                f"Host {name}\n HostName 127.0.0.1\n Port {at}\n User {account.pw_name}\n IdentityFile {key}\n"
                f" IdentitiesOnly yes\n UserKnownHostsFile {folder}/{hosts}\n GlobalKnownHostsFile /dev/null\n"
            )
        (folder / "ssh_config").write_text("".join(lines))
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        (programs / "ssh").chmod(0o755)
        stack.enter_context(_serving(folder, port, opening))
        yield Server(folder, home, account, programs)


def _opening(folder: Path) -> list[str]:
    """The beginning of a command, in which everybody can enter the folders of this Python and of this repository.

    Where one of them lies in a folder of this user alone, such as /root, the command gets mounts of its own.
    """
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), REPOSITORY}
    mounts = []
    for closed in {above for one in needed for above in one.parents if not above.stat().st_mode & 0o001}:
        inside = [str(one) for one in needed if closed in one.parents]
        kept = folder / f"mounted-{len(mounts)}"
        kept.mkdir()
        mounts += [f"mount --rbind {shlex.quote(str(closed))} {kept}"]
        mounts += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(closed))}"]
        for one in inside:
            within = shlex.quote(str(Path(one).relative_to(closed)))
            mounts += [f"mkdir -p {shlex.quote(one)} && mount --bind {kept}/{within} {shlex.quote(one)}"]
    if not mounts:
        return []
    script = " && ".join([*mounts, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def _can_import(account: pwd.struct_passwd, opening: list[str]) -> bool:
    if account.pw_uid == os.geteuid():
        return True
    user = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    words = [*opening, "setpriv", *user, sys.executable, "-c", "import neurofit.cli, msgspec"]
    try:
        return subprocess.run(words, capture_output=True, cwd="/").returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def _serving(folder: Path, port: int, opening: list[str]) -> Iterator[None]:
    separation = Path("/run/sshd")
    is_ours = os.geteuid() == 0 and not separation.exists()
    if is_ours:
        separation.mkdir(mode=0o755)
    with open(folder / "sshd.log", "wb") as log:
        server = subprocess.Popen(
            [*opening, SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"sshd did not start:\n{(folder / 'sshd.log').read_text()}", pytrace=False)
                time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(10)
        if is_ours:
            with contextlib.suppress(OSError):
                separation.rmdir()


@pytest.fixture
def neurofit(sshd, capfd, monkeypatch):
    """Runs `neurofit WORDS --host HOST:FOLDER` here; gives its exit code, stdout and stderr."""
    monkeypatch.setenv("PATH", f"{sshd.programs}:{os.environ['PATH']}")
    monkeypatch.delenv("COLUMNS", raising=False)  # of a worker of the tests

    def command(*words: str, host: str = "box", folder: str = "study") -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(group, "neurofit", [*words, "--host", f"{host}:{sshd.path(folder)}"])
        return code, *capfd.readouterr()

    return command
