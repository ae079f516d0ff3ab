"""The options of an argparse or click program, read in its source: nothing of the program runs.

What is read are the calls `….add_argument("--lr", type=float, default=0.1)` of argparse, and the decorators
`@click.option(…)` and `@click.argument(…)`. Names have to be constants. A default that is neither a constant nor
the name of one in the same file is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurofit.errors import GridError, nearest
from neurofit.experiments.grid.params import short
from neurofit.programs.template import word_of

_FLAGS = {"store_true": True, "store_false": False}
_LEFT_OUT = ("help", "version", "store_const", "append_const")
_UNKNOWN = object()
_BY_HAND = 'Write the command with its placeholders instead: Command("python train.py --lr {lr}", …).'


@dataclass(frozen=True)
class Option:
    """An option of a program, or an argument that is known by its position (without `flags`)."""

    name: str
    flags: tuple[str, ...] = ()  # the first is written
    default: Any = None  # None: the program's own, which is not known or is none
    required: bool = False
    kind: str = "value"  # "value", "values", "each" (repeated), "count", "flag", or "switch"
    on: bool = True  # of a flag: the value for which it is written
    off: str = ""  # of a switch: what is written for False
    choices: tuple[Any, ...] = ()

    def words(self, value: Any) -> list[str]:
        """The words that give this option a value; none for None."""
        if value is None:
            return []
        if self.kind in ("flag", "switch"):
            wanted = bool(value) is self.on
            return [self.flags[0]] if wanted else [self.off] if self.off else []
        if self.kind == "count":
            return [self.flags[0]] * int(value)
        items = list(value) if isinstance(value, list | tuple) else [value]
        if self.kind == "values":
            return [self.flags[0], *(word_of(self.name, item) for item in items)]
        return [word for item in items for word in self._one(word_of(self.name, item))]

    def _one(self, text: str) -> list[str]:
        # joined, since a text that starts with '-' would be taken for another option
        flag = self.flags[0]
        if flag.startswith("--"):
            return [f"{flag}={text}"]
        return [f"{flag}{text}"] if len(flag) == 2 and text.startswith("-") else [flag, text]

    def problem(self, value: Any) -> str | None:
        """What a value should be, if it cannot be this option's."""
        several = isinstance(value, list | tuple)
        if self.kind in ("flag", "switch") and type(value) is not bool:
            return "expected True or False"
        if self.kind == "count" and (type(value) is not int or value < 0):
            return "expected a whole number of at least 0"
        if several and self.kind == "value":
            return "expected a single value"
        items = value if several else [value]
        if self.choices and any(
            item not in self.choices and str(item) not in map(str, self.choices) for item in items
        ):
            return f"expected one of {', '.join(map(str, self.choices))}"
        return None


def read(path: Path, function: str | None = None) -> list[Option]:
    """The options of the program in a file, in the order in which it names them.

    Parameters
    ----------
    path : Path
        The file with the parser, or with the commands of click.
    function : str, optional
        Only those of this function of the file.

    Raises
    ------
    GridError
        The file is missing or is not Python, has no options, or some that cannot be read.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise GridError(f"Command.from_argparse: {path} cannot be read: {error.strerror}.") from None
    except (SyntaxError, ValueError) as error:
        raise GridError(f"Command.from_argparse: {path} is not Python: {error}.") from None
    reader = _Reader(path, _constants(tree))
    place: ast.AST = tree if function is None else _function(tree, path, function)
    found = reader.of_click(place, function) or reader.of_argparse(place)
    if not found:
        raise GridError(
            f"Command.from_argparse: {path}{f':{function}' if function else ''} has no add_argument(…) of argparse and "
            'no option of click. If they are in another file of the study, name it: options="lib/options.py".'
        )
    twice = [
        one.name for number, one in enumerate(found) if one.name in {other.name for other in found[:number]}
    ]
    if twice:
        raise GridError(
            f"Command.from_argparse: {path} has the option '{twice[0]}' more than once, perhaps of several parsers. "
            'Name the function that makes the parser: from_argparse(…, function="make_parser").'
        )
    return found


def _constants(tree: ast.Module) -> dict[str, Any]:
    """The names of the file that stand for constants."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            found[name] = _UNKNOWN if name in found else _literal(node.value, {})
    return {name: value for name, value in found.items() if value is not _UNKNOWN}


