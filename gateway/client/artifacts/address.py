"""
Find the artifact store, GATEWAY_ARTIFACTS, `artifacts` in gateway.toml, or what the local stack names, and open it.

    file:///mnt/artifacts            a folder (standard library only)
    http://host:8701, https://...    the artifact door of a gateway server (standard library only)
    s3://bucket/path, gs://..., ...  whatever fsspec has a driver for
"""

from __future__ import annotations

import os
import re

from gateway.client.address import read_toml
from gateway.client.artifacts.store import DOOR, ArtifactError, Store
from gateway.client.stack_file import settings_of_stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.client.artifacts.store import Backend


# A password, or a query with a key in it. The address is a part of the URI of each artifact, which all readers see.
_SECRET = re.compile(r"://(?:[^/]*:[^/]*@|.*\?)|^https?://[^/]*@")


class StoreAddress:
    """Where the store is, with what `open_store` needs besides."""

    __slots__ = ("ca", "token", "url")

    def __init__(self, url: str, token: str = "", ca: str = "") -> None:
        self.url = url
        self.token = token
        self.ca = ca

    def open(self) -> Store:
        """Return the store. Raises ArtifactError."""
        return open_store(self.url, token=self.token, ca=self.ca)


def find_store(environ: Mapping[str, str] | None = None, *, home: str = "", sends_to: str = "") -> StoreAddress | None:
    """
    Return where bytes of artifacts are stored; None if no store is set. Raises ClientError.

    The store of the local stack is for runs that are sent to that stack: `sends_to` is the address of the run's events.
    A token goes only to an address from the same source, or from one that is trusted as much: somebody who can put a
    gateway.toml into the working directory must not learn the token of the environment.
    """
    env = dict(os.environ if environ is None else environ)
    toml = read_toml(env.get("GATEWAY_CONFIG") or "")
    stack = settings_of_stack(home or env.get("GATEWAY_HOME") or str(toml.get("home") or ""), env)
    variables = {name: env.get(f"GATEWAY_{name.upper()}") for name in ("artifacts", "token", "tls_ca")}
    is_chosen = bool(env.get("GATEWAY_CONFIG"))  # not merely found in the working directory
    for source, secrets in (
        (variables, (variables, toml)),
        (toml, (variables, toml) if is_chosen else (toml,)),
        (stack if _is_stacks(sends_to, stack) else {}, (variables, stack)),
    ):
        if url := source.get("artifacts"):
            token, ca = (
                next((str(one[name]) for one in sources if one.get(name)), "")
                for name, sources in (("token", secrets), ("tls_ca", (variables, toml)))
            )
            if not (token.isascii() and token.isprintable() and " " not in token):  # the message never shows it
                raise ArtifactError("GATEWAY_TOKEN does not fit into a header: use printable ASCII without spaces")
            return StoreAddress(_without_secret(str(url)), token, ca)
    return None


def _without_secret(url: str) -> str:
    if not url.startswith("file:") and _SECRET.search(url):  # the message never shows it
        raise ArtifactError(
            "the address of an artifact store must have no password and no `?`, because the log names it: put the "
            "token into GATEWAY_TOKEN, and credentials where its library finds them, as AWS_SECRET_ACCESS_KEY"
        )
    return url


def _is_stacks(sends_to: str, stack: Mapping[str, object]) -> bool:
    return sends_to in ("", stack.get("url"), f"kafka://{stack.get('kafka')}")


def open_store(url: str, *, token: str = "", ca: str = "") -> Store:
    """
    Return the store at an address. Nothing is asked or written yet.

    `token` goes to a gateway server, and `ca` is a PEM file of its authority. Raises ArtifactError for an address that
    cannot be used, and where the library for it is not installed.
    """
    scheme, url = url.partition("://")[0], _without_secret(url).rstrip("/")
    backend: Backend
    if scheme == "file":
        from gateway.client.artifacts.folder_store import FolderBackend

        backend = FolderBackend.at(url)
    elif scheme in ("http", "https"):
        from gateway.client.artifacts.http_store import HttpBackend

        url = url.removesuffix(DOOR)
        backend = HttpBackend(url, token=token, ca=ca)
    elif "://" in url:
        from gateway.client.artifacts.fsspec_store import FsspecBackend

        backend = FsspecBackend(url)
    else:
        raise ArtifactError(
            f"{url!r:.200} is no artifact store: write file:///folder, s3://bucket/path, gs://... or https://gateway:8701"
        )
    return Store(url, backend)
