"""Lines that TensorFlow writes when it starts, whatever its settings: about drivers, processors and plugins.

They stand at the end of a log whose task failed early, and tell nothing about the task. Only lines that are known
are left out: information from its C++ code, warnings and errors about what a machine without a GPU lacks, and about
programs that it loads instead of compiling them, which are whole and of this processor (`neurofit.job_cache`).
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
# It takes each program for text first. And it takes what is faster on a processor for something that the processor
# lacks, until openxla/xla issue 44565 is solved.
_LOADED = (
    rb"Error parsing text-format tensorflow\.XlaSerializedCacheEntry|"
    rb"Loading XLA:CPU AOT result\. Target machine feature \+(?:prefer|fast)-"
)
_LOADING = re.compile(rb"%s (?:%s)" % (_WRITER, _LOADED))
_KNOWN = re.compile(
    rb"(?=%s)%s|%s.*(?:%s)|"
    % (_INFORMATION, _WRITER, _WRITER, _ABSENT + b"|" + _LOADED)
    + rb"WARNING: All log messages before absl::InitializeLog\(\) is called|"
    rb"To enable the following instructions: .*rebuild TensorFlow|"
    rb"Skipping registering GPU devices\.\.\."
)


def is_startup(line: bytes | str) -> bool:
    """Whether a line is one that TensorFlow writes when it starts."""
    data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    return _KNOWN.match(data) is not None


def without_loading(data: bytes) -> bytes:
    """The lines that are not about programs that TensorFlow loads instead of compiling them."""
    if b"XLA" not in data and b"Xla" not in data:
        return data
    return b"".join(line for line in data.splitlines(keepends=True) if not _LOADING.match(line))


def without_startup(data: bytes) -> tuple[bytes, int]:
    """The lines that are not about TensorFlow's start, as they are, and the number of the others."""
    lines = data.splitlines(keepends=True)
    kept = [line for line in lines if not is_startup(line)]
    return b"".join(kept), len(lines) - len(kept)
