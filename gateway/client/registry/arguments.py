"""
Check names, texts and tags before a request is written: unlike in training, the caller waits and can correct them.
"""

from __future__ import annotations

from gateway.client.encoding.values import MAX_NAME
from gateway.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID = 256  # characters of an id, as schemas/bounds.py has them
MAX_ID_BYTES = 512
LAST_VERSION = 2**31 - 1
STAGES = ("None", "Staging", "Production", "Archived")  # those of MLflow, seed 004


def check_name(name: object, what: str) -> str:
    """Return a name of 1 to 1,024 characters and bytes. Raises ClientError."""
    return _checked(name, what, MAX_NAME, MAX_NAME, may_be_empty=False)


def check_id(one: object, what: str) -> str:
    """Return an id of 1 to 256 characters. Raises ClientError."""
    return _checked(one, what, MAX_ID, MAX_ID_BYTES, may_be_empty=False)


def check_request_id(one: object) -> str:
    """Return the id of a request. Raises ClientError."""
    return check_id(one, "request_id")


def check_text(text: object, what: str) -> str:
    """Return a text of any length that UTF-8 and PostgreSQL can hold. Raises ClientError."""
    return _checked(text, what, None, None, may_be_empty=True)


def check_reference(text: object, what: str) -> str:
    """Return a text of up to 1,024 characters and bytes, "" for none. Raises ClientError."""
    return _checked(text, what, MAX_NAME, MAX_NAME, may_be_empty=True)


def check_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return tags, whose values are text. Raises ClientError."""
    if tags is None:
        return {}
    if not hasattr(tags, "items"):
        raise ClientError(f"tags are {type(tags).__name__}: give a dict of texts")
    return {
        check_name(key, "a tag"): check_text(value, f"the value of tag {key!r:.100}") for key, value in tags.items()
    }


def check_version(version: object) -> int:
    """Return the number of a version; text of digits is one too. Raises ClientError."""
    text = str(version) if isinstance(version, int | str) and not isinstance(version, bool) else ""
    if text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= LAST_VERSION:
        return int(text)
    raise ClientError(f"version {version!r:.60} is no number of a version: give an integer from 1")


def check_stage(stage: object) -> str:
    """Return a stage as the contract writes it, whatever its case. Raises ClientError."""
    found = next((one for one in STAGES if str(stage).lower() == one.lower()), None)
    if found is None:
        raise ClientError(f"stage {stage!r:.60} is not known: give one of {', '.join(STAGES)}")
    return found


def _checked(text: object, what: str, characters: int | None, size: int | None, *, may_be_empty: bool) -> str:
    if not isinstance(text, str):
        raise ClientError(f"{what} is {type(text).__name__}: give text")
    if not text and not may_be_empty:
        raise ClientError(f"{what} is empty: give one")
    if "\x00" in text:
        raise ClientError(f"{what} contains the character U+0000: leave it out")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise ClientError(f"{what} is not UTF-8 ({text!r:.100}): correct it") from None
    if (characters and len(text) > characters) or (size and len(encoded) > size):
        raise ClientError(
            f"{what} has {len(text):,} characters and {len(encoded):,} bytes, and may have {characters:,} and "
            f"{size:,}: give a shorter one"
        )
    return str.__str__(text)
