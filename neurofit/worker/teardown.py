"""The end of a task's process, as an ordinary interpreter ends, before the outcome is written.

A task's process is forked and leaves by `os._exit`: the interpreter's own end would also run what belongs to
the process that it was forked from (exit handlers, buffers, temporary folders), and take longer than a short
task. What began after the fork ends in order: threads are joined, exit handlers run, files are flushed and
closed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import gc
import io
import os
import resource
import signal
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from neurofit.errors import described

END_SECONDS = 60.0  # for all of it
END_SECONDS_STOPPED = 10.0  # of a task that was asked to stop, and is ended 30 s later
STEP_SECONDS = 5.0  # for each step that is left when the time is over
SPARE_DESCRIPTORS = 16  # which a fit cannot use up
CUT_SIGNALS = (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_ANY_STREAM = io.IOBase.__base__  # not the abstract class, whose checks are slow
_STREAMS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_PLAIN = (*_STREAMS, io.BufferedReader, io.BufferedRWPair, io.FileIO, io.StringIO, io.BytesIO)

try:
    _flush_c = ctypes.CDLL(None).fflush  # loaded before any fork
except (OSError, AttributeError):
    _flush_c = None


@dataclass
class Ended:
    """What the end of a task's process came to."""

    problems: list[str]
    lost: tuple[str, OSError] | None = None  # the file that could not be written, and why


class _Cut(BaseException):
    """The time for the end is over, or this process was asked to stop meanwhile."""


_inherited: list[weakref.ref[io.IOBase]] = []  # files open when tasks began to be forked


def look_for_files() -> None:
    """Remember which files are open, once the script and what it prepares are loaded."""
    _inherited[:] = [weakref.ref(item) for item in gc.get_objects() if type(item) in _STREAMS]


def flush_before_fork() -> None:
    """Leave nothing in a buffer that the forked process would write a second time."""
    for stream in (sys.stdout, sys.stderr, *_still_open()):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if _flush_c is not None:
        _flush_c(None)


def _still_open() -> Iterator[io.IOBase]:
    for reference in _inherited:
        stream = reference()
        if stream is not None and not stream.closed:
            yield stream


