"""The end of a task is the end of an ordinary interpreter: nothing that it had open or registered is lost."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

KEPT = {
    "a global": "global kept; kept = open(path, 'w'); kept.write(line)",
    "a cycle": "file = open(path, 'w'); file.write(line); ring = [file]; ring.append(ring)",
    "a list of the script": "file = open(path, 'w'); file.write(line); LIST.append(file)",
    "the fit itself": "fit.file = open(path, 'w'); fit.file.write(line)",
    "atexit": "import atexit; atexit.register(lambda: open(path, 'w').write(line))",
    "a thread": """import threading
    def later():
        time.sleep(0.3)
        open(path, 'w').write(line)
    threading.Thread(target=later).start()""",
    "an executor": """import concurrent.futures
    def later():
        time.sleep(0.3)
        open(path, 'w').write(line)
    concurrent.futures.ThreadPoolExecutor(2).submit(later)""",
    "logging": """import logging, logging.handlers
    memory = logging.handlers.MemoryHandler(1000, target=logging.FileHandler(path))
    logging.getLogger("its").addHandler(memory)
    logging.getLogger("its").error(line.strip())""",
    "a finalizer": """import weakref
    class It: pass
    global it; it = It()
    weakref.finalize(it, lambda: open(path, 'w').write(line))""",
    "__del__": """
    class It:
        def __del__(self, open=open):
            with open(path, 'w') as file: file.write(line)
    global it; it = It()""",
    "a process": """import multiprocessing
    multiprocessing.get_context("fork").Process(target=late, args=(path, line)).start()""",
    "C": """import ctypes
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    libc.fputs(line.encode(), libc.fopen(str(path).encode(), b"w"))""",
    "a file opened by the script": "HEAD.write(line); path.symlink_to(HEAD.name)",
}
OTHERS = {
    "archives": """import gzip, zipfile
    fit.gz = gzip.open(path.with_suffix(".gz"), "wt"); fit.gz.write(line)
    fit.zip = zipfile.ZipFile(path.with_suffix(".zip"), "w"); fit.zip.writestr("a", line)""",
    "hdf5 in a global": "import h5py; global kept; kept = h5py.File(path, 'w'); kept['a'] = "
    "list(range(1000))",
    "hdf5 in the fit": "import h5py; fit.file = h5py.File(path, 'w'); fit.file['a'] = list(range(1000))",
    "endless thread": """
    from neurofit.worker import teardown
    teardown.END_SECONDS = 0.5
    import threading
    threading.Thread(target=time.sleep, args=(60,), name="uploader").start()""",
    "bad handler": "import atexit; atexit.register(lambda: 1 / 0)",
    "full disk": "global kept; kept = open('/dev/full', 'w'); kept.write(line)",
    "late thread": """import threading
    def later():
        time.sleep(0.3)
        task.log(1, loss=2.0)
        task.record(late=True)
    threading.Thread(target=later).start()""",
    "descriptors": """
    try:
        while True: LIST.append(open("/dev/null"))
    except OSError: pass""",
    "descriptors, raised": """
    while True: LIST.append(open("/dev/null"))""",
    "descriptors, limit": """import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    try:
        while True: LIST.append(open("/dev/null"))
    except OSError: pass""",
    "descriptors, limit, raised": """import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    while True: LIST.append(open("/dev/null"))""",
}
SCRIPT = """
import multiprocessing.util, os, tempfile, time, weakref, logging, concurrent.futures.thread, atexit
import neurofit as nf
LIST = []
HEAD = tempfile.NamedTemporaryFile("w", delete=False, dir=".")
line = "x" * 100 + "\\n"
def late(path, line):
    time.sleep(0.3)
    open(path, "w").write(line)
def fit(task, *, kind="a global"):
    path = task.folder / "file"
    globals()["KINDS"][kind](task, path)
    return {"x": 1}
