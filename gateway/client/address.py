"""
Where to send: the first of argument, GATEWAY_URL, gateway.toml, the default stack's stack.json, and `none:`.

    kafka://host:port[,host:port]   a Kafka cluster's bootstrap servers
    none:                           nowhere; events are counted and discarded

gateway.toml is looked for in the working directory, or where GATEWAY_CONFIG says. `kafka = "host:port"` there, or
GATEWAY_KAFKA, stands for `url = "kafka://host:port"` where no url is given: both sides then share one setting.
"""

from __future__ import annotations

import os

from gateway.client.errors import ClientError
from gateway.client.home import default_home, stack_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TOPIC = "tracking.events"
NOWHERE = "none:"


class Address:
    """A url and the topic behind it."""

    __slots__ = ("found", "topic", "url")

    def __init__(self, url: str, topic: str, *, found: bool = True) -> None:
        self.url = url
        self.topic = topic
        self.found = found  # False: nobody named an address, so it is `none:`

    @property
    def servers(self) -> list[str]:
        """Kafka's bootstrap servers, `host:port` each; [] for `none:`."""
        return self.url[len("kafka://") :].split(",") if self.url.startswith("kafka://") else []

    @property
    def label(self) -> str:
        """What to call the other end in a message to a person."""
        return f"Kafka at {','.join(self.servers)}" if self.servers else self.url


def find_address(url: str | None = None, environ: Mapping[str, str] | None = None) -> Address:
    """Return the address to send to. Raises ClientError for an address or a gateway.toml that cannot be used."""
    env = dict(os.environ if environ is None else environ)
    toml = _read_toml(env.get("GATEWAY_CONFIG") or "")
    home = env.get("GATEWAY_HOME") or str(toml.get("home") or "")
    stack = stack_settings(os.path.expanduser(home) if home else default_home(env))
    variables = {name: env.get(f"GATEWAY_{name.upper()}") for name in ("url", "kafka", "topic")}
    topic = next((str(source["topic"]) for source in (variables, toml, stack) if source.get("topic")), DEFAULT_TOPIC)
    for source in ({"url": url}, variables, toml, stack):
        named = source.get("url") or (f"kafka://{source['kafka']}" if source.get("kafka") else "")
        if named:
            return Address(_checked(str(named)), topic)
    return Address(NOWHERE, topic, found=False)


def _checked(url: str) -> str:
    if url == NOWHERE:
        return url
    scheme, _, rest = url.partition("://")
    if scheme in ("http", "https"):
        raise ClientError(
            f"url {url!r}: sending over HTTP is not in this release: give Kafka's address as kafka://host:port"
        )
    servers = [server.strip() for server in rest.rstrip("/").split(",")]
    if scheme != "kafka" or not all(map(_is_server, servers)):
        raise ClientError(f"url {url!r} is not an address: write kafka://host:port[,host:port] or none:")
    return f"kafka://{','.join(servers)}"


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return bool(bare) and not set(bare) & set("/@ []") and port.isascii() and port.isdecimal() and int(port) < 65_536


def _read_toml(named: str) -> dict[str, object]:
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
