"""
The targets file: where alerts are sent, in YAML.

    targets:
      team-chat:
        type: slack                       # or webhook, email, log
        url: ${SLACK_WEBHOOK}             # from the environment, so that the file contains no secrets
      oncall:
        type: webhook
        url: https://oncall.example.org/hook
        secret: ${ONCALL_SECRET}          # signs each message, see docs/alerts.md
        headers: {Authorization: "Bearer ${ONCALL_TOKEN}"}
      mail:
        type: email
        smtp: smtp.example.org:587
        from: gateway@example.org
        to: [ops@example.org]
        user: gateway
        password: ${SMTP_PASSWORD}
    default: [team-chat]                  # of rules that name none, and of alarms in code

GATEWAY_ALERT_TARGETS names the file. Its owner alone decides which addresses this process calls: a rule names a target,
never an address.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from consumers.alerts.yaml_file import read_yaml
from schemas.alerts.rule import TARGET
from schemas.errors import BadSettings

log = logging.getLogger("consumers.alerts")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_ADDRESS = r"^[^\s@,<>]+@[^\s@,<>]+$"


def _check_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:  # without its text, which may be a secret
        raise ValueError("it is not http(s)://host...: write the address of the hook")
    return url


def _check_header(text: SecretStr) -> SecretStr:
    if not text.get_secret_value().isprintable() or not text.get_secret_value().isascii():
        raise ValueError("it must be printable ASCII")
    return text


Url = Annotated[SecretStr, AfterValidator(_check_url)]  # that of a Slack hook is a secret itself
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
HeaderText = Annotated[SecretStr, AfterValidator(_check_header)]


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0


class Webhook(_Target):
    """A POST of JSON, signed if there is a secret."""

    type: Literal["webhook"]
    url: Url
    secret: SecretStr = SecretStr("")
    headers: dict[HeaderName, HeaderText] = {}


class Slack(_Target):
    """An incoming webhook of Slack, or of what takes the same messages, such as Mattermost and Rocket.Chat."""

    type: Literal["slack"]
    url: Url


class Email(_Target):
    """A mail over SMTP, with STARTTLS where the server offers it; port 465 is TLS from the start."""

    type: Literal["email"]
    smtp: Annotated[str, Field(pattern=r"^[^\s:/]+(:\d{1,5})?$")]
    sender: Annotated[str, Field(alias="from", pattern=_ADDRESS)]
    to: Annotated[list[Annotated[str, Field(pattern=_ADDRESS)]], Field(min_length=1, max_length=50)]
    user: str = ""
    password: SecretStr = SecretStr("")


class Log(_Target):
    """A line in the log of the alerts process."""

    type: Literal["log"]


Target = Annotated[Webhook | Slack | Email | Log, Field(discriminator="type")]


class Targets(BaseModel):
    """The targets by name, and those of rules that name none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: dict[Annotated[str, Field(pattern=f"^{TARGET}$")], Target]
    default: list[str] = []


LOG_ALONE = Targets(targets={"log": Log(type="log")}, default=["log"])


def read_targets(path: Path | None) -> Targets:
    """Return the targets of a file; without one, the log alone. Raises BadSettings: one line that names the field."""
    if path is None:
        return LOG_ALONE
    document = _filled(read_yaml(path, "GATEWAY_ALERT_TARGETS"), str(path))
    try:
        found = Targets.model_validate(document)
    except ValidationError as error:
        raise BadSettings(_explained(error, str(path))) from None  # its text may contain a secret
    if unknown := sorted(set(found.default) - found.targets.keys()):
        raise BadSettings(f"{path}: default: no target is called {', '.join(unknown)}: define it, or correct the name")
    return found


class TargetsFile:
    """The targets of a file, read again when it changes. A file that is wrong then leaves the targets as they were."""

    def __init__(self, path: Path | None) -> None:
        """Read it. Raises BadSettings."""
        self._path, self._stamp = path, _stamp(path)
        self.now = read_targets(path)

    def has_changed(self) -> bool:
        """Read the file again if it is another one; return whether there are other targets now."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            found = read_targets(self._path)
        except BadSettings as error:
            log.warning("%s; until then the targets of before are used", error)
            return False
        if found == self.now:
            return False
        self.now = found
        log.info("%s has changed: %d targets", self._path, len(found.targets))
        return True


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = None if path is None else path.stat()
    except OSError:  # reading it says why
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def describe(target: Target) -> str:
    """Return where a target leads, without secrets: of an address its host alone."""
    match target:
        case Webhook() | Slack():
            parts = urlsplit(target.url.get_secret_value())
            return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/…"
        case Email():
            return f"{', '.join(target.to)} by {target.smtp}"
        case Log():
            return "the log of the process"


def _explained(error: ValidationError, about: str) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{about}: {where or 'the file'}: {message[0].lower()}{message[1:]}: correct it, see docs/alerts.md"


def _filled(value: Any, about: str) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(found[1], about), value)
    if isinstance(value, dict):
        return {key: _filled(item, about) for key, item in value.items()}
    return [_filled(item, about) for item in value] if isinstance(value, list) else value


def _variable(name: str, about: str) -> str:
    if name not in os.environ:
        raise BadSettings(f"{about} uses ${{{name}}}, which is not in the environment: set {name}")
    return os.environ[name]
