"""
Rules as YAML text: read with the place of each field, so that an error can name a line, and written as people write it.

The only file of alerts that imports yaml, and only when a text is read or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from schemas.alerts.rule import Fault, RuleEntry, faults
from schemas.errors import BadSettings

MAX_TEXT = 16_384  # characters of the text of one rule
MAX_NUMBER = 100  # characters of an integer: Python writes none of more than 4,300 digits, not even into an error
MAX_BRACKETS = 500  # in it: the time that PyYAML takes is quadratic in how deep they are nested
Place = tuple[int, int]  # line and column, from 1
Path = tuple[str | int, ...]  # names of fields and indexes of lists, from the outside


class PlacedFault(NamedTuple):
    """What is wrong with the text of a rule; `line` 0: the text does not say where."""

    field: str
    message: str
    line: int = 0
    column: int = 0


class RuleText(NamedTuple):
    """A rule that was read; None with its faults."""

    entry: RuleEntry | None
    faults: list[PlacedFault]
    places: dict[Path, Place]


def load_yaml(text: str) -> Any:
    """Return what the YAML of a file holds. Raises BadYaml."""
    return _load(text, may_alias=True)[0]


def read_text(text: str) -> RuleText:
    """Return the rule of a YAML text: its fields, or `rules:` with one rule as in a file. It raises nothing."""
    if len(text) > MAX_TEXT:
        return RuleText(None, [PlacedFault("", f"it has more than {MAX_TEXT:,} characters: write one rule")], {})
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        return RuleText(None, [PlacedFault("", f"it has more than {MAX_BRACKETS} of [ and {{: write it flat")], {})
    try:
        document, node = _load(text, may_alias=False)
        places = dict(_places(node)) if node is not None else {}
    except BadYaml as error:
        return RuleText(None, [PlacedFault("", error.what, *error.place)], {})
    if isinstance(document, dict) and isinstance(document.get("rules"), list) and len(document["rules"]) == 1:
        document = document["rules"][0]
        places = {path[2:]: place for path, place in places.items() if path[:2] == ("rules", 0)}
    if not isinstance(document, dict):
        return RuleText(None, [PlacedFault("", "write the fields of one rule: id: …, when: {kind: …}", 1, 1)], {})
    entry, found = read_entry(document)
    return RuleText(entry, [PlacedFault(*one[:2], *_place(one, places)) for one in found], places)


def read_entry(document: dict[str, Any]) -> tuple[RuleEntry | None, list[Fault]]:
    """Return the rule of a document, or None with what is wrong with it."""
    try:
        return RuleEntry.model_validate(document), []
    except ValidationError as error:
        return None, faults(error)


def write_text(entry: RuleEntry) -> str:
    """Return a rule as YAML, without what it says by default."""
    import yaml

    fields = entry.model_dump(mode="json", exclude_defaults=True)
    fields["when"] = {"kind": entry.when.kind, **fields["when"]}
    order = ("id", "name", "description", "enabled", "where", "series", "when", "to", "severity", "cooldown_s")
    found = {name: fields[name] for name in order if name in fields}
    # PyYAML writes some characters that are no text, such as U+0085, so that they cannot be read again: escape them.
    is_text = all(text.isprintable() for text in (entry.id, entry.name, entry.description, entry.where))
    return str(yaml.safe_dump(found, sort_keys=False, allow_unicode=is_text, width=100))


class BadYaml(BadSettings):
    """The text is no YAML."""

    def __init__(self, what: str, place: Place) -> None:
        super().__init__(f"line {place[0]}, column {place[1]}: {what}" if place[0] else what)
        self.what, self.place = what, place


def _load(text: str, *, may_alias: bool) -> tuple[Any, Any]:
    """Return the document and its node. Without `may_alias` a short text cannot make a huge rule."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if not may_alias and self.check_event(yaml.AliasEvent):
                raise BadYaml("it uses an alias: write the value itself", _mark(self.get_event().start_mark))  # type: ignore[no-untyped-call]  # PyYAML has no type here
            return super().compose_node(parent, index)

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > MAX_NUMBER:
                raise BadYaml("the number is too long: correct it", _mark(node.start_mark))
            return super().construct_yaml_int(node)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    # YAML 1.1 gives `=` a meaning that nothing uses: here it is the operator.
    Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        return (None, None) if node is None else (loader.construct_document(node), node)
    except yaml.MarkedYAMLError as error:
        place = _mark(error.problem_mark) if error.problem_mark else (0, 0)
        raise BadYaml(" ".join(f"{error.problem or error.context}: correct it".split()), place) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise BadYaml(f"it cannot be read as YAML ({' '.join(str(error).split())[:200]}): correct it", (0, 0)) from None
    except RecursionError:
        raise BadYaml("it is nested too deep: write it flat", (0, 0)) from None


def _mark(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1


def _places(node: Any, path: Path = ()) -> Iterator[tuple[Path, Place]]:
    yield path, _mark(node.start_mark)
    if node.id == "mapping":
        for key, value in node.value:
            yield from _places(value, (*path, str(key.value)))
            yield (*path, str(key.value), KEY), _mark(key.start_mark)
    elif node.id == "sequence":
        for index, value in enumerate(node.value):
            yield from _places(value, (*path, index))


KEY = "\x00key"  # behind the path of a field: where its name stands


def _place(fault: Fault, places: dict[Path, Place]) -> Place:
    """Return where a fault is: at its value, at its name if it is not known, or where the field that lacks it is."""
    path = fault.path
    if fault.is_unknown and (*path, KEY) in places:
        return places[(*path, KEY)]
    while path not in places and path:
        path = path[:-1]
    return places.get(path, (0, 0))