"""
TEXT = "x" * 100 + "\n"


def script_of(kinds: dict[str, str]) -> str:
    """A script whose fit does one of these, by the value of `kind`."""
    functions = [f"def f{number}(task, path):\n    {body}\n" for number, body in enumerate(kinds.values())]
    table = ", ".join(f"{name!r}: f{number}" for number, name in enumerate(kinds))
    end = f"KINDS = {{{table}}}\nexperiment = nf.Experiment(fit, grid=nf.grid(kind=list(KINDS)))\n"
    return SCRIPT + "".join(functions) + end


@pytest.fixture(scope="module")
def ends(make_bench, tmp_path_factory, processes) -> dict[str, tuple[dict, Path]]:
    """Kind → the outcome of its task, and its folder. They are done one after the other by one pool."""
    bench = make_bench(tmp_path_factory.mktemp("ends") / "study")
    (bench.study.jobs / "ends.py").write_text(script_of(KEPT | OTHERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(bench.root / "cache"))
        patch.chdir(bench.root)  # where the script opens a file as it loads
        bench.submit("ends")
        bench.wait("ends")
        records = bench.outcomes("ends")
    return {r["params"]["kind"]: (r, bench.study.training_data / "ends" / r["log"]) for r in records}


@pytest.mark.parametrize("kept", KEPT)
def test_what_a_fit_leaves_open_or_registered_is_written_before_the_outcome(ends, kept):
    record, files = ends[kept]
    assert record["state"] == "done"
    assert (files / "file").read_text() == TEXT
    assert (files / "file").stat().st_mtime <= (files / "outcome.json").stat().st_mtime
    assert "warnings" not in record["facts"]


def test_the_same_in_the_foreground(bench):
    (bench.study.jobs / "one.py").write_text(script_of({"a global": KEPT["a global"]}))
    assert bench.command("run", "one").returncode == 0
    (file,) = bench.study.training_data.glob("one/runs/*/*/*/file")
    assert file.read_text() == TEXT


def test_archives_and_compressed_files_are_whole(ends):
    _, files = ends["archives"]
    assert gzip.decompress((files / "file.gz").read_bytes()) == TEXT.encode()
    assert zipfile.ZipFile(files / "file.zip").read("a") == TEXT.encode()


@pytest.mark.parametrize("where", ["hdf5 in a global", "hdf5 in the fit"])
def test_open_hdf5_files_are_closed(ends, where):
    h5py = pytest.importorskip("h5py")
    with h5py.File(ends[where][1] / "file") as file:
        assert file["a"][-1] == 999


def test_what_belongs_to_the_process_that_tasks_are_forked_from_is_left_to_it(bench, tmp_path):
    bench.script(
        "parent",
        f"""
        import atexit, os, pathlib, tempfile, weakref
        command = os.getpid()
        def note(word):
            with open({str(tmp_path / "note")!r}, "a") as file:
                file.write(word + " ")
        atexit.register(note, "atexit")
        class It: pass
        it = It()
        weakref.finalize(it, note, "finalize")
        folder = tempfile.TemporaryDirectory()
        head = open({str(tmp_path)!r} + f"/head-{{command}}", "w")
        head.write("head ")
        def fit(task):
            assert pathlib.Path(folder.name).is_dir()
            head.write(f"{{task.repetition}} ")
            return {{"pid": os.getpid()}}
        experiment = nf.Experiment(fit, repetitions=3)
        """,
    )
    assert bench.command("submit", "parent", "--yes", "--workers", "1").returncode == 0
    assert bench.counts("parent") == {"done": 3}
    children = {str(record["metrics"]["pid"]) for record in bench.outcomes("parent")}
    assert len(children) == 3 and not children & set((tmp_path / "note").read_text().split())
    written = sorted(path.read_text() for path in tmp_path.glob("head-*"))
    assert written == ["head ", "head 0 1 2 "]


def test_an_end_that_takes_too_long_is_cut_off_and_reported(ends):
    record, _ = ends["endless thread"]
    (warning,) = record["facts"]["warnings"]
    assert record["state"] == "done" and "thread 'uploader'" in warning and "0.5 s" in warning


def test_an_exit_handler_that_raises_is_reported(ends):
    record, files = ends["bad handler"]
    assert record["state"] == "done"
    assert "ZeroDivisionError: division by zero" in record["facts"]["warnings"][0]
    assert "ZeroDivisionError" in (files / "stderr.log").read_text()


def test_a_file_that_cannot_be_written_at_the_end_fails_the_task(ends):
    record, _ = ends["full disk"]
    error = record["error"]
    assert record["state"] == "failed" and error["type"] == "OSError"
    assert "/dev/full" in error["message"] and "No space left" in error["message"]


@pytest.mark.parametrize("limit", ["", ", limit"])
def test_a_fit_that_used_up_its_descriptors_gets_its_outcome_written(ends, limit):
    record, _ = ends[f"descriptors{limit}"]
    assert (record["state"], record["attempt"]) == ("done", 1)
    failed, _ = ends[f"descriptors{limit}, raised"]
    assert failed["state"] == "failed" and "Too many open files" in failed["error"]["message"]
    assert limit or failed["error"]["frames"][-1]["code"].startswith(
        "while True"
    )  # its source could still be read


def test_a_thread_may_still_log_after_the_fit_has_returned(ends):
    record, files = ends["late thread"]
    assert record["facts"] == {"late": True} and record["progress"] == 1
    assert (files / "history.csv").read_text() == "step,loss\n1,2.0\n"
    assert json.loads((files / "outcome.json").read_text())["wall_seconds"] >= 0.3
