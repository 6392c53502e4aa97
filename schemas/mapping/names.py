"""
Names as a tracker takes them, and back.

Pure. A character that a tracker refuses becomes `_x<hex>_`; an underscore that could begin such an escape is escaped
itself, so two names never become one and every name comes back. A name that is too long even so is cut and ends in a
hash of the whole; only for those must the original be recorded.
"""

from __future__ import annotations

import re
from hashlib import blake2b

_ESCAPE = re.compile(r"_x([0-9a-f]+)_")
_AMBIGUOUS = re.compile(r"_(?=x[0-9a-f])")
_HASH_CHARS = 32

MLFLOW_MAX_KEY = 250  # characters, mlflow.utils.validation.MAX_ENTITY_KEY_LENGTH
_MLFLOW_REFUSED = re.compile(r"[^\w./ :-]")
_MLFLOW_COLON = re.compile(r":(?=:|$)")  # keeps "::" free for labels
_MLFLOW_PATH = re.compile(
    r"^/|^\.(?=\.)|(?<=/)/|/$|(?:(?<=/)|^)\.(?=\.?(?:/|$))"
)  # what posixpath.normpath would change
_MLFLOW_LABELS = re.compile(r"([^{}]*)\{([^{}]*)\}")
_WANDB_ID_REFUSED = re.compile(r"[^A-Za-z0-9._-]")
_FOLDER_REFUSED = re.compile(r"[^A-Za-z0-9._-]|^\.")
_UPPER = re.compile(r"[A-Z]")
WANDB_MAX_ID = 120  # characters; the id is part of a folder's and a file's name
TRACKIO_RESERVED = frozenset({"project", "run", "timestamp", "step", "time", "metrics"})  # trackio.utils.RESERVED_KEYS
TRACKIO_MAX_PROJECT = 60  # characters of up to four bytes: the project is the name of files
_TRACKIO_REFUSED = re.compile(r"[^\w-]")  # what trackio.utils.canonical_project_name leaves out
_TRACKIO_TAKEN = re.compile(
    r"registry-.*|.+_(system|configs|traces|artifacts|artifact_versions|artifact_aliases|(external_)?run_artifact_links)"
)  # refused by SQLiteStorage.validate_project_name
WANDB_RESERVED = frozenset({
    "_step", "_timestamp", "_runtime", "_wandb", "_gw", "gw/step", "gw/status", "gw/message",
})  # fmt: skip


def escape(text: str, refused: re.Pattern[str]) -> str:
    """Return `text` with what `refused` matches, one character at a time, written as `_x<hex>_`."""
    return refused.sub(_hex, _AMBIGUOUS.sub(_hex, text))


def unescape(text: str) -> str:
    """Return what `escape` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def shorten(text: str, name: str, limit: int) -> str:
    """Return `text` if it has at most `limit` characters, else its beginning and a hash of `name`."""
    if len(text) <= limit:
        return text
    digest = blake2b(name.encode(), digest_size=_HASH_CHARS // 2).hexdigest()
    return f"{text[: limit - _HASH_CHARS - 1]}-{digest}"


def mlflow_key(name: str) -> str:
    """
    Return `name` as a key that MLflow takes for metrics, params and tags.

    The labels of a written series name stay readable: `loss{rank=3,subset=a}` becomes `loss::rank:3::subset:a`.
    """
    base, labels = _split_labels(name)
    parts = [_MLFLOW_COLON.sub(_hex, escape(base, _MLFLOW_REFUSED))]
    parts += [":".join(escape(word, _MLFLOW_REFUSED).replace(":", "_x3a_") for word in pair) for pair in labels]
    return shorten(_MLFLOW_PATH.sub(_hex, "::".join(parts)), name, MLFLOW_MAX_KEY)


def mlflow_name(key: str) -> str:
    """Return the name of a key that `mlflow_key` made and did not have to cut."""
    base, *labels = key.split("::")
    if not labels:
        return unescape(base)
    return f"{unescape(base)}{{{','.join('='.join(map(unescape, pair.split(':'))) for pair in labels)}}}"


def wandb_id(run_id: str) -> str:
    """Return `run_id` as W&B and a file system take it."""
    return shorten(escape(run_id, _WANDB_ID_REFUSED), run_id, WANDB_MAX_ID)


def folder_name(run_id: str) -> str:
    """
    Return `run_id` as the name of a folder, also where upper and lower case are one: `~` stands before upper case.

    What is longer than a folder's name may be is cut and ends in a hash; the files inside say the whole id.
    """
    text = escape(run_id, _FOLDER_REFUSED)
    return shorten(_UPPER.sub(lambda found: f"~{found[0]}", text), run_id, WANDB_MAX_ID)


def wandb_key(name: str) -> str:
    """Return `name` as a key of a W&B history row or config: only names that W&B or we use are escaped."""
    if unescape(name) != name or name in WANDB_RESERVED or name.startswith("gw."):
        return f"_x{ord(name[0]):x}_{_AMBIGUOUS.sub(_hex, name[1:])}"
    return name


def wandb_name(key: str) -> str:
    """Return the name of a key that `wandb_key` made."""
    return unescape(key)


def tensorboard_tag(name: str) -> str:
    """Return `name` as a tag of TensorBoard: only what would begin like one of ours or of a plugin is escaped."""
    if unescape(name) != name or name.startswith(("gw/", "_hparams_/")):
        return f"_x{ord(name[0]):x}_{_AMBIGUOUS.sub(_hex, name[1:])}"
    return name


def tensorboard_name(tag: str) -> str:
    """Return the name of a tag that `tensorboard_tag` made."""
    return unescape(tag)


def trackio_key(name: str) -> str:
    """Return `name` as a key of a trackio metric: `~` stands before what trackio keeps for itself, and before `~`."""
    return f"~{name}" if name in TRACKIO_RESERVED or name.startswith(("__", "~")) else name


def trackio_config_key(name: str) -> str:
    """Return `name` as a key of a trackio config: `~` stands before what trackio or we keep, and before `~`."""
    return f"~{name}" if name.startswith(("_", "gw.", "~")) else name


def trackio_name(key: str) -> str:
    """Return the name of a key that `trackio_key` or `trackio_config_key` made."""
    return key[1:] if key.startswith("~") else key


def trackio_project(name: str) -> str:
    """Return `name` as a trackio project, which is the name of its file; a long one is cut and ends in a hash."""
    text = escape(name, _TRACKIO_REFUSED)
    if _TRACKIO_TAKEN.fullmatch(text):
        text = f"_x{ord(text[0]):x}_{text[1:-1]}_x{ord(text[-1]):x}_"  # of letters: no other name is written so
    return shorten(text, name, TRACKIO_MAX_PROJECT)


def _split_labels(name: str) -> tuple[str, list[list[str]]]:
    found = _MLFLOW_LABELS.fullmatch(name)
    pairs = [pair.split("=") for pair in found[2].split(",")] if found else []
    if found is None or any(len(pair) != 2 for pair in pairs):
        return name, []
    return found[1], pairs


def _hex(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):x}_"
