"""Environment variables and settings of Keras that change results: set before a task runs, and recorded.

Two users, or one user on two hosts, have different variables in their shells and a different
`~/.keras/keras.json`. Tasks must not depend on them. A process that runs tasks therefore sets the variables
below, and restarts if Python itself has read one of them (the seed of hashes, the encoding of text). What a
script sets in `os.environ` or by `keras.config` is part of its code and stays.
"""

from __future__ import annotations

import importlib.machinery
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

log = logging.getLogger(__name__)

VALUES: dict[str, str | None] = {  # None: unset
    "PYTHONHASHSEED": "0",  # decides the order of sets of strings
    "PYTHONUTF8": "1",  # the default encoding of files
    "PYTHONOPTIMIZE": None,  # would skip assertions
    "LC_ALL": None,  # would override the variables below
    "LC_NUMERIC": "C",
    "LC_COLLATE": "C",
    "LC_TIME": "C",
    "LC_MONETARY": "C",
    "KERAS_BACKEND": "tensorflow",
    "KERAS_MAX_EPOCHS": None,
    "KERAS_MAX_STEPS_PER_EPOCH": None,
    "KERAS_NNX_ENABLED": None,
    "TF_USE_LEGACY_KERAS": None,
    "TF_DETERMINISTIC_OPS": None,
    "TF_CUDNN_DETERMINISTIC": None,
    "TF_CUDNN_USE_AUTOTUNE": None,
    "TF_CUDNN_USE_FRONTEND": None,
    "TF_ENABLE_AUTO_MIXED_PRECISION": None,
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32": None,
    "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32": None,
    "TF_ENABLE_CUDNN_RNN_TENSOR_OP_MATH_FP32": None,
    "TF_ENABLE_WINOGRAD_NONFUSED": None,
    "TF_FP16_CONV_USE_FP32_COMPUTE": None,
    "TF_FP16_MATMUL_USE_FP32_COMPUTE": None,
    "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": None,
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": None,
    "TF_SET_ONEDNN_FPMATH_MODE": None,
    "TF_XLA_FLAGS": None,
    "ONEDNN_DEFAULT_FPMATH_MODE": None,
    "DNNL_DEFAULT_FPMATH_MODE": None,
    "ONEDNN_MAX_CPU_ISA": None,
    "DNNL_MAX_CPU_ISA": None,
    "NVIDIA_TF32_OVERRIDE": None,
    "CUBLAS_WORKSPACE_CONFIG": None,
    "NPY_PROMOTION_STATE": None,
    "NPY_DISABLE_CPU_FEATURES": None,
    "NPY_ENABLE_CPU_FEATURES": None,
    "NPY_RELAXED_STRIDES_CHECKING": None,
    "NUMPY_EXPERIMENTAL_ARRAY_FUNCTION": None,
    "SCIPY_ARRAY_API": None,
    "SCIPY_USE_PROPACK": None,
    "BLIS_ARCH_TYPE": None,
    "MKL_CBWR": None,
    "MKL_DYNAMIC": None,
    "MKL_ENABLE_INSTRUCTIONS": None,
    "MKL_DEBUG_CPU_TYPE": None,
    "MKL_NUM_STRIPES": None,
    "OMP_DYNAMIC": None,
    "OMP_SCHEDULE": None,
    "KMP_DETERMINISTIC_REDUCTION": None,
    "KMP_FORCE_REDUCTION": None,
}
# OPENBLAS_CORETYPE is recorded but not set, because sites need it if OpenBLAS is wrong on their processors.
DEFAULTS = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # kept if it is set; otherwise TensorFlow decides by the processor
WATCHED = (
    "BLIS_",
    "CUBLAS_",
    "CUDNN_",
    "DNNL_",
    "JAX_",
    "KERAS_",
    "KMP_",
    "LANG",
    "LC_",
    "MKL_",
    "NPY_",
    "NUMEXPR_",
    "NEUROFIT_GPU_MEMORY_GB",  # with less memory, libraries may choose other algorithms
    "NEUROFIT_TASKS_PER_GPU",
    "NUMPY_",
    "NVIDIA_TF32_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
    "PYTHONUTF8",
    "SCIPY_",
    "TF_",
    "TORCH_",
    "XLA_",
)
CHANGE_NO_NUMBER = (
    "TF_CPP_",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "OMP_DISPLAY",
    "KMP_AFFINITY",
    "LANGUAGE",
    "LC_MESSAGES",
)
OF_OTHERS = ("TF_CLI_", "TF_TOKEN_", "TF_VAR_")  # Terraform's, which may be secrets
NOT_ASKED = ("LANG", "LC_", *OF_OTHERS)
KERAS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
XLA_PLACES = "--xla_gpu_cuda_data_dir="  # the only XLA flag that is just a path

