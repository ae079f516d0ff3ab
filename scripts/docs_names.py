"""Tells the documentation site where public names that load on first use are: `neurofit.datasets.Split` and so on.

An extension of griffe, which reads sources without importing them. A package lists such names in `_WHERE`
(name → module) or in `_IN` (module → names).
"""

from __future__ import annotations

import ast

from griffe import Alias, Extension, Module


class LazyNames(Extension):
    def on_module_members(self, *, node, mod: Module, agent, **_) -> None:
        for name, module in _listed(node).items():
            if name not in mod.members:
                mod.set_member(name, Alias(name, f"{mod.path}.{module}.{name}", parent=mod))


def _listed(tree) -> dict[str, str]:
    found: dict[str, str] = {}
    for statement in getattr(tree, "body", ()):
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        if statement.targets[0].id == "_WHERE" and isinstance(statement.value, ast.Dict):
            found |= ast.literal_eval(statement.value)
        if statement.targets[0].id == "_IN":
            modules = ast.literal_eval(statement.value)
            found |= {name: module for module, names in modules.items() for name in names}
    return found
