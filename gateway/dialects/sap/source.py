"""
Where a run comes from: its scenario, pipeline, execution and notebook, and the run collection that follows from them.

    GATEWAY_SAP_SCENARIO   GATEWAY_SAP_SCENARIO_VERSION   GATEWAY_SAP_PIPELINE   GATEWAY_SAP_EXECUTION
    GATEWAY_SAP_NOTEBOOK

The first two say what the run belongs to, the others what runs. Where none of the others is set, Jupyter names the
notebook (JPY_SESSION_NAME; in VS Code the name of the file), and otherwise the script is the source.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from gateway.client.encoding.values import MAX_NAME, text_of
from gateway.dialects.sap.checks import SYSTEM_TAG, read_text
from gateway.dialects.sap.objects import DEFAULT_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PARTS = ("scenario", "scenario_version", "pipeline", "execution", "notebook")
NO_SCENARIO = "default"  # scenario of runs that name none
COLLECTION_TAG = f"{SYSTEM_TAG}run_collection"  # of a run: its run collection as people see it
NAMELESS = "notebook", "python"  # sources whose names are not known: a notebook, an interactive interpreter
_SUFFIXES = (".ipynb", ".py")


class Source(NamedTuple):
    """What started a run."""

    name: str  # of the notebook, pipeline or script: the name of its default run collection
    parts: Mapping[str, str]  # of PARTS, those that are known

    def tags(self, collection: str | None) -> dict[str, str]:
        """Return the system's tags of a run of this source, None for the default run collection."""
        shown = self.name + DEFAULT_MARK if collection is None else collection
        return {**{tag_of(part): value for part, value in self.parts.items()}, COLLECTION_TAG: shown}


def tag_of(part: str) -> str:
    """Return the tag that holds a part of the source: `sapdi.notebook`."""
    return SYSTEM_TAG + part


def find_source(environ: Mapping[str, str] | None = None) -> Source:
    """Return the source of runs of this process. Raises TrackingError for a variable that cannot be used."""
    env = os.environ if environ is None else environ
    found = {}
    for part in PARTS:
        variable = f"GATEWAY_SAP_{part.upper()}"
        if env.get(variable):
            found[part] = read_text(variable, env[variable])
    found.setdefault("scenario", NO_SCENARIO)
    if "pipeline" not in found and "notebook" not in found and (notebook := _find_notebook(env)):
        found["notebook"] = notebook
    return Source(found.get("pipeline") or found.get("notebook") or _script(), found)


def _find_notebook(env: Mapping[str, str]) -> str:
    """Return the name of the notebook that this process executes; "" outside of notebooks."""
    ipython = sys.modules.get("IPython")
    try:
        shell: Any = None if ipython is None else ipython.get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            return ""  # IPython at a terminal is no notebook
        file = env.get("JPY_SESSION_NAME") or text_of(shell.user_ns.get("__vsc_ipynb_file__") or "")
    except Exception:  # noqa: BLE001 -- it is another program's object; without it the script is the source
        return ""
    return _stem(file) or NAMELESS[0]


def _script() -> str:
    """Return the name of the script that this process executes."""
    argv = getattr(sys, "argv", None)
    name = _stem(text_of(argv[0]) if argv else "")
    return NAMELESS[1] if name in ("", "-c", "-m", "-") else name


def _stem(path: str) -> str:
    """Return the name of a file without its folder and suffix, as a name that a run collection can have."""
    name = path.replace("\\", "/").rpartition("/")[2]
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name.encode("utf-8", "replace").decode()[: MAX_NAME // 4].replace("\x00", "")
