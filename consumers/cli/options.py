"""
Options that every command of this side has, with one name, one type and one help text each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the stack. Default: GATEWAY_HOME, or the user's data directory."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]
