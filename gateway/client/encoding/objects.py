"""
Read objects of many libraries without importing any: their fields, and the text of dates, paths, enums and the like.

A library is recognised by what its classes carry, or by its own module if something imported it before. Each field is
read alone: one that fails is replaced by the name of its error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from gateway.client.encoding.moments import instant, is_datetime, is_datetime64
from gateway.client.encoding.values import scalar, text_of
from gateway.client.guards import safe_repr, type_name
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Fields = list[tuple[Any, Any]]

MAX_ELEMENTS = 10_000  # of an array to keep as a list
_TEXTS = {"date", "time", "timedelta", "timedelta64", "UUID", "datetime64"}
_TEXT_MODULES = {"datetime", "uuid", "numpy"}


def is_model(value: object) -> bool:
    """Return whether the value is a pydantic model, whose dump takes as long as the structure is large."""
    kind = type(value)
    return hasattr(kind, "model_dump") or (hasattr(kind, "__fields__") and hasattr(kind, "dict"))


def fields_of(value: Any, *, may_dump: bool = True) -> Fields | None:
    """
    Return names and values of a dict, another mapping or an object of fields; None for anything else.

    Objects of fields are dataclasses, attrs and pydantic models, Namespaces, named tuples and OmegaConf's containers.
    Fields of dataclasses and attrs with repr=False are left out: they are not meant to be shown. Without `may_dump` a
    model's attributes are returned instead of its dump by alias.
    """
    kind = type(value)
    if issubclass(kind, dict):
        return _items(value)
    if _is_omegaconf(kind):
        return _omegaconf(value, value.keys()) if hasattr(kind, "keys") else None
    if issubclass(kind, tuple):
        return _read(value, kind._fields) if hasattr(kind, "_fields") else None
    if hasattr(kind, "__dataclass_fields__"):
        return _read(value, [one.name for one in sys.modules["dataclasses"].fields(value) if one.repr])
    if hasattr(kind, "__attrs_attrs__"):
        return _read(value, [one.name for one in kind.__attrs_attrs__ if one.repr])
    if is_model(value):
        dumped = _dump(value, may_dump)
        return list(dumped.items()) if isinstance(dumped, dict) else None
    if any(base.__name__ in ("Namespace", "SimpleNamespace") for base in kind.__mro__) and hasattr(value, "__dict__"):
        return list(vars(value).items())
    if issubclass(kind, Mapping):
        return _each(list(value), value.__getitem__)
    return None


def elements_of(value: Any) -> Sequence[Any] | None:
    """Return the elements of a list, set, other sequence, array or tensor, or of a model that is one; else None."""
    kind = type(value)
    if issubclass(kind, list | tuple):
        return value  # type: ignore[no-any-return]  # a list, or a tuple
    if issubclass(kind, set | frozenset):
        return _in_order(value)
    if issubclass(kind, str | bytes | bytearray | memoryview | range | type):
        return None
    if _is_omegaconf(kind):
        return [item for _, item in _omegaconf(value, range(len(value)))]
    if issubclass(kind, Sequence):
        return [item for _, item in _each(range(len(value)), value.__getitem__)]
    if is_model(value):
        dumped = _dump(value, True)  # of a RootModel
        return dumped if isinstance(dumped, list) else None
    if hasattr(value, "tolist") and _count(value) <= MAX_ELEMENTS:
        if kind.__module__ == "numpy" and value.dtype.kind in ("m", "M"):  # in ns, tolist() gives numbers
            return [None if text == "NaT" else text for text in value.astype(str).ravel().tolist()]
        found = value.tolist()
        return found if isinstance(found, list) else None
    return None


def is_missing(value: object) -> bool:
    """Return whether a value says that there is none: None, pandas.NaT, pandas.NA, numpy's NaT."""
    kind = type(value)
    if value is None or (kind.__name__ in ("NaTType", "NAType") and kind.__module__.startswith("pandas.")):
        return True
    return kind.__name__ in ("datetime64", "timedelta64") and kind.__module__ == "numpy" and str(value) == "NaT"


