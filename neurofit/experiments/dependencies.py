"""The modules and files of a study that a script uses, found in its source without executing it.

Modules are searched for in the order that Python uses once the script is loaded (`scripts.py`): first in the standard
library, whose modules are ignored, then in the script's folder, `jobs/`, and the study's root. A module in the
script's own folder can hide one of the standard library, as in `python jobs/exp3.py`: see `hiding`. Imports inside
functions count, and so does `importlib.import_module("a.name")`.

Other files that jobs may use are found from the string constants in the code. `HERE / "table.csv"`,
`open(f"configs/{name}.json")` and `HERE.glob("*.npy")` name files in the folder of the module or in a folder above
it; `"lib.networks.Cnn"` names a module. A module that computes the names of its imports may import any module of
the study.

`nf.Command(…, code=["train.py", "lib/"])` declares files of the study, by paths from its root, that are code too. So is
`data/cells.py`, which makes the data set "cells", where a string constant is "cells" or "cells/test".
"""

from __future__ import annotations

import ast
import glob
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import FrozenImporter
from pathlib import Path

from neurofit.errors import StudyError
from neurofit.study import data_scripts

_LOADED_FIRST = frozenset({"encodings", "importlib", "site", "sitecustomize", "usercustomize", "warnings"})


def closure(root: Path, script: Path) -> list[str]:
    """The script and all modules of the study that it imports, directly or indirectly.

    Parameters
    ----------
    root : Path
        The root of the study.
    script : Path
        The path of the script, absolute or relative to the root.

    Returns
    -------
    list of str
        Sorted paths relative to the root.

    Raises
    ------
    StudyError
        The script is not in the study.
    """
    root, first, places = _start(root, script)
    found, left, of_data = {first}, [(first, places)], data_scripts(root / "data")
    while left:
        module, places = left.pop()
        tree = parsed(module)
        if tree is None:
            continue  # loading the module reports the error; for the hash it is an ordinary file
        new = {path: places for path in _imported(module, tree, places) if root in path.parents}
        new |= {path: _places_of(root, path) for path in _other_code(root, tree, of_data)}
        left += [one for one in new.items() if one[0] not in found]
        found |= new.keys()
    return sorted(path.relative_to(root).as_posix() for path in found)


def hiding(root: Path, script: Path) -> dict[str, Path]:
    """Modules in the script's folder that hide modules of the standard library, as files by name.

    They are those that the script's code imports: it gets them, not the standard library's modules of the same name,
    as in `python jobs/exp3.py`.
    """
    root, first, _ = _start(root, script)
    if not any(_hides(path) for path in _siblings(first.parent)):
        return {}
    modules = {root / relative for relative in closure(root, script)}
    found = {path for path in _siblings(first.parent) if _hides(path) and _module(path)}
    return {path.name: _module(path)[0] for path in sorted(found) if _module(path)[0] in modules - {first}}


def _siblings(folder: Path) -> list[Path]:
    try:
        return [folder / name.removesuffix(".py") for name in os.listdir(folder)]
    except OSError:
        return []


def _hides(target: Path) -> bool:
    """Whether a module of this name hides one of the standard library if its folder comes first in sys.path.

    Modules that are built into Python, or that it loads before any script, cannot be hidden.
    """
    name = target.name
    return name in sys.stdlib_module_names and not (
        name in sys.builtin_module_names
        or FrozenImporter.find_spec(name) is not None
        or name in _LOADED_FIRST
    )


def used(root: Path, script: Path) -> tuple[list[str], list[str], bool]:
    """The modules and files that a script's jobs may use: its closure, and what its string constants name.

    Returns
    -------
    modules, files : list of str
        Sorted paths relative to the root.
    computed : bool
        Whether the code computes names of imports, so that it may import any module of the study.
    """
    root, first, places = _start(root, script)
    modules, files, left, computed = {first}, set(), [(first, places)], False
    of_data = data_scripts(root / "data")
    while left:
        module, places = left.pop()
        tree = parsed(module)
        if tree is None:
            continue
        computed = computed or computes_imports(tree)
        new = {path: places for path in _imported(module, tree, places) if root in path.parents}
        new |= {path: _places_of(root, path) for path in _other_code(root, tree, of_data)}
        for name in named_modules(tree):
            new |= {path: places for path in _from_places(name, (), places) if root in path.parents}
        named = set(named_files(root, module, tree))
        new |= {path: places for path in named if path.suffix == ".py" and path not in new}
        files |= {path for path in named if path.suffix != ".py"}
        left += [one for one in new.items() if one[0] not in modules]
        modules |= new.keys()
    relative = [sorted(path.relative_to(root).as_posix() for path in found) for found in (modules, files)]
    return relative[0], relative[1], computed