_STARTED_AGAIN = "NEUROFIT_STARTED_AGAIN"  # what was ignored before the restart, as JSON
_ignored: dict[str, Any] = {}


def settled(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The environment for tasks, and the variables that were ignored for it.

    Parameters
    ----------
    environment : mapping of str to str

    Returns
    -------
    wanted : dict of str to str
        The environment with every variable set that changes results.
    ignored : dict of str to str
        The variables of `environment` whose values do not count.
    """
    wanted = {name: value for name, value in {**environment, **VALUES}.items() if value is not None}
    if "LC_ALL" in environment:  # keep the language and the encoding of printed text
        wanted |= {"LC_CTYPE": environment["LC_ALL"], "LC_MESSAGES": environment["LC_ALL"]}
    if "XLA_FLAGS" in environment:
        wanted["XLA_FLAGS"] = " ".join(
            word for word in environment["XLA_FLAGS"].split() if word.startswith(XLA_PLACES)
        )
        if not wanted["XLA_FLAGS"]:
            del wanted["XLA_FLAGS"]
    for name, value in DEFAULTS.items():
        wanted.setdefault(name, value)
    ignored = {
        name: value
        for name, value in environment.items()
        if (name in VALUES or name == "XLA_FLAGS") and wanted.get(name) != value and value.strip()
    }
    return wanted, ignored


def as_recorded(environment: Mapping[str, str], recorded: Mapping[str, Any]) -> dict[str, str]:
    """An environment with the watched variables as an attempt has recorded them, and no others of these.

    Variables that every task has alike are left to `settled`, and so are those of the language of messages.
    """

    def is_asked(name: str) -> bool:
        other = name in VALUES or name == "XLA_FLAGS" or name.startswith((*CHANGE_NO_NUMBER, *NOT_ASKED))
        return name.startswith(WATCHED) and not other

    kept = {name: value for name, value in environment.items() if not is_asked(name)}
    given = {
        name: value
        for name, value in recorded.items()
        if is_asked(name) and isinstance(value, str) and "\0" not in value and "=" not in name
    }
    return {**kept, **given}


def enter(recorded: Mapping[str, Any] | None = None) -> None:
    """Set the environment of this program before it runs a task.

    The program restarts if necessary, because Python reads some variables only when it starts. It does not
    restart in a notebook or a debugger.

    Parameters
    ----------
    recorded : mapping of str to object, optional
        The variables that an attempt has recorded, to run its task again with them.
    """
    before = _at_start()
    wanted, ignored = settled(before if recorded is None else as_recorded(before, recorded))
    if wanted != before and _STARTED_AGAIN not in os.environ and _is_own_program(sys.orig_argv, sys.argv):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        words = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, words, {**wanted, _STARTED_AGAIN: json.dumps(ignored)})
    settle()


def settle() -> None:
    """Set the variables of this process that differ, and the settings of Keras, now or when it is imported."""
    before, known = _at_start(), set(_ignored)
    wanted, ignored = settled(before)
    for name in [*VALUES, *DEFAULTS, "XLA_FLAGS", "LC_CTYPE", "LC_MESSAGES"]:
        if (
            os.environ.get(name) == before.get(name) != wanted.get(name)
        ):  # otherwise the script has changed it
            _set(name, wanted.get(name))
            if name in ignored:
                _ignored[name] = ignored[name]
    _ignored.update(json.loads(os.environ.pop(_STARTED_AGAIN, "{}")))
    for name, value in _ignored.items():
        if name not in known and not name.startswith("LC_"):
            log.warning("%s=%s in the environment is ignored. %s", name, value, _how(name))
    settle_keras()
    _interpreter()  # cached before tasks are forked


def settle_keras() -> None:
    """Make Keras start from its defaults instead of `keras.json` when it is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        for name in _Finder.modules.intersection(sys.modules):
            _from_defaults(sys.modules[name], only=_keras_file())
        sys.meta_path.insert(0, _Finder())


def record() -> dict[str, Any]:
    """The variables and settings of this process that change results, and those that were ignored.

    Returns
    -------
    dict of str to object
        `variables`, and `ignored` and `keras` if there are any.
    """
    watched = [
        name
        for name in os.environ
        if name.startswith(WATCHED) and not name.startswith((*CHANGE_NO_NUMBER, *OF_OTHERS))
    ]
    variables = {name: os.environ[name] for name in watched if VALUES.get(name) != os.environ[name]}
    variables |= {
        name: value for name, value in _interpreter().items() if value is not None and value != VALUES[name]
    }
    found: dict[str, Any] = {"variables": variables}
    if _ignored:
        found["ignored"] = dict(_ignored)
    config = sys.modules.get("keras.src.backend.config")
    if config is not None:
        found["keras"] = {
            name: getattr(config, name)() for name in ("backend", *KERAS) if hasattr(config, name)
        }
    return found


@cache
def _interpreter() -> dict[str, str | None]:
    """What Python read when it started; a later change affects only programs that a task starts."""
    seed = _at_start().get("PYTHONHASHSEED") or "random"
    return {
        "PYTHONHASHSEED": seed if sys.flags.hash_randomization else "0",
        "PYTHONUTF8": str(sys.flags.utf8_mode),
        "PYTHONOPTIMIZE": str(sys.flags.optimize) if sys.flags.optimize else None,
    }


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _how(name: str) -> str:
    if name.startswith("PYTHON"):
        return "All tasks use the same value."
    return (
        f'To set it, write os.environ["{name}"] = … at the top of the script, so that it is part of the code.'
    )


def _at_start() -> dict[str, str]:
    """The environment with which this process started."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _is_own_program(original: Sequence[str], seen: Sequence[str]) -> bool:
    """Whether this program is the one that the interpreter was started with, not in a debugger or notebook."""
    if sys.gettrace() is not None or len(original) < len(seen):
        return False
    words = list(
        original[1 : len(original) - len(seen) + 1]
    )  # everything before the arguments of the program
    if original[len(original) - len(seen) + 1 :] != list(seen[1:]) or not words:
        return False
    *options, program = words
    if options[-1:] == ["-m"] and program.partition(".")[0] == "neurofit":
        return _are_flags(options[:-1])
    return program == seen[0] and _are_flags(options)


def _are_flags(words: Sequence[str]) -> bool:
    """Whether these are only options of Python; not `-c`, `-m` (programs), `-E`, `-I` (no environment)."""
    value = False
    for word in words:
        if value:
            value = False
        elif word in ("-W", "-X"):
            value = True
        elif (
            not word.startswith("-")
            or word.startswith("--")
            or any(letter in _letters(word) for letter in "cmEI")
        ):
            return False
    return not value


def _letters(word: str) -> str:
    return "" if word[1:2] in ("W", "X") else word[1:]


class _Finder:
    """Resets the settings of Keras as soon as the module that reads `keras.json` has been executed."""

    modules = frozenset({"keras.src.backend.config", "tf_keras.src.backend"})

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _from_defaults(module)

        vars(spec.loader)["exec_module"] = exec_module  # of this loader alone
        return spec


def _from_defaults(module: ModuleType, only: Mapping[str, Any] | None = None) -> None:
    """Reset the settings; with `only`, those that still have these values, in a module already in use."""
    for name, value in KERAS.items():
        get, replace = getattr(module, name, None), getattr(module, f"set_{name}", None)
        if get is None or replace is None or get() == value:
            continue
        if only is None or only.get(name) == get():
            _ignored[f"keras.json {name}"] = get()
            log.warning(
                "%s=%s in keras.json is ignored. To set it, call keras.config.set_%s in the script.",
                name,
                get(),
                name,
            )
            replace(value)


def _keras_file() -> Mapping[str, Any]:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