def _literal(node: ast.expr | None, constants: Mapping[str, Any]) -> Any:
    """The value of an expression, or _UNKNOWN."""
    if isinstance(node, ast.Name):
        return constants.get(node.id, _UNKNOWN)
    try:
        return _UNKNOWN if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN


def _function(tree: ast.Module, path: Path, name: str) -> ast.AST:
    functions = {
        node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if name not in functions:
        raise GridError(f"Command.from_argparse: {path} has no function '{name}'.{nearest(name, functions)}")
    return functions[name]


def _called(node: ast.expr) -> str:
    """The last name of what is called: `add_argument` of `parser.add_argument(…)`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@dataclass(frozen=True)
class _Reader:
    path: Path
    constants: Mapping[str, Any]

    def of_argparse(self, place: ast.AST) -> list[Option]:
        calls = [node for node in ast.walk(place) if isinstance(node, ast.Call)]
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
        for call in calls:
            if _called(call) == "add_subparsers":
                raise self._refused(call, "has subcommands")
        found = [
            option for call in calls if _called(call) == "add_argument" for option in self._argument(call)
        ]
        given: dict[str, Any] = {}
        for call in calls:
            if _called(call) == "set_defaults":
                given.update(
                    {word.arg: _literal(word.value, self.constants) for word in call.keywords if word.arg}
                )
        return [
            one if given.get(one.name, _UNKNOWN) is _UNKNOWN else replace(one, default=given[one.name])
            for one in found
        ]

    def of_click(self, place: ast.AST, function: str | None) -> list[Option]:
        nodes = [place] if function else ast.walk(place)
        commands = {}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
                own = [call for call in calls if _called(call) in ("option", "argument")]
                if own:
                    commands[node.name] = own
        if len(commands) > 1:
            raise GridError(
                f"Command.from_argparse: {self.path} has several commands of click. Name one: "
                f'from_argparse(…, function="{next(iter(commands))}"); they are {", ".join(commands)}.'
            )
        return [self._decorator(call) for calls in commands.values() for call in calls]

    def _argument(self, call: ast.Call) -> Iterator[Option]:
        """The option that `add_argument(…)` adds; none if it takes no value that an experiment could vary."""
        names, words = self._names(call), self._keywords(call)
        action = words.get("action", "store")
        boolean = any(
            word.arg == "action" and _called(word.value) == "BooleanOptionalAction" for word in call.keywords
        )
        if action in _LEFT_OUT:
            return
        if (action is _UNKNOWN and not boolean) or (isinstance(action, str) and action not in _ACTIONS):
            raise self._refused(call, f"has an option with the action {ast.unparse(call)[:120]!r}")
        flags = _long_first(name for name in names if name.startswith("-"))
        dest = words.get("dest", _UNKNOWN)
        name = dest if isinstance(dest, str) else (flags or names)[0].lstrip("-").replace("-", "_")
        default, nargs = words.get("default"), words.get("nargs")
        default = None if default is _UNKNOWN else default
        choices = words.get("choices")
        option = Option(
            name,
            flags,
            default,
            required=bool(words.get("required") is True) if flags else nargs not in ("?", "*"),
            choices=tuple(choices) if isinstance(choices, list | tuple) else (),
        )
        if boolean:
            off = f"--no-{flags[0].removeprefix('--')}"
            yield replace(option, kind="switch", off=off)
        elif isinstance(action, str) and action in _FLAGS:
            on = _FLAGS[action]
            yield replace(option, kind="flag", on=on, default=(not on) if "default" not in words else default)
        elif action == "count":
            yield replace(option, kind="count")
        elif action in ("append", "extend"):
            yield replace(option, kind="each")
        else:
            yield replace(option, kind="value" if nargs in (None, "?") else "values")

    def _decorator(self, call: ast.Call) -> Option:
        """The option of `@click.option(…)`, or the argument of `@click.argument(…)`."""
        names, words = self._names(call), self._keywords(call)
        default = words.get("default")
        default = None if default is _UNKNOWN else default
        many = words.get("nargs", 1) != 1
        if _called(call) == "argument":
            needed = words.get("required", "default" not in words and words.get("nargs") != -1) is True
            return Option(names[0].lower(), (), default, needed, "values" if many else "value")
        flags = [name for name in names if name.startswith("-")]
        bare = [name for name in names if not name.startswith("-")]
        on, _, off = (_long_first(flags) or ("",))[0].partition("/")
        longest = _long_first(one.partition("/")[0] for one in flags)
        if not longest:
            raise self._refused(call, f"has an option without a name, {ast.unparse(call)[:80]!r}")
        name = (bare or [longest[0].lstrip("-")])[0].replace("-", "_").lower()
        option = Option(name, longest, default, words.get("required") is True, choices=self._choices(call))
        if off:
            return replace(
                option, flags=(on.strip(),), kind="switch", off=off.strip(), default=default or False
            )
        if words.get("is_flag") is True or (type(default) is bool and "type" not in words):
            return replace(option, kind="flag", default=default or False, on=not default)
        if words.get("count") is True:
            return replace(option, kind="count", default=default or 0)
        return replace(
            option, kind="each" if words.get("multiple") is True else "values" if many else "value"
        )

    def _choices(self, call: ast.Call) -> tuple[Any, ...]:
        """The choices of `type=click.Choice([…])`."""
        kind = next((word.value for word in call.keywords if word.arg == "type"), None)
        if isinstance(kind, ast.Call) and _called(kind) == "Choice" and kind.args and not kind.keywords:
            found = _literal(kind.args[0], self.constants)
            return tuple(found) if isinstance(found, list | tuple) else ()
        return ()

    def _names(self, call: ast.Call) -> list[str]:
        names = [_literal(one, self.constants) for one in call.args]
        if not names or not all(isinstance(one, str) and one for one in names):
            raise self._refused(call, f"has an option whose name is no constant, {ast.unparse(call)[:80]!r}")
        return names

    def _keywords(self, call: ast.Call) -> dict[str, Any]:
        if any(word.arg is None for word in call.keywords):
            raise self._refused(call, f"has an option with `**`, {ast.unparse(call)[:80]!r}")
        return {word.arg: _literal(word.value, self.constants) for word in call.keywords if word.arg}

    def _refused(self, call: ast.Call, what: str) -> GridError:
        return GridError(
            f"Command.from_argparse: {self.path}, line {call.lineno}, {what}, which cannot be read. {_BY_HAND}"
        )


_ACTIONS = ("store", "store_true", "store_false", "count", "append", "extend")


def _long_first(flags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(flags, key=lambda flag: not flag.startswith("--")))


def command_words(options: Iterable[Option], fixed: Mapping[str, str]) -> tuple[list[str], list[Option]]:
    """The words of a command for what is fixed and for arguments by position, and the latter's options."""
    words: list[str] = []
    last: list[str] = []
    positional = []
    for option in options:
        if option.name in fixed:
            text = fixed[option.name]
            if option.flags:
                words += option.words(text)
            else:
                last.append(text)
        elif not option.flags and (option.required or option.default is not None):
            positional.append(option)
            last.append(f"{{{option.name}}}")
    return [*words, *last], positional


def must_fit(options: Iterable[Option], params: Mapping[str, Any]) -> None:
    """Raise GridError if an argument cannot be a value of its option."""
    for option in options:
        value = params.get(option.name)
        if value is not None and (problem := option.problem(value)):
            raise GridError(f"{option.name}={short(value)}: {problem}.")
