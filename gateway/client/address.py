"""
Find the address to send to: the first of argument, GATEWAY_URL, gateway.toml, the default stack's stack.json, `none:`.

    kafka://host:port[,host:port]   bootstrap servers of a Kafka cluster
    http://host:port, https://...   a gateway server (gateway/server), for workers that cannot reach Kafka
    none:                           nowhere; events stay in the journal, for `gateway sync`

gateway.toml is read from the working directory, or from the path in GATEWAY_CONFIG. `kafka = "host:port"` there, or
GATEWAY_KAFKA, means `url = "kafka://host:port"` where no url is given, so that both sides can share one setting.
Credentials and trusted certificates (OPTIONS) come from the environment and from gateway.toml.
"""

from __future__ import annotations

import os

from gateway.client.errors import ClientError
from gateway.client.stack_file import settings_of_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_TOPIC = "tracking.events"
NOWHERE = "none:"
OPTIONS = (  # the settings of schemas/runtime/settings.py for security and authentication
    "kafka_security",
    "kafka_ca",
    "kafka_cert",
    "kafka_key",
    "kafka_sasl_mechanism",
    "kafka_sasl_user",
    "kafka_sasl_password",
    "token",
    "tls_ca",
)
SECRETS = ("kafka_sasl_password", "token")
SECURITIES = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Address:
    """A URL, the topic behind it, and the options for security and authentication."""

    __slots__ = ("is_configured", "options", "topic", "url")

    def __init__(
        self, url: str, topic: str, *, is_configured: bool = True, options: Mapping[str, str] | None = None
    ) -> None:
        self.url = url
        self.topic = topic
        self.is_configured = is_configured  # False: no address is configured, so it is `none:`
        self.options = dict(options or {})  # those of OPTIONS that are set; contains secrets

    @property
    def servers(self) -> list[str]:
        """Kafka's bootstrap servers, each as `host:port`; [] if the address is not Kafka's."""
        return self.url[len("kafka://") :].split(",") if self.url.startswith("kafka://") else []

    @property
    def is_http(self) -> bool:
        """Whether a gateway server is behind it."""
        return self.url.startswith(("http://", "https://"))

    @property
    def keeps(self) -> bool:
        """Whether events sent there are kept; False for `none:`."""
        return bool(self.servers) or self.is_http

    @property
    def label(self) -> str:
        """Name of the other end for messages to a person."""
        if self.is_http:
            return f"the gateway server at {self.url}"
        return f"Kafka at {','.join(self.servers)}" if self.servers else self.url


def find_address(url: str | None = None, environ: Mapping[str, str] | None = None) -> Address:
    """
    Return the address to send to. Raises ClientError if the address, an option or gateway.toml cannot be used.

    `none:` as argument can always be used: who cannot send now keeps events in the journal.
    """
    env = dict(os.environ if environ is None else environ)
    try:
        toml = read_toml(env.get("GATEWAY_CONFIG") or "")
    except ClientError:
        if url != NOWHERE:
            raise
        toml = {}
    home = env.get("GATEWAY_HOME") or str(toml.get("home") or "")
    stack = settings_of_stack(home, env)
    variables = {name: env.get(f"GATEWAY_{name.upper()}") for name in ("url", "kafka", "topic", *OPTIONS)}
    topic = next((str(source["topic"]) for source in (variables, toml, stack) if source.get("topic")), DEFAULT_TOPIC)
    is_chosen = bool(env.get("GATEWAY_CONFIG"))  # not merely found in the working directory
    for source in ({"url": url}, variables, toml, stack):
        named = source.get("url") or (f"kafka://{source['kafka']}" if source.get("kafka") else "")
        if named == NOWHERE:
            return Address(NOWHERE, topic)
        if named:
            # The secrets of a stack are for that stack only, not for an address from another source.
            sources: Sequence[Mapping[str, object]] = (variables, toml, stack) if source is stack else (variables, toml)
            if source is toml and not is_chosen:
                sources = _without_secrets(variables, toml, str(named)), toml
            return Address(_checked(str(named)), topic, options=_find_options(sources))
    return Address(NOWHERE, topic, is_configured=False)