class Teardown:
    """Made at the beginning of a task's process, so that it knows what is of that process alone.

    Parameters
    ----------
    modules : of the study, whose globals are let go of at the end
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._process = os.getpid()
        atexit._clear()
        gc.freeze()  # from here on, the collector sees only what this process makes
        for known in weakref.finalize._registry.values():
            known.atexit = False
        logging = sys.modules.get("logging")
        self._handlers = set(logging._handlerList) if logging else set()
        self._globals = [(vars(module), dict(vars(module))) for module in modules]
        self._pools_known = "multiprocessing.util" in sys.modules
        self._hdf5 = set(_hdf5_files())
        self._problems: list[str] = []
        self._lost: tuple[str, OSError] | None = None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._descriptors = soft
        if soft > 4 * SPARE_DESCRIPTORS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft - SPARE_DESCRIPTORS, hard))

    def give_descriptors_back(self) -> None:
        """Have some descriptors again, whatever the fit has left open."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < self._descriptors <= hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, hard))

    def finish(self, *, stopped: bool) -> Ended:
        """End what this process has begun. Never raises."""
        seconds = END_SECONDS_STOPPED if stopped else END_SECONDS
        hook, sys.unraisablehook = sys.unraisablehook, self._note_unraisable
        before = {number: signal.signal(number, self._cut) for number in CUT_SIGNALS}
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            for words, step in self._steps():
                self._do(words.format(seconds=seconds), step)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.unraisablehook = hook
        return Ended(self._problems, self._lost)

    def _steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("threads did not end within {seconds:g} s", _join_threads),
            ("exit handlers did not end within {seconds:g} s", atexit._run_exitfuncs),
            ("processes did not end within {seconds:g} s", self._end_processes),
            ("finalizers did not end within {seconds:g} s", _finalize),
            ("logging handlers did not end within {seconds:g} s", self._end_logging),
            ("files were not written within {seconds:g} s", self._write_files),
            ("what globals held did not end within {seconds:g} s", self._let_go),
            ("files were not closed within {seconds:g} s", self._close_files),
        ]

    def _do(self, words: str, step: Callable[[], None]) -> None:
        try:
            step()
        except _Cut:
            signal.setitimer(signal.ITIMER_REAL, STEP_SECONDS, 1.0)
            threads = (
                ", ".join(f"the thread '{thread.name}'" for thread in _threads())
                if step is _join_threads
                else ""
            )
            self._report(f"The task's end was cut off: {words}{threads and f' ({threads})'}.")
        except BaseException as error:
            self._report_error(error)

    def _report(self, problem: str) -> None:
        self._problems.append(problem)
        with contextlib.suppress(Exception):
            print(f"neurofit: {problem}", file=sys.stderr, flush=True)

    def _report_error(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):
            traceback.print_exception(type(error), error, error.__traceback__)
        self._report(f"The task's end raised {described(error)}.")

    def _note_unraisable(self, unraisable: Any) -> None:
        error = unraisable.exc_value
        if not isinstance(error, _Cut) and error is not None:
            self._report_error(error)

    @staticmethod
    def _cut(number: int, frame: object) -> None:
        raise _Cut

    def _end_processes(self) -> None:
        """What `multiprocessing` does at an interpreter's end, where its handler is of the process before the
        fork.
        """
        util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
        if self._pools_known and util and process:
            own = {child for child in process._children if child._parent_pid == self._process}
            process._children.intersection_update(own)
            util._exit_function()

    def _end_logging(self) -> None:
        logging = sys.modules.get("logging")
        if logging:
            logging.shutdown([handler for handler in logging._handlerList if handler not in self._handlers])

    def _write_files(self) -> None:
        for stream in _own(_STREAMS):
            self._closing(stream, stream.flush)
        for stream in _still_open():
            self._closing(stream, stream.flush)
        for wrapper in _own((_ANY_STREAM,)):
            if not isinstance(wrapper, _PLAIN) and _is_writable(
                wrapper
            ):  # gzip: its last words come with its closing
                self._closing(wrapper, wrapper.close)
        if _flush_c is not None:
            _flush_c(None)

    def _let_go(self) -> None:
        for now, before in self._globals:
            for name, value in list(now.items()):
                if before.get(name) is not value and not name.startswith("__"):
                    now[name] = None
        gc.collect(2 if gc.get_objects(generation=2) else 1)  # the full one takes as long as a short task

    def _close_files(self) -> None:
        """What is still held: by objects that were there before the fork."""
        for item in _own_objects():
            if isinstance(getattr(type(item), "__del__", None), types.FunctionType) and hasattr(
                item, "close"
            ):
                self._closing(item, item.close)
        for stream in _own(_STREAMS):
            self._closing(stream, stream.flush)
        for number, file in _hdf5_files().items():
            if number not in self._hdf5:
                sys.modules["h5py"].File(file).close()

    def _closing(self, item: Any, call: Callable[[], object]) -> None:
        if getattr(item, "closed", False) is True:
            return
        try:
            call()
        except ValueError:  # closed or detached meanwhile
            pass
        except OSError as error:
            name = getattr(item, "name", None)
            if error.errno in (errno.EBADF, errno.EPIPE):  # the descriptor, or whoever read, was gone before
                self._report(f"The task's end could not write {name}: {described(error)}.")
            elif self._lost is None:
                self._lost = (f"{name}" if name is not None else f"a {type(item).__name__}", error)


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]


def _join_threads() -> None:
    if threading.active_count() == 1:
        return
    for call in reversed(getattr(threading, "_threading_atexits", ())):  # executors tell their threads to end
        call()
    while _threads():  # one may start another
        for thread in _threads():
            thread.join()


def _finalize() -> None:
    if any(known.atexit for known in weakref.finalize._registry.values()):
        weakref.finalize._exitfunc()


def _own_objects() -> list[Any]:
    """What the collector knows of that was made since the fork."""
    return gc.get_objects()


def _own(kinds: tuple[type, ...]) -> list[Any]:
    return [item for item in _own_objects() if issubclass(type(item), kinds) and not _is_closed(item)]


def _is_closed(stream: Any) -> bool:
    try:
        return stream.closed
    except (ValueError, AttributeError):  # detached, or never opened
        return True


def _is_writable(stream: Any) -> bool:
    try:
        return stream.writable()
    except (ValueError, AttributeError):
        return False


def _hdf5_files() -> dict[int, Any]:
    """HDF5 files that are open in this process, by their number in the library."""
    h5f = getattr(sys.modules.get("h5py"), "h5f", None)
    return {file.id: file for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE)} if h5f else {}