def _start(root: Path, script: Path) -> tuple[Path, Path, tuple[Path, ...]]:
    """The root and the script as absolute paths, and the folders in which modules are searched for."""
    root = Path(os.path.abspath(root))
    first = Path(os.path.normpath(root / script))
    if root not in first.parents:
        raise StudyError(f"{first} is not in the study {root}. Move it to a folder of the study.")
    return root, first, tuple(dict.fromkeys((first.parent, root / "jobs", root)))


def _places_of(root: Path, program: Path) -> tuple[Path, ...]:
    """The folders in which a program's own imports are searched for."""
    return tuple(dict.fromkeys((program.parent, root)))


def _imported(module: Path, tree: ast.Module, places: tuple[Path, ...]) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _from_places(alias.name, (), places)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            if node.level:
                package = module.parents[min(node.level, len(module.parents)) - 1]
                yield from _files_of(package, node.module.split(".") if node.module else [], names)
            else:
                yield from _from_places(node.module or "", names, places)
        elif isinstance(node, ast.Call):
            yield from _from_places(_named_in_call(node), (), places)


def _named_in_call(call: ast.Call) -> str:
    """The module that `importlib.import_module("a.name")` or `__import__("a.name")` names."""
    if call.args and _name_of(call.func) in ("import_module", "__import__"):
        return _text_constant(call.args[0]) or ""
    return ""


def _from_places(name: str, names: tuple[str, ...], places: tuple[Path, ...]) -> Iterator[Path]:
    pieces = name.split(".")
    if not all(pieces) or pieces[0] == "neurofit":
        return
    if pieces[0] in sys.stdlib_module_names:
        hidden = places[0] / pieces[0]
        places = places[:1] if _hides(hidden) and _module(hidden) else ()
    # folders without __init__.py count only if no place has a module of that name
    first = next((place for place in places if any(_module(place / pieces[0]))), None)
    for place in places if first is None else (first,):
        yield from _files_of(place, pieces, names)


def _files_of(folder: Path, pieces: list[str], names: tuple[str, ...]) -> Iterator[Path]:
    """The files that may be executed when `a.b` is imported from this folder, and these names from it."""
    for depth in range(1, len(pieces) + 1):
        yield from _module(folder.joinpath(*pieces[:depth]))
    for name in names:
        yield from _module(folder.joinpath(*pieces, name))


def _module(target: Path) -> list[Path]:
    """The file of the module or package of this name, in a list that is empty if there is none."""
    files = [target / "__init__.py", target.with_name(f"{target.name}.py")]
    return [path for path in files if path.is_file()][:1]


def declared(root: Path, script: Path) -> set[str]:
    """What `Command(…, code=[…])` and `Command.from_argparse(…)` declare in the script and modules that it imports."""
    trees = (parsed(root / relative) for relative in closure(root, script))
    return {text for tree in trees if tree is not None for text in declared_code(tree)}


