"""Commands that messages suggest, as a shell takes them: every one of them can be copied and run."""

from __future__ import annotations

import shlex
from typing import Any


def command(verb: str, *words: Any, **options: Any) -> str:
    """`neurofit submit 'exp3:1 7' --where 'lr < 1e-3' --retry`, quoted where a shell needs that.

    Parameters
    ----------
    options : by their names, `where="lr < 1e-3"`; True gives a flag, None or False nothing, a list the option
    once for
        each of its items
    """
    texts = [str(word) for word in words]
    if any(text.startswith("-") for text in texts):
        return shlex.join(["neurofit", *verb.split(), *_options(options), "--", *texts])
    return shlex.join(["neurofit", *verb.split(), *texts, *_options(options)])


def _options(options: dict[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                words.append(option)
            elif one is not None and one is not False:
                words += [option, f"{one:g}" if isinstance(one, float) else str(one)]
    return words
