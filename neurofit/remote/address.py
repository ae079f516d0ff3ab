"""`user@cluster:study`: a host as `ssh` knows it, and the folder of a study there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurofit.errors import UsageError
from neurofit.text import one_line

# ssh puts both into commands of the user's configuration (ProxyCommand), which a shell runs
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+@=~-]*")
_EXPECTED = "Expected USER@HOST:FOLDER or HOST:FOLDER, for example anna@cluster:studies/v1."


@dataclass(frozen=True)
class Address:
    """A study on another host.

    Parameters
    ----------
    host : str
        What `ssh` gets, with the user if there is one.
    folder : str
        An absolute path, or one that starts with `./` (from the home folder there) or `~/`.
    text : str
        As the user gave it.
    """

    host: str
    folder: str
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        """The host without the user."""
        return self.host.rpartition("@")[2]


def parse(text: str) -> Address:
    """The address of a study.

    Raises
    ------
    UsageError
        There is no host or no folder, the host could be taken for an option of `ssh`, or either has characters that
        no such name has.
    """
    shown = f"--host '{one_line(text, 80)}'"
    if any(character in text for character in "\0\r\n"):
        raise UsageError(
            f"{shown}: a line break or a NUL cannot be part of a host or of a folder. {_EXPECTED}"
        )
    match = re.match(r"(?:(?P<user>[^:\[\]]*)@)?(?P<host>\[[^\]]*\]|[^:\[\]@]*):(?P<folder>.*)", text)
    if match is None:
        raise UsageError(f"{shown}: there is no ':' between a host and a folder. {_EXPECTED}")
    user, host, folder = match["user"], match["host"], match["folder"]
    if text.startswith("-") or host.startswith("-"):
        raise UsageError(f"{shown}: a host cannot start with '-'. {_EXPECTED}")
    if not host:
        raise UsageError(f"{shown}: the host is missing. {_EXPECTED}")
    if not _HOST.fullmatch(host):
        raise UsageError(
            f"{shown}: '{one_line(host)}' is not the name of a host. Names have letters, digits, '.', '-' and '_'; "
            "an IPv6 address stands in brackets. For anything else, name the host in ~/.ssh/config."
        )
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(
            f"{shown}: '{one_line(user)}' is not the name of a user. For a name with other characters than letters, "
            "digits and . _ + @ = ~ -, write `User` in ~/.ssh/config and leave it out here."
        )
    if not folder.strip():
        raise UsageError(f"{shown}: the folder of the study is missing after ':'. {_EXPECTED}")
    if folder.startswith("~") and folder != "~" and not folder.startswith("~/"):
        raise UsageError(
            f"{shown}: the home folder of another user cannot be looked up; give the whole path. {_EXPECTED}"
        )
    if not folder.startswith(("/", "~")):
        folder = f"./{folder}"
    host = host.strip("[]")
    return Address(f"{user}@{host}" if user is not None else host, folder, text)