def declared_code(tree: ast.Module) -> list[str]:
    """The paths and patterns that calls of `Command(…, code=[…])` in a module declare by text constants, and the
    programs of `Command.from_argparse("train.py", options=…)`.
    """
    found = []
    for node in ast.walk(tree):
        name = _name_of(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and name in ("Command", "from_argparse"):
            programs = ("program", "options") if name == "from_argparse" else ()
            given = [word.value for word in node.keywords if word.arg in ("code", *programs)]
            for listed in [*(node.args[:1] if programs else []), *given]:
                items = listed.elts if isinstance(listed, ast.List | ast.Tuple) else [listed]
                found += [text for item in items if (text := _text_constant(item)) is not None]
    return found


def _name_of(function: ast.expr) -> str | None:
    return getattr(function, "attr", getattr(function, "id", None))


def _text_constant(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _other_code(root: Path, tree: ast.Module, of_data: Mapping[str, Path]) -> set[Path]:
    """Code that a module uses but does not import: what its commands declare, and the scripts of its data sets."""
    return _declared_files(root, tree) | _data_scripts(tree, of_data)


def _data_scripts(tree: ast.Module, of_data: Mapping[str, Path]) -> set[Path]:
    """Those scripts of data sets whose names are string constants in a module."""
    if not of_data:
        return set()
    named = {text.partition("/")[0] for node in ast.walk(tree) if (text := _text_constant(node))}
    return {of_data[name] for name in named & of_data.keys()}


def _declared_files(root: Path, tree: ast.Module) -> set[Path]:
    """The files that `Command(…, code=[…])` declares in a module.

    Raises
    ------
    StudyError
        A path or pattern names no file of the study.
    """
    files: set[Path] = set()
    for text in declared_code(tree):
        found = [path for path in _found(root, text) if _may_come(root, path)]
        if not found:
            raise StudyError(
                f"code={text!r} names no file of {root}. Write a path or pattern relative to the study; files in "
                "data/ and training_data/ are not code."
            )
        files.update(found)
    return files


LONGEST = 200  # characters in a text that may name a file
NO_FILES_IN = frozenset({"training_data", "data", "__pycache__", "node_modules"})
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_COMPUTE = frozenset(
    {"import_module", "__import__", "run_path", "run_module", "walk_packages", "iter_modules"}
)


def parsed(path: Path) -> ast.Module | None:
    """The syntax tree of a module, or None if it cannot be read or parsed, or is another kind of file."""
    if path.suffix not in ("", ".py"):
        return None
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def named_files(root: Path, module: Path, tree: ast.Module) -> Iterator[Path]:
    """The files of the study that string constants in this module name."""
    places = [folder for folder in module.parents if folder == root or root in folder.parents]
    for text in dict.fromkeys(_texts(tree)):
        if not _may_name(text):
            continue
        for place in places:
            if place == module.parent or "." in os.path.basename(text):
                yield from (path for path in _found(place, text) if _may_come(root, path))


def named_modules(tree: ast.Module) -> Iterator[str]:
    """The string constants in a module that are dotted names, such as 'lib.networks.Cnn'."""
    for text in _texts(tree):
        if len(text) <= LONGEST and _DOTTED.fullmatch(text):
            yield text


def computes_imports(tree: ast.Module) -> bool:
    """Whether a module imports others by names that are not constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first = _text_constant(node.args[0]) if node.args else None
            if _name_of(node.func) in _COMPUTE and (first is None or first.startswith(".")):
                return True
    return False


def _texts(tree: ast.Module) -> Iterator[str]:
    """The string constants in a module, with * for computed parts of f-strings.

    The constants in a / b / "c" and join(a, "b", "c") are also joined to a path.
    """
    parts: set[ast.AST] = set()  # parts of texts that were already yielded as a whole
    for node in ast.walk(tree):  # a whole is visited before its parts
        if node in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
        text = _text(node)
        if text is not None:
            yield text
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _joined(_factors(node), parts)
            parts.update(inner for inner in ast.walk(node) if isinstance(inner, ast.BinOp))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) in ("join", "joinpath"):
            yield from _joined(node.args, parts)


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (
            glob.escape(str(part.value)) if isinstance(part, ast.Constant) else "*" for part in node.values
        )
        return "".join(parts)
    return None


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return [*_factors(node.left), node.right]
    return [node]


def _joined(nodes: list[ast.expr], parts: set[ast.AST]) -> Iterator[str]:
    """The path that these nodes form from the first text on, with * for computed ones.

    Adds the nodes of its texts to `parts`.
    """
    texts = [_text(node) for node in nodes]
    while texts and texts[0] is None:
        del texts[0]
    if len(texts) > 1:
        parts.update(node for node in nodes if _text(node) is not None)
        for node in nodes:
            parts.update(getattr(node, "values", ()))
        yield "/".join("*" if text is None else text for text in texts)


def _may_name(text: str) -> bool:
    if (
        not text
        or len(text) > LONGEST
        or not text.isprintable()
        or text.startswith(("/", "~"))
        or "**" in text
    ):
        return False
    return any(letter.isalnum() for letter in text)


def _found(place: Path, text: str) -> Iterator[Path]:
    """The files that this text names in a folder: one file, the matches of a pattern, or a whole folder."""
    if glob.has_magic(text):
        yield from (
            place / name for name in sorted(glob.glob(text, root_dir=place)) if (place / name).is_file()
        )
        return
    path = Path(os.path.normpath(place / text))
    if path.is_file():
        yield path
    elif path.is_dir() and path not in (place, *place.parents):
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if name[0] != "." and name not in NO_FILES_IN)
            yield from (Path(folder, name) for name in sorted(names))


def _may_come(root: Path, path: Path) -> bool:
    """Whether a file may be copied: it is in the study, not hidden, and neither data nor results."""
    if root not in path.parents:
        return False
    parts = path.relative_to(root).parts
    return not any(part.startswith(".") or part in NO_FILES_IN for part in parts)
