"""
A rule of alerts, and a file of rules.

    rules:
      - id: loss-is-nan                       # what `gateway alerts apply` recognises the rule by
        name: Loss is not a number
        where: experiment = 'digits' and params.model = 'rf'
        series: {name: loss}                  # or prefix: train/, or regex: 'loss$'
        when: {kind: nan}
        to: [team-chat]                       # names of targets, see docs/alerts.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, field_validator, model_validator

from schemas.alerts.conditions import KINDS, Condition, NoNews, Part
from schemas.bounds import MAX_NAME, MAX_RUN_ID
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_WHERE = 10_000  # characters
MAX_REGEX = 200  # characters
MAX_REPEATS = 2  # in a regex; of 3, Python's `re` tries all places of each in a name, which takes minutes
MAX_WAYS = 100_000  # through a regex, of which a repeat counts as REPEAT
REPEAT = 100
MAX_RULES = 10_000  # of one file
TARGET = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_UNBOUNDED = re.compile(r"(?<!\\)(?:\\\\)*[*+]|\{\d*,\d*\}")
_REPEATED_GROUP = re.compile(r"(?<!\\)(?:\\\\)*\)(?:[*+]|\{)")
_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]", re.DOTALL)  # an escape, or a class of characters
_OPTIONAL = re.compile(r"(?<![(*+?}])\?")
_VERBOSE = re.compile(r"\(\?(?:#|[a-zA-Z]*x)")  # what follows reads as something else
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_OF_RUNS = ("run_ended", "record_missing")  # kinds of conditions that no series has


class SeriesChoice(Part):
    """Series by their written names (schemas/names.py): one name, a beginning, or a regular expression."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)] | None = None
    prefix: Annotated[str, Field(min_length=1, max_length=MAX_NAME)] | None = None
    regex: Annotated[str, Field(min_length=1, max_length=MAX_REGEX)] | None = None

    @field_validator("regex")
    @classmethod
    def _is_quick(cls, text: str | None) -> str | None:
        """Refuse what Python's `re` may take minutes for: it decides for each name, and rules come from anyone."""
        if text is None:
            return None
        try:
            re.compile(text)
        except (re.error, OverflowError) as error:  # OverflowError: a number of repeats
            raise ValueError(f"it is no regular expression ({error}): correct it, or use prefix") from None
        if _VERBOSE.search(text):
            raise ValueError("it has a comment or sets the flag x: write it without")
        if _REPEATED_GROUP.search(text) or _BACK_REFERENCE.search(text):
            raise ValueError("it repeats a group or refers back to one: write it without, or use prefix")
        repeats = len(_UNBOUNDED.findall(text))
        if repeats > MAX_REPEATS:
            raise ValueError(f"it has more than {MAX_REPEATS} of * + {{n,}}: write at most {MAX_REPEATS}")
        if _ways(text) * REPEAT**repeats > MAX_WAYS:
            raise ValueError("it has too many of ? and |: write fewer, or several rules")
        return text

    @model_validator(mode="after")
    def _is_one(self) -> SeriesChoice:
        if sum(one is not None for one in (self.name, self.prefix, self.regex)) != 1:
            raise ValueError("write one of name, prefix, regex")
        return self


def _ways(text: str) -> int:
    """Return in how many ways a regex without repeats can be tried at most: each ? doubles them, each group adds |."""
    plain = _PLAIN.sub("x", text)
    ways: int = 2 ** len(_OPTIONAL.findall(plain))
    open_groups = [1]
    for sign in plain:
        if sign == "(":
            open_groups.append(1)
        elif sign == "|":
            open_groups[-1] += 1
        elif sign == ")":
            ways *= open_groups.pop()
    return ways * open_groups[0]


