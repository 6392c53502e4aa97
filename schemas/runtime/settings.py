"""
All settings of the system: addresses, names, secrets and limits.

The first source that has a value counts: arguments, environment `GATEWAY_<FIELD>`, `gateway.toml` (in the working
directory, or named by GATEWAY_CONFIG), then the `stack.json` that the embedded stack of `home` wrote. A name that is
not a setting is an error and is never ignored: a typing mistake must not run against the wrong database. Settings are
read once, in `main`, and passed on as a value.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from schemas.errors import BadSettings
from schemas.runlog import LOST_AFTER_S
from schemas.runtime.logs import LogFormat

PREFIX = "GATEWAY_"

# Read by the training client (gateway/client), which does not import pydantic, and by the entry of each process.
CLIENT_VARIABLES = frozenset(
    {
        "GATEWAY_AGENT",
        "GATEWAY_AGENT_IDLE_S",
        "GATEWAY_ATTEMPT",
        "GATEWAY_CAPTURE",
        "GATEWAY_CONFIG",
        "GATEWAY_FINISH_TIMEOUT_S",
        "GATEWAY_JOIN",
        "GATEWAY_JOURNAL_DIR",
        "GATEWAY_JOURNAL_MAX_MB",
        "GATEWAY_MAGNUS_STEPS",
        "GATEWAY_RUN_ID",
        "GATEWAY_SAP_EXECUTION",
        "GATEWAY_SAP_NOTEBOOK",
        "GATEWAY_SAP_PIPELINE",
        "GATEWAY_SAP_SCENARIO",
        "GATEWAY_SAP_SCENARIO_VERSION",
        "GATEWAY_SYSTEM_METRICS_S",
    }
)


_FROM_STACK = ("kafka", "postgres", "mlflow_url", "wandb_dir", "url")  # `gateway up` gives these a value


def _split(text: Any) -> Any:
    """Return the names in a text: a JSON list, or names separated by commas. Raises ValueError."""
    if not isinstance(text, str):
        return text
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON list, {error}; write names separated by commas, or a JSON list") from error


Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]  # NoDecode: the environment gives the text to _split


class Settings(BaseSettings):
    """Options of every process of the system. Environment: GATEWAY_<FIELD>, upper case."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(default=Path(), description="folder of the embedded stack")
    url: str = Field(
        default="", description="where training clients send: kafka://host:port, http(s)://host:port or none:"
    )
    kafka: str = Field(default="", description="Kafka bootstrap servers, host:port[,host:port]")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="protocol to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_ca: Path | None = Field(default=None, description="PEM file of the authority that signed the brokers' names")
    kafka_cert: Path | None = Field(default=None, description="PEM file of this client's certificate, for mutual TLS")
    kafka_key: Path | None = Field(default=None, description="PEM file of the private key")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the password is sent: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_user: str = Field(default="", description="user at Kafka, for SASL_PLAINTEXT and SASL_SSL")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="password of kafka_sasl_user")
    topic: str = Field(default="tracking.events", description="topic of events: the log")
    dead_letter_topic: str = Field(default="tracking.dead-letters", description="topic of dead letters")
    dead_letters_in_row: int = Field(
        default=10_000, ge=1, description="consecutive dead letters in a partition; the next one stops it"
    )
    dead_letters_per_run: int = Field(
        default=100_000, ge=1, description="dead letters of one run in a partition; the next one stops it"
    )
    partitions: int = Field(default=8, ge=1, le=10_000, description="partitions of the log, at creation only")
    replication: int = Field(default=1, ge=1, le=10, description="replicas of the log, at creation only")
    postgres: SecretStr = Field(default=SecretStr(""), description="postgresql://user:password@host:port/db")
    live_host: str = Field(default="127.0.0.1", description="address the API and dashboard listen on")
    live_port: int = Field(default=8700, ge=1, le=65_535, description="port of the API and dashboard")
    live_url: str = Field(default="", description="address of the API for commands; from host and port if empty")
    allowed_hosts: Names = Field(
        default=[], description="further names by which browsers reach the API and POST /v1/events; list"
    )
    ingest_host: str = Field(default="127.0.0.1", description="address that POST /v1/events listens on")
    ingest_port: int = Field(default=8701, ge=1, le=65_535, description="port of POST /v1/events")
    ingest_cert: Path | None = Field(default=None, description="PEM file of its certificate chain: then it is https")
    ingest_key: Path | None = Field(default=None, description="PEM file of the private key")
    mlflow_door_host: str = Field(default="127.0.0.1", description="address that the MLflow door listens on")
    mlflow_door_port: int = Field(
        default=5001, ge=1, le=65_535, description="port of the MLflow door: MLFLOW_TRACKING_URI=http://host:port"
    )
    mlflow_doors: int = Field(
        default=1,
        ge=0,
        le=1_000,
        description="how many MLflow doors this log has; 0: the stack starts none; with more than one, each asks what "
        "others wrote",
    )
    mlflow_ui: str = Field(
        default="auto",
        description="MLflow's own server behind the MLflow door, for its pages: http(s)://host:port, none, or auto: "
        "started where it is installed, by the first request that needs it",
    )
    token: SecretStr = Field(
        default=SecretStr(""), description="token that clients send; at a server it is one of all scopes"
    )
    tokens_file: Path | None = Field(
        default=None,
        description="file of `gateway tokens`, which its owner alone can use; tokens.json in home if empty",
    )
    access: Literal["auto", "always"] = Field(
        default="auto", description="always: the API needs a token on loopback, too, and so does every /metrics"
    )
    cors_origins: Names = Field(
        default=[], description="origins whose pages may ask with a token, https://host[:port]; list"
    )
    embed_origins: Names = Field(
        default=[], description="origins whose pages may frame /embed of the dashboard, https://host[:port]; list"
    )
    requests_per_s: float = Field(
        default=5_000.0, ge=0, description="requests of a token or address in a second; 0: any number"
    )
    trust_header: str = Field(
        default="", description="header in which a proxy names the user that it signed in, such as X-Forwarded-User"
    )
    trust_scopes: Names = Field(default=["read"], description="scopes of these users; list")
    trusted_proxies: Names = Field(default=[], description="addresses and networks of such proxies; list")
    tls_ca: Path | None = Field(default=None, description="PEM file of a private authority, for url = https://...")
    artifacts: str = Field(
        default="", description="store of the bytes of artifacts: file:///folder, s3://…, gs://… or http(s)://host:port"
    )
    artifact_max_gb: float = Field(
        default=100.0, gt=0, description="largest artifact that the ingest server and the MLflow door take, 10⁹ bytes"
    )
    mlflow_url: str = Field(default="", description="tracking server or database, for the tracker mlflow")
    wandb_dir: Path | None = Field(default=None, description="folder of offline run files, for the tracker wandb")
    wandb_project: str = Field(default="tracking-gateway", description="W&B project of runs that name none")
    wandb_url: str = Field(default="https://api.wandb.ai", description="W&B server, for the tracker wandb-live")
    wandb_entity: str = Field(default="", description="W&B team or user that owns the runs; that of the key if empty")
    wandb_api_key: SecretStr = Field(default=SecretStr(""), description="key at the W&B server, for wandb-live")
    trackers: Names = Field(default=["mlflow", "wandb"], description="deliveries the stack runs; list")
    trackers_file: Path | None = Field(
        default=None, description="YAML or TOML file that defines names of trackers: {type, config}"
    )
    alert_targets: Path | None = Field(default=None, description="YAML file of where alerts are sent; none: the log")
    alert_days: float = Field(
        default=90.0, ge=0, le=36_500, description="alerts that are resolved are deleted after so many days; 0: never"
    )
    tracker_call_s: float = Field(
        default=120.0, gt=0, le=86_400, description="a call to a tracker that takes longer counts as hanging"
    )
    tensorboard_dir: Path | None = Field(default=None, description="folder of event files, for the tracker tensorboard")
    parquet_dir: Path | None = Field(default=None, description="folder of Parquet files, for the tracker parquet")
    trackio_dir: Path | None = Field(default=None, description="folder of projects, for the tracker trackio")
    trackio_project: str = Field(default="tracking-gateway", description="trackio project of runs without a tag")
    batch_records: int = Field(default=500, ge=1, description="Kafka records in one PostgreSQL transaction")
    batch_wait_ms: int = Field(default=50, ge=1, description="a transaction waits this long for batch_records, at most")
    session_timeout_ms: int = Field(
        default=10_000, ge=1_000, le=90_000, description="a materialiser that is silent for longer loses its partitions"
    )
    lost_after_s: float = Field(
        default=LOST_AFTER_S, gt=0, le=1e9, description="a running run without an event for longer shows as lost"
    )
    worker: int = Field(default=0, ge=0, description="number of this materialiser among those that share the log")
    ready_file: Path | None = Field(default=None, description="written by a process once it serves")
    log_format: LogFormat = Field(default="text", description="format of logs: text or json, one line per entry")
    metrics_host: str = Field(default="127.0.0.1", description="address of /metrics, /healthz and /readyz")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="port of these, one for each process; 0: off; the stack finds free ones",
    )
    stall_s: float = Field(
        default=120.0, gt=0, description="a process without progress for longer, while records wait, is unhealthy"
    )

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr) -> SecretStr:
        text = token.get_secret_value()
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("it must be printable ASCII without spaces")
        return token

    @field_validator("cors_origins", "embed_origins")
    @classmethod
    def _are_origins(cls, origins: list[str]) -> list[str]:
        for one in origins:
            parts = urlsplit(one)
            if parts.scheme not in ("http", "https") or one != f"{parts.scheme}://{parts.netloc}" or "@" in one:
                raise ValueError(f"{one!r:.100} is no origin: write https://host or https://host:port")
        return origins

    @field_validator("live_url", "mlflow_ui")
    @classmethod
    def _is_address(cls, url: str, info: ValidationInfo) -> str:
        words = ("auto", "none") if info.field_name == "mlflow_ui" else ("",)
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname and parts.port != 0)
            is_readable = url in words or is_address
        except ValueError:
            is_readable = False
        if not is_readable:  # without its text, which may hold a password
            raise ValueError(" or ".join(["it is not http(s)://host:port", *filter(None, words)]))
        return url

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.kafka_security.startswith("SASL") and not (self.kafka_sasl_user and self.kafka_sasl_password):
            raise ValueError(
                f"kafka_security {self.kafka_security} needs a user and a password: "
                "set GATEWAY_KAFKA_SASL_USER and GATEWAY_KAFKA_SASL_PASSWORD"
            )
        for cert, key in (("kafka_cert", "kafka_key"), ("ingest_cert", "ingest_key")):
            if bool(getattr(self, cert)) != bool(getattr(self, key)):
                raise ValueError(f"{cert} and {key} belong together: set both, or neither")
        return self

    @property
    def api(self) -> str:
        """Base address of the API, without a slash at the end."""
        return self.live_url.rstrip("/") or f"http://{_in_url(self.live_host)}:{self.live_port}"

    @property
    def api_hosts(self) -> list[str]:
        """Names by which browsers may reach the API, besides those of the machine itself."""
        named = urlsplit(self.live_url).hostname
        return [*self.allowed_hosts, *([named] if named else [])]

    @property
    def tokens_path(self) -> Path:
        """File of the tokens."""
        return self.tokens_file or self.home / "tokens.json"

    @property
    def ingest(self) -> str:
        """Base address of the server of POST /v1/events, as its own machine reaches it."""
        return f"{'https' if self.ingest_cert else 'http'}://{_in_url(self.ingest_host)}:{self.ingest_port}"

    @property
    def mlflow_door(self) -> str:
        """Base address of the MLflow door, as its own machine reaches it."""
        scheme = "https" if self.ingest_cert else "http"
        return f"{scheme}://{_in_url(self.mlflow_door_host)}:{self.mlflow_door_port}"

    def need(self, name: str) -> str:
        """Return a setting that this process requires. Raises BadSettings, naming it, if it is empty."""
        value = getattr(self, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
        if not text:
            started = ", or start the local stack with `gateway up`" if name in _FROM_STACK else ""
            raise BadSettings(f"setting {name} has no value: set {PREFIX}{name.upper()}{started}")
        return text

    @classmethod
    def load(cls, home: Path | str | None = None) -> Settings:
        """
        Read all sources. `home` overrides GATEWAY_HOME.

        Raises BadSettings, naming the setting and the next step, for unknown names and values that do not fit.
        """
        _refuse_unknown_variables()
        try:
            return cls(home=_find_home(home))
        except ValidationError as error:
            raise BadSettings(_explain(error)) from error
        except SettingsError as error:  # a value that a source cannot read
            raise BadSettings(f"{error} ({error.__cause__}): correct it, see docs/settings.md") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override gateway.toml, and gateway.toml the stack's own addresses."""
        return init_settings, env_settings, _TomlSource(settings_cls), _StackSource(settings_cls)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host  # an IPv6 address


class _TomlSource(PydanticBaseSettingsSource):
    """Values of gateway.toml."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        named = os.environ.get("GATEWAY_CONFIG")
        path = Path(named or "gateway.toml")
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if named:
                raise BadSettings(f"GATEWAY_CONFIG names {path}, which is not there: correct the path") from None
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadSettings(f"{path} cannot be read as TOML ({error}): correct the file") from error


class _StackSource(PydanticBaseSettingsSource):
    """Addresses at which the embedded stack of this home serves."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        home = Path(self.current_state.get("home") or _find_home(None))
        try:
            stack = json.loads((home / "stack.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # no stack here, or its supervisor is rewriting the file
        found = stack.get("settings") if isinstance(stack, dict) else None
        return {name: value for name, value in found.items() if name in Settings.model_fields} if found else {}


def _find_home(home: Path | str | None) -> Path:
    named = home or os.environ.get("GATEWAY_HOME")
    try:
        return Path(named).expanduser().absolute() if named else _default_home()
    except RuntimeError as error:  # of `expanduser`: neither HOME nor an entry in the password file
        raise BadSettings(
            "the home folder of this user is not known: set HOME, or set GATEWAY_HOME to the folder of the stack"
        ) from error


def _default_home() -> Path:
    # The client has the same rule in gateway/client/stack_file.py; a test in tests/contract compares the two.
    import sys

    if sys.platform == "darwin":
        return Path("~/Library/Application Support/tracking-gateway").expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "tracking-gateway"
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "tracking-gateway"


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise BadSettings(
            f"unknown setting {', '.join(unknown)} in the environment: unset it, or see the names with `gateway doctor`"
        )


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else ""
        why = item["msg"].removeprefix("Value error, ")
        why = f"entry {item['loc'][1]}: {why}" if len(item["loc"]) > 1 else why
        if not name:
            parts.append(why)
        elif item["type"] == "extra_forbidden":
            parts.append(f"unknown setting {name}: remove it, or see the names with `gateway doctor`")
        else:
            parts.append(f"setting {name} does not fit ({why}): correct {PREFIX}{name.upper()}")
    return "; ".join(parts)
