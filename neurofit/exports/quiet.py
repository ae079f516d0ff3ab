"""Libraries of trackers, kept from the network and from the user's home while they write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_traces(prefix: str, settings: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Within this context, a library has these settings in place of the user's, and a home of its own.

    Parameters
    ----------
    prefix : str
        Of the environment variables that are the library's settings, such as "MLFLOW_"; the user's do not apply.
    settings : mapping of str to str
        Environment variables.
    folder : Path
        In which the home is; it is removed in the end.

    Yields
    ------
    Path
        The home.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix=".home-", dir=folder, ignore_cleanup_errors=True) as home:
        for name in [name for name in os.environ if name.startswith(prefix)]:
            del os.environ[name]
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), home)
        os.environ.update({**places, **settings})
        try:
            yield Path(home)
        finally:
            os.environ.clear()
            os.environ.update(before)
