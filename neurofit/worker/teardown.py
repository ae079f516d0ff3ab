"""The end of a task's process, before its outcome is written: what an interpreter does when it exits.

A task's process is forked and ends with `os._exit`. The interpreter's own exit would also run what belongs to the
parent (exit handlers, buffers, temporary folders), and would take longer than a short task. So this module ends what
was started after the fork, in order: it joins threads, runs exit handlers, and flushes and closes files.
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

END_SECONDS = 60.0  # for all steps
END_SECONDS_STOPPED = 10.0  # for a task that was asked to stop, and is killed after 30 s
STEP_SECONDS = 5.0  # for each step that is left after that
SPARE_DESCRIPTORS = 16  # kept for the end: a fit cannot use them up
CUT_SIGNALS = (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_ANY_STREAM: type = io.IOBase.__base__ or io.IOBase  # not the abstract class, whose checks are slow
_STREAMS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_PLAIN = (*_STREAMS, io.BufferedReader, io.BufferedRWPair, io.FileIO, io.StringIO, io.BytesIO)

try:
    _flush_c: Any = ctypes.CDLL(None).fflush  # loaded before any fork
except (OSError, AttributeError):
    _flush_c = None


_finalizers: Any = weakref.finalize  # its registry has no public name


@dataclass
class Ended:
    """Problems at the end of a task's process."""

    problems: list[str]
    lost: tuple[str, OSError] | None = None  # the file that could not be written, and why


class _Cut(BaseException):
    """Interrupts a step: its time is over, or this process was asked to stop."""


_inherited: list[weakref.ref[io.IOBase]] = []  # files that were open when the first task was forked


def remember_open_files() -> None:
    """Remember which files are open; called when the script is loaded and the fit has prepared."""
    _inherited[:] = [weakref.ref(item) for item in gc.get_objects() if type(item) in _STREAMS]


def flush_before_fork() -> None:
    """Flush all files, so that the forked process does not write their buffers a second time."""
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
    """Ends what a task's process has started. Made at the beginning of the process, to know what was there before.

    Parameters
    ----------
    modules : iterable of module
        Modules of the study, whose global variables are released at the end.
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._process = os.getpid()
        atexit._clear()
        gc.freeze()  # from here on, the collector sees only objects of this process
        for known in _finalizers._registry.values():
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
        """Make the spare descriptors available, however many the fit has left open."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < self._descriptors <= hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, hard))

    def finish(self, *, stopped: bool) -> Ended:
        """End what this process has started. Raises nothing."""
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
            ("objects of global variables were not released within {seconds:g} s", self._release_globals),
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
            self._report(f"The end of the task was interrupted: {words}{threads and f' ({threads})'}.")
        except BaseException as error:
            self._report_error(error)

    def _report(self, problem: str) -> None:
        self._problems.append(problem)
        with contextlib.suppress(Exception):
            print(f"neurofit: {problem}", file=sys.stderr, flush=True)

    def _report_error(self, error: BaseException) -> None:
        with contextlib.suppress(Exception):
            traceback.print_exception(type(error), error, error.__traceback__)
        self._report(f"The end of the task raised {described(error)}.")

    def _note_unraisable(self, unraisable: Any) -> None:
        error = unraisable.exc_value
        if not isinstance(error, _Cut) and error is not None:
            self._report_error(error)

    @staticmethod
    def _cut(number: int, frame: object) -> None:
        raise _Cut

    def _end_processes(self) -> None:
        """Do what `multiprocessing` does when an interpreter exits, if its handler was the parent's."""
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
            ):  # such as gzip, which writes its end when it is closed
                self._closing(wrapper, wrapper.close)
        if _flush_c is not None:
            _flush_c(None)

    def _release_globals(self) -> None:
        for now, before in self._globals:
            for name, value in list(now.items()):
                if before.get(name) is not value and not name.startswith("__"):
                    now[name] = None
        gc.collect(
            2 if gc.get_objects(generation=2) else 1
        )  # a full collection takes as long as a short task

    def _close_files(self) -> None:
        """Close files that are still referenced by objects from before the fork."""
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
            if error.errno in (errno.EBADF, errno.EPIPE):  # the descriptor or the reader is gone
                self._report(f"At the end of the task, {name} could not be written: {described(error)}.")
            elif self._lost is None:
                self._lost = (f"{name}" if name is not None else f"a {type(item).__name__}", error)


def _threads() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.daemon
    ]


def _join_threads() -> None:
    if threading.active_count() == 1:
        return
    for call in reversed(
        getattr(threading, "_threading_atexits", ())
    ):  # executors ask their threads to end here
        call()
    while _threads():  # a thread may start another one
        for thread in _threads():
            thread.join()


def _finalize() -> None:
    if any(known.atexit for known in _finalizers._registry.values()):
        _finalizers._exitfunc()


def _own_objects() -> list[Any]:
    """Objects that the collector knows and that were made since the fork."""
    return gc.get_objects()


def _own(kinds: tuple[type, ...]) -> list[Any]:
    return [item for item in _own_objects() if issubclass(type(item), kinds) and not _is_closed(item)]


def _is_closed(stream: Any) -> bool:
    try:
        return bool(stream.closed)
    except (ValueError, AttributeError):  # detached, or never opened
        return True


def _is_writable(stream: Any) -> bool:
    try:
        return bool(stream.writable())
    except (ValueError, AttributeError):
        return False


def _hdf5_files() -> dict[int, Any]:
    """HDF5 files that are open in this process, by their number in the library."""
    h5f = getattr(sys.modules.get("h5py"), "h5f", None)
    return {file.id: file for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE)} if h5f else {}
