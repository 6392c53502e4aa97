"""
Translate names into the form that a tracker accepts, and back.

Pure. A character that a tracker refuses becomes `_x<hex>_`; an underscore that could begin such an escape is itself
escaped, so the translation is reversible and two names never become one. A name that is still too long is cut and ends
in a hash of the whole name; only for those the original must be recorded.
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
_TRACKIO_REFUSED = re.compile(r"[^\w-]")  # characters that trackio.utils.canonical_project_name drops
_TRACKIO_TAKEN = re.compile(
    r"registry-.*|.+_(system|configs|traces|artifacts|artifact_versions|artifact_aliases|(external_)?run_artifact_links)"
)  # refused by SQLiteStorage.validate_project_name
WANDB_RESERVED = frozenset({
    "_step", "_timestamp", "_runtime", "_wandb", "_gw", "gw/step", "gw/status", "gw/message",
})  # fmt: skip


def escape(text: str, refused: re.Pattern[str]) -> str:
    """Return `text` with each character that `refused` matches written as `_x<hex>_`."""
    return refused.sub(_hex, _AMBIGUOUS.sub(_hex, text))


def unescape(text: str) -> str:
    """Return the text from which `escape` made this one."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def shorten(text: str, name: str, limit: int) -> str:
    """Return `text` if it has at most `limit` characters, else its beginning and a hash of `name`."""
    if len(text) <= limit:
        return text
    digest = blake2b(name.encode(), digest_size=_HASH_CHARS // 2).hexdigest()
    return f"{text[: limit - _HASH_CHARS - 1]}-{digest}"


def mlflow_key(name: str) -> str:
    """
    Return `name` as a key that MLflow accepts for metrics, params and tags.

    The labels of a written series name stay readable: `loss{rank=3,subset=a}` becomes `loss::rank:3::subset:a`.
    """
    base, labels = _split_labels(name)
    parts = [_MLFLOW_COLON.sub(_hex, escape(base, _MLFLOW_REFUSED))]
    parts += [":".join(escape(word, _MLFLOW_REFUSED).replace(":", "_x3a_") for word in pair) for pair in labels]
    return shorten(_MLFLOW_PATH.sub(_hex, "::".join(parts)), name, MLFLOW_MAX_KEY)


def mlflow_name(key: str) -> str:
    """Return the name of a key that `mlflow_key` made without cutting it."""
    base, *labels = key.split("::")
    if not labels:
        return unescape(base)
    return f"{unescape(base)}{{{','.join('='.join(map(unescape, pair.split(':'))) for pair in labels)}}}"


def wandb_id(run_id: str) -> str:
    """Return `run_id` as an id that W&B and file systems accept."""
    return shorten(escape(run_id, _WANDB_ID_REFUSED), run_id, WANDB_MAX_ID)


def folder_name(run_id: str) -> str:
    """
    Return `run_id` as a folder name, also for file systems that ignore case: `~` precedes each upper-case letter.

    A name that is too long is cut and ends in a hash; the files in the folder hold the whole id.
    """
    text = escape(run_id, _FOLDER_REFUSED)
    return shorten(_UPPER.sub(lambda found: f"~{found[0]}", text), run_id, WANDB_MAX_ID)


def wandb_key(name: str) -> str:
    """Return `name` as a key of a W&B history row or config. Only names that W&B or we reserve are escaped."""
    if unescape(name) != name or name in WANDB_RESERVED or name.startswith("gw."):
        return f"_x{ord(name[0]):x}_{_AMBIGUOUS.sub(_hex, name[1:])}"
    return name


def wandb_name(key: str) -> str:
    """Return the name of a key that `wandb_key` made."""
    return unescape(key)


def tensorboard_tag(name: str) -> str:
    """Return `name` as a TensorBoard tag. Only names that begin like ours or like those of a plugin are escaped."""
    if unescape(name) != name or name.startswith(("gw/", "_hparams_/")):
        return f"_x{ord(name[0]):x}_{_AMBIGUOUS.sub(_hex, name[1:])}"
    return name


def tensorboard_name(tag: str) -> str:
    """Return the name of a tag that `tensorboard_tag` made."""
    return unescape(tag)


def trackio_key(name: str) -> str:
    """Return `name` as a key of a trackio metric: `~` precedes names that trackio reserves, and `~` itself."""
    return f"~{name}" if name in TRACKIO_RESERVED or name.startswith(("__", "~")) else name


def trackio_config_key(name: str) -> str:
    """Return `name` as a key of a trackio config: `~` precedes names that trackio or we reserve, and `~` itself."""
    return f"~{name}" if name.startswith(("_", "gw.", "~")) else name


def trackio_name(key: str) -> str:
    """Return the name of a key that `trackio_key` or `trackio_config_key` made."""
    return key[1:] if key.startswith("~") else key


def trackio_project(name: str) -> str:
    """Return `name` as a trackio project, which names a file. A long name is cut and ends in a hash."""
    text = escape(name, _TRACKIO_REFUSED)
    if _TRACKIO_TAKEN.fullmatch(text):
        text = f"_x{ord(text[0]):x}_{text[1:-1]}_x{ord(text[-1]):x}_"  # escaped letters: no other name has this form
    return shorten(text, name, TRACKIO_MAX_PROJECT)


def _split_labels(name: str) -> tuple[str, list[list[str]]]:
    found = _MLFLOW_LABELS.fullmatch(name)
    pairs = [pair.split("=") for pair in found[2].split(",")] if found else []
    if found is None or any(len(pair) != 2 for pair in pairs):
        return name, []
    return found[1], pairs


def _hex(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):x}_"