def readable(value: Any) -> str | None:
    """
    Return the text of a date, time, duration, UUID, path, enum, or number beyond float64; None for anything else.

    An enum is its value if that is text, else its name. A datetime whose instant cannot be found is written without
    its offset.
    """
    kind = type(value)
    if any(base.__name__ == "Enum" and base.__module__ == "enum" for base in kind.__mro__):
        inside = value.value
        return text_of(inside if isinstance(inside, str) else value.name or value)
    if is_datetime(value):
        from datetime import datetime

        return datetime.combine(value.date(), value.time()).isoformat()
    if any(base.__name__ in _TEXTS and base.__module__ in _TEXT_MODULES for base in kind.__mro__):
        return text_of(value)
    if hasattr(kind, "__fspath__"):
        import os

        return os.fsdecode(value)
    if hasattr(kind, "__float__") and getattr(value, "shape", ()) == ():
        return text_of(value)  # Decimal("1e400")
    return None


def moment_text(value: Any) -> str | None:
    """Return a datetime in the form of RFC 3339; None if it is none, or none with an instant."""
    if not (is_datetime(value) or is_datetime64(value)):
        return None
    try:
        moment = instant(value)
        return None if moment is None else moment.isoformat()
    except Exception:  # noqa: BLE001 -- no instant, or the caller's tzinfo failed: `readable` writes it without offset
        warn_once("datetime", f"{safe_repr(value)} has no instant in the years 1 to 9999: it is kept as text")
        return None


def _items(value: dict[Any, Any]) -> Fields:
    try:
        return list(value.items())
    except Exception:  # noqa: BLE001 -- the items() of a subclass failed: what the dict itself holds is kept
        return list(dict.items(value))


def _read(value: Any, names: Iterable[str]) -> Fields:
    return _each(names, lambda name: getattr(value, name))


def _each(names: Iterable[Any], read: Callable[[Any], Any]) -> Fields:
    """Return names and values, each read alone."""
    found: Fields = []
    for name in names:
        try:
            found.append((name, read(name)))
        except Exception as error:  # noqa: BLE001 -- a property of the caller failed: its error takes its place
            found.append((name, _unreadable(name, error)))
    return found


def _unreadable(name: object, error: Exception) -> str:
    warn_once("unreadable", f"{safe_repr(name)} cannot be read ({safe_repr(error, 200)}): its error is kept instead")
    return f"<{type_name(error)}>"


def _is_omegaconf(kind: type) -> bool:
    return kind.__module__.startswith("omegaconf.")


def _omegaconf(value: Any, names: Iterable[Any]) -> Fields:
    """Return the items of a DictConfig or ListConfig; missing ones, and what cannot be resolved, as written."""
    written: list[Any] = []

    def read(name: Any) -> Any:
        try:
            return value[name]
        except Exception:  # noqa: BLE001 -- "???", or an interpolation that leads nowhere
            if not written:
                written.append(sys.modules["omegaconf"].OmegaConf.to_container(value, resolve=False))
            return written[0][name]

    return _each(names, read)


def _dump(model: Any, may_dump: bool) -> Any:
    """Return the dump of a pydantic model by alias; its attributes if it may not or cannot be dumped."""
    try:
        if may_dump:
            return model.model_dump(by_alias=True) if hasattr(model, "model_dump") else model.dict(by_alias=True)
    except Exception as error:  # noqa: BLE001 -- a serializer of the caller failed, for one field perhaps
        warn_once("dump", f"a {type_name(model)} cannot be dumped ({safe_repr(error, 200)}): its attributes are kept")
    return dict(vars(model))


def _in_order(values: Any) -> list[Any]:
    """Return the elements of a set, sorted where they have an order, because a set's own differs in each process."""
    try:
        return sorted(values)
    except Exception:  # noqa: BLE001 -- elements without an order, or the caller's comparison failed
        return list(values)


def _count(value: Any) -> int:
    count = value.numel() if hasattr(value, "numel") else getattr(value, "size", None)
    count = scalar(count)
    return count if isinstance(count, int) else MAX_ELEMENTS + 1
