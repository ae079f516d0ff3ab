"""Lines that TensorFlow writes when it starts, whatever its settings: about drivers, processors and plugins.

They stand at the end of a log whose task failed early, and tell nothing about the task. Only lines that are known
are left out: information from its C++ code, and warnings and errors about what a machine without a GPU lacks.
Memory that ran out, or a kernel that failed, stays.
"""

from __future__ import annotations

import re

_WRITER = rb"(?:[IWEF]\d{4} [\d:.]+\s+\d+ |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] )[\w./+-]+\.(?:cc|cu|h):\d+\]"
_INFORMATION = rb"(?:I\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I )"
_ABSENT = b"|".join(
    [
        rb"Unable to register cu\w+ factory",
        rb"failed call to cuInit",
        rb"Could not find (?:cuda drivers|TensorRT)",
        rb"could not open file to read NUMA node",
        rb"Could not load dynamic library",
        rb"Cannot dlopen some GPU libraries",
        rb"Skipping registering GPU devices",
        rb"kernel driver does not appear to be running",
        rb"computation placer already registered",
        rb"TF-TRT Warning",
    ]
)
_KNOWN = re.compile(
    rb"(?=%s)%s|%s.*(?:%s)|"
    % (_INFORMATION, _WRITER, _WRITER, _ABSENT)
    + rb"WARNING: All log messages before absl::InitializeLog\(\) is called|"
    rb"To enable the following instructions: .*rebuild TensorFlow|"
    rb"Skipping registering GPU devices\.\.\."
)


def is_startup(line: bytes | str) -> bool:
    """Whether a line is one that TensorFlow writes when it starts."""
    data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    return _KNOWN.match(data) is not None


def without_startup(data: bytes) -> tuple[bytes, int]:
    """The lines that are not about TensorFlow's start, as they are, and the number of the others."""
    lines = data.splitlines(keepends=True)
    kept = [line for line in lines if not is_startup(line)]
    return b"".join(kept), len(lines) - len(kept)
