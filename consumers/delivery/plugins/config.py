"""
The trackers file: what each tracker name means, in YAML or TOML.

    archive:                  # a name of your choice, used in GATEWAY_TRACKERS and --to
      type: parquet           # a name of the entry-point group gateway.trackers
      config:                 # keyword arguments of its class; optional
        folder: /data/runs
      call_s: 600             # timeout of a call in seconds, if not GATEWAY_TRACKER_CALL_S

GATEWAY_TRACKERS_FILE names the file. Several names may have the same type, each with its own checkpoints. A value
`${NAME}` is taken from the environment, so that the file contains no passwords.
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


class TrackerDefinition(NamedTuple):
    """What one name means."""

    type: str
    config: Mapping[str, Any]
    call_s: float | None = None  # timeout of a call in seconds; None: that of the settings


def read_definitions(path: Path) -> dict[str, TrackerDefinition]:
    """Return the trackers of a file by name. Raises BadSettings: one line with the cause and the next step."""
    document = _parse(path)
    if not isinstance(document, dict):
        raise BadSettings(f"{path} must map names of trackers to {{type, config}}, not be {_kind(document)}")
    return {name: _definition(path, name, entry) for name, entry in document.items()}


def call_seconds(name: str, settings: Settings) -> float:
    """Return the timeout of a call to a tracker in seconds. Raises BadSettings."""
    defined = read_definitions(settings.trackers_file) if settings.trackers_file else {}
    return (defined[name].call_s if name in defined else None) or settings.tracker_call_s


def _parse(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSettings(f"GATEWAY_TRACKERS_FILE names {path}, which does not exist: correct the path") from None
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
        cause = " ".join(str(error).split())
        raise BadSettings(f"{path} cannot be read as YAML ({cause}): correct the file") from error


def _definition(path: Path, name: object, entry: object) -> TrackerDefinition:
    origin = f"{path}, tracker {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSettings(f"{origin}: a name is 1 to 100 of A-Z a-z 0-9 . _ - and begins with a letter or digit")
    if not isinstance(entry, dict):
        raise BadSettings(f"{origin} must be {{type, config}}, not {_kind(entry)}")
    unknown = sorted(map(str, entry.keys() - {"type", "config", "call_s"}))
    if unknown:
        raise BadSettings(f"{origin}: unknown {', '.join(unknown)}: options of the tracker itself go below config")
    kind, config = entry.get("type"), entry.get("config") or {}
    if not isinstance(kind, str) or not kind:
        raise BadSettings(f"{origin} has no type: write one, for example `type: mlflow`")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise BadSettings(f"{origin}: config must map names to values, not be {_kind(config)}")
    call_s = entry.get("call_s")
    if call_s is not None and (type(call_s) not in (int, float) or not 0 < call_s <= 86_400):
        raise BadSettings(f"{origin}: call_s must be the timeout of a call in seconds, above 0 and at most 86400")
    return TrackerDefinition(kind, {key: _filled(origin, value) for key, value in config.items()}, call_s)


def _filled(origin: str, value: Any) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(origin, found[1]), value)
    if isinstance(value, dict):
        return {key: _filled(origin, item) for key, item in value.items()}
    return [_filled(origin, item) for item in value] if isinstance(value, list) else value


def _variable(origin: str, name: str) -> str:
    if name not in os.environ:
        raise BadSettings(f"{origin} uses ${{{name}}}, which is not in the environment: set {name}")
    return os.environ[name]


def _kind(value: object) -> str:
    return "empty" if value is None else f"a {type(value).__name__}"
