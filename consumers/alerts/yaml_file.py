"""
Read YAML of files that people write: rules and targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.alerts.rule_text import BadYaml, load_yaml
from schemas.errors import BadSettings

MAX_BYTES = 16 * 1024 * 1024


def read_yaml(path: Path, named_by: str) -> Any:
    """Return what a file holds. Raises BadSettings: one line with the cause and the next step."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadSettings(f"{path} has more than {MAX_BYTES:,} bytes: split it")
        return load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadSettings(f"{named_by} names {path}, which does not exist: correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} cannot be read ({error}): correct the file or its permissions") from error
    except BadYaml as error:
        raise BadSettings(f"{path} cannot be read as YAML: {error}") from error
