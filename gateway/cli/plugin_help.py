"""
The one-paragraph help of a command, read from its source, so that the list of commands imports none of them.
"""

from __future__ import annotations

import ast
from importlib.abc import InspectLoader
from importlib.util import find_spec


def summary_of(module: str, attribute: str) -> str:
    """
    Return the first paragraph of the help of a command: of a function, or of an app made with `help=`.

    The module is not run, but its parent packages are imported. Returns "" where there is no such source or help.
    """
    try:
        found = find_spec(module)
        loader = found.loader if found is not None else None
        source = loader.get_source(module) if isinstance(loader, InspectLoader) else None
        tree = ast.parse(source or "")
    except Exception:  # noqa: BLE001 -- a third-party package; calling the command reports what is wrong
        return ""
    return (_help_of(tree, attribute) or "").strip().partition("\n\n")[0]


def _help_of(tree: ast.Module, name: str) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            texts = [word.value for word in node.value.keywords if word.arg == "help"]
            if name in names and texts and isinstance(texts[0], ast.Constant) and isinstance(texts[0].value, str):
                return texts[0].value
    return None