def _without_secrets(variables: Mapping[str, object], toml: Mapping[str, object], url: str) -> Mapping[str, object]:
    """
    Return the variables for an address that a gateway.toml in the working directory names: without the secrets.

    A repository of somebody else may contain that file; the server it names must not learn the secrets of the
    environment. Raises ClientError if the address would need one.
    """
    secret = "token" if url.startswith("http") else "kafka_sasl_password"
    if variables.get(secret) and not toml.get(secret):
        raise ClientError(
            f"GATEWAY_{secret.upper()} is not sent to {_without_credentials(url)}, which gateway.toml in the working "
            "directory names: set GATEWAY_URL to this address, or GATEWAY_CONFIG=gateway.toml if you trust the file"
        )
    return {name: value for name, value in variables.items() if name not in SECRETS}


def _find_options(sources: Sequence[Mapping[str, object]]) -> dict[str, str]:
    found = {name: str(next((source[name] for source in sources if source.get(name)), "") or "") for name in OPTIONS}
    options = {name: value for name, value in found.items() if value}
    security, mechanism = (
        options.get("kafka_security", "PLAINTEXT"),
        options.get("kafka_sasl_mechanism", MECHANISMS[-1]),
    )
    if security not in SECURITIES:
        raise ClientError(f"GATEWAY_KAFKA_SECURITY {security!r} is not known: write one of {', '.join(SECURITIES)}")
    if mechanism not in MECHANISMS:
        raise ClientError(
            f"GATEWAY_KAFKA_SASL_MECHANISM {mechanism!r} is not known: write one of {', '.join(MECHANISMS)}"
        )
    token = options.get("token", "")
    if not (token.isascii() and token.isprintable() and " " not in token):  # the message never shows it
        raise ClientError("GATEWAY_TOKEN does not fit into a header: use printable ASCII without spaces")
    if security.startswith("SASL") and not (options.get("kafka_sasl_user") and options.get("kafka_sasl_password")):
        raise ClientError(
            f"GATEWAY_KAFKA_SECURITY {security} needs a user and a password: "
            "set GATEWAY_KAFKA_SASL_USER and GATEWAY_KAFKA_SASL_PASSWORD"
        )
    return options


def _checked(url: str) -> str:
    if url == NOWHERE:
        return url
    scheme, _, rest = url.partition("://")
    if scheme in ("http", "https"):
        return _checked_http(url, scheme, rest)
    servers = [server.strip() for server in rest.rstrip("/").split(",")]
    if scheme != "kafka" or not all(map(_is_server, servers)):
        raise ClientError(
            f"url {_without_credentials(url)!r} is not an address: "
            "write kafka://host:port[,host:port], http://host:port, https://host:port or none:"
        )
    return f"kafka://{','.join(servers)}"


def _checked_http(url: str, scheme: str, rest: str) -> str:
    server, slash, path = rest.rstrip("/").partition("/")
    if "@" in server:
        raise ClientError(
            f"url {_without_credentials(url)!r}: a password does not belong in an address: write {scheme}://host:port, "
            "and put the token into GATEWAY_TOKEN"
        )
    if not _is_server(server) and not _is_server(f"{server}:{443 if scheme == 'https' else 80}"):
        raise ClientError(f"url {_without_credentials(url)!r} is not an address: write {scheme}://host:port")
    if set(path) & set("?# ") or path == "v1/events":
        raise ClientError(
            f"url {_without_credentials(url)!r}: name only the server, /v1/events is added to it: write {scheme}://host:port"
        )
    return f"{scheme}://{server}{slash}{path}"


def _without_credentials(url: str) -> str:
    """Return the URL with a user and password, if there are any, replaced by ***."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://***@{after}" if at and "://" in before else url


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    forbidden = set("/@ []") if bare is not host else set("/@ []:")  # colons must be in brackets
    return bool(bare) and not set(bare) & forbidden and port.isascii() and port.isdecimal() and int(port) < 65_536


def read_toml(named: str) -> dict[str, object]:
    """Return the contents of the named file, else of gateway.toml; {} if that does not exist. Raises ClientError."""
    path = named or "gateway.toml"
    try:
        with open(path, "rb") as file:
            import tomllib

            return tomllib.load(file)
    except FileNotFoundError:
        if named:
            raise ClientError(f"GATEWAY_CONFIG names {named}, which is not there: correct the path") from None
        return {}
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ClientError(f"{path} cannot be read as TOML ({error}): correct the file") from error