class AlertRule(Part):
    """What an alert is about: the body of an entry of the collection `alert_rules`."""

    when: Condition
    series: SeriesChoice | None = None  # None: every series, without those of the system
    where: Annotated[str, Field(max_length=MAX_WHERE)] = ""  # which runs: docs/alerts.md; "": all
    to: list[Annotated[str, Field(pattern=f"^{TARGET}$")]] = Field(default_factory=list, max_length=20)
    severity: Literal["info", "warning", "critical"] = "warning"
    cooldown_s: Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _series_fits(self) -> AlertRule:
        if self.when.kind in _OF_RUNS and self.series is not None:
            raise ValueError(f"series: a rule of kind {self.when.kind} is about runs: leave series out")
        if self.when.kind == "stalled" and self.series is None:
            raise ValueError("series: a rule of kind stalled needs one: write for example {name: val/loss}")
        return self

    @property
    def is_about_runs(self) -> bool:
        """Whether the condition is about a run as a whole, and not about each of its series."""
        return self.when.kind in _OF_RUNS or (isinstance(self.when, NoNews) and self.series is None)


class RuleEntry(AlertRule):
    """A rule in a file, with its id, its name and whether it is evaluated."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_RUN_ID)]
    name: Annotated[str, Field(max_length=MAX_NAME)] = ""
    description: str = ""
    enabled: bool = True

    @property
    def rule(self) -> AlertRule:
        """The rule alone."""
        return AlertRule.model_validate(self.body())

    def body(self) -> dict[str, Any]:
        """Return the rule as the JSON that the collection holds."""
        return self.model_dump(mode="json", exclude={"id", "name", "description", "enabled"}, exclude_defaults=False)


def read_rule(body: Mapping[str, Any], about: str = "the rule") -> AlertRule:
    """Return the rule of a body. Raises BadSettings: one line that names the field and what to write."""
    try:
        return AlertRule.model_validate(body)
    except ValidationError as error:
        raise BadSettings(explained(error, about)) from error


def read_rules(document: Any, source: str) -> list[RuleEntry]:
    """Return the rules of a document `{rules: [...]}`. Raises BadSettings, naming `source`, the rule and the field."""
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise BadSettings(f"{source} must hold a list called rules: write `rules:` and one `- id: ...` for each rule")
    if unknown := sorted(map(str, document.keys() - {"rules"})):
        raise BadSettings(f"{source}: unknown {', '.join(unknown)}: write everything below rules")
    if len(document["rules"]) > MAX_RULES:
        raise BadSettings(f"{source} has {len(document['rules']):,} rules: write at most {MAX_RULES:,} in a file")
    found: dict[str, RuleEntry] = {}
    for number, entry in enumerate(document["rules"], 1):
        named = entry.get("id") if isinstance(entry, dict) else None
        about = f"{source}, rule {named!r:.60}" if named else f"{source}, rule {number}"
        try:
            one = RuleEntry.model_validate(entry)
        except ValidationError as error:
            raise BadSettings(explained(error, about)) from error
        if one.id in found:
            raise BadSettings(f"{about}: another rule of the file has this id: give each one of its own")
        found[one.id] = one
    return list(found.values())


class Fault(NamedTuple):
    """What is wrong with a field of a rule."""

    field: str  # its name, as in when.value; "": the rule
    message: str  # what is wrong, and what to write
    path: tuple[str | int, ...]
    is_unknown: bool  # there is no such field


def explained(error: ValidationError, about: str) -> str:
    """Return one line: where the first fault is, what it is, and what to write."""
    first = faults(error)[0]
    return f"{about}: {first.field}: {first.message}" if first.field else f"{about}: {first.message}"


def faults(error: ValidationError) -> list[Fault]:
    """Return everything that is wrong with a rule."""
    return [_fault(one) for one in error.errors(include_url=False)]


def _fault(found: ErrorDetails) -> Fault:
    path = tuple(part for part in found["loc"] if part not in KINDS)
    message = found["msg"].removeprefix("Value error, ")
    match found["type"]:
        case "extra_forbidden":
            message = "is not known: remove it, or correct its name (docs/alerts.md)"
        case "union_tag_invalid" | "union_tag_not_found":
            given = found["input"].get("kind") if isinstance(found["input"], dict) else None
            unknown = "" if given is None else f", and not {given!r:.60}"
            message = f"needs kind, one of {', '.join(KINDS)}{unknown}"
        case "missing":
            message = "is missing: write it"
        case "value_error":
            pass
        case _:
            message = f"{message[0].lower()}{message[1:]}, not {found['input']!r:.60}"
    return Fault(".".join(map(str, path)), message, path, found["type"] == "extra_forbidden")
