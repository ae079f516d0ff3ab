"""Which files, beside what a script imports, its jobs may use: told from the texts in the code, nothing is
executed.

`HERE / "table.csv"`, `open(f"configs/{name}.json")` and `HERE.glob("*.npy")` name files beside the module
that has these words, or beside a folder above it; `"lib.networks.Cnn"` names a module. A module that computes
the names of what it imports may import any of the study's.
"""

from __future__ import annotations

import ast
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

LONGEST = 200  # characters of a text that may name a file
NO_FILES_IN = frozenset({"training_data", "data", "__pycache__", "node_modules"})
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_COMPUTE = frozenset(
    {"import_module", "__import__", "run_path", "run_module", "walk_packages", "iter_modules"}
)


def parsed(path: Path) -> ast.Module | None:
    """The module, or None where it is no Python that can be read."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def named_files(root: Path, module: Path, tree: ast.Module) -> Iterator[Path]:
    """Files of the study that texts in this module name."""
    places = [folder for folder in module.parents if folder == root or root in folder.parents]
    for text in dict.fromkeys(_texts(tree)):
        if not _may_name(text):
            continue
        for place in places:
            if place == module.parent or "." in os.path.basename(text):
                yield from (path for path in _found(place, text) if _may_come(root, path))


def named_modules(tree: ast.Module) -> Iterator[str]:
    """'lib.networks.Cnn', and what comes before its last dots."""
    for text in _texts(tree):
        if len(text) <= LONGEST and _DOTTED.fullmatch(text):
            yield text


def computes_imports(tree: ast.Module) -> bool:
    """Whether it imports modules by names that are not written in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            first = node.args[0] if node.args else None
            plain = (
                isinstance(first, ast.Constant)
                and isinstance(first.value, str)
                and not first.value.startswith(".")
            )
            if name in _COMPUTE and not plain:
                return True
    return False


def _texts(tree: ast.Module) -> Iterator[str]:
    """Texts, with * for what is computed in them; of a / b / "c" and join(a, "b", "c") also the parts
    together.
    """
    parts: set[ast.AST] = set()  # of what was told as a whole
    for node in ast.walk(tree):  # the whole comes before its parts
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
    """What is joined from the first text on, with * for what is computed; notes its texts as parts."""
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
    """What this text names in a folder: a file, those that fit a pattern, or all files of a folder."""
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
    """Not hidden, in the study, and neither data nor results."""
    if root not in path.parents:
        return False
    parts = path.relative_to(root).parts
    return not any(part.startswith(".") or part in NO_FILES_IN for part in parts)
