"""
The trackers file: what each tracker name means, in YAML or TOML.

    archive:                  # a name of your own, used in GATEWAY_TRACKERS and --to
      type: parquet           # a name of the entry-point group gateway.trackers
      config:                 # keywords of its class; may be absent
        folder: /data/runs
      call_s: 600             # longest call in seconds, if not GATEWAY_TRACKER_CALL_S

Named by GATEWAY_TRACKERS_FILE. The same type may stand under several names, each with its own checkpoints. A value
`${NAME}` is taken from the environment, so that no password stands in the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # part of file names, metrics and lines of a terminal
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Definition(NamedTuple):
    """What one name means."""

    type: str
    config: Mapping[str, Any]
    call_s: float | None = None  # longest call; None: as the settings say


def read_definitions(path: Path) -> dict[str, Definition]:
    """Return the trackers of a file by name. Raises BadSettings, one line that says where and what to do."""
    document = _parse(path)
    if not isinstance(document, dict):
        raise BadSettings(f"{path} must map names of trackers to {{type, config}}, not be {_kind(document)}")
    return {name: _definition(path, name, entry) for name, entry in document.items()}


def _parse(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSettings(f"GATEWAY_TRACKERS_FILE names {path}, which is not there: correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} cannot be read ({error}): correct the file or its permissions") from error
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadSettings(f"{path} cannot be read as TOML ({error}): correct the file") from error
    if path.suffix not in (".yaml", ".yml"):
        raise BadSettings(f"{path} ends in {path.suffix or 'nothing'!r}: name it .yaml, .yml or .toml")
    import yaml

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise BadSettings(f"{path} cannot be read as YAML ({told}): correct the file") from error


def _definition(path: Path, name: object, entry: object) -> Definition:
    where = f"{path}, tracker {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSettings(f"{where}: a name is 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit")
    if not isinstance(entry, dict):
        raise BadSettings(f"{where} must be {{type, config}}, not {_kind(entry)}")
    unknown = sorted(map(str, entry.keys() - {"type", "config", "call_s"}))
    if unknown:
        raise BadSettings(f"{where}: unknown {', '.join(unknown)}: what is for the tracker itself goes below config")
    kind, config = entry.get("type"), entry.get("config") or {}
    if not isinstance(kind, str) or not kind:
        raise BadSettings(f"{where} has no type: write one, for example `type: mlflow`")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise BadSettings(f"{where}: config must map words to values, not be {_kind(config)}")
    call_s = entry.get("call_s")
    if call_s is not None and (type(call_s) not in (int, float) or not 0 < call_s <= 86_400):
        raise BadSettings(f"{where}: call_s must be the seconds of the longest call, above 0 and at most 86400")
    return Definition(kind, {key: _filled(where, value) for key, value in config.items()}, call_s)


def call_seconds(name: str, settings: Settings) -> float:
    """Return after how many seconds a call to a tracker counts as one that hangs. Raises BadSettings."""
    defined = read_definitions(settings.trackers_file) if settings.trackers_file else {}
    return (defined[name].call_s if name in defined else None) or settings.tracker_call_s


def _filled(where: str, value: Any) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(where, found[1]), value)
    if isinstance(value, dict):
        return {key: _filled(where, item) for key, item in value.items()}
    return [_filled(where, item) for item in value] if isinstance(value, list) else value


def _variable(where: str, name: str) -> str:
    if name not in os.environ:
        raise BadSettings(f"{where} uses ${{{name}}}, which is not in the environment: set {name}")
    return os.environ[name]


def _kind(value: object) -> str:
    return "empty" if value is None else f"a {type(value).__name__}"
