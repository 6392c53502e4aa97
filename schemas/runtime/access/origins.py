"""
What a web page of another site sends to one of our servers.

A server on loopback needs no token, so every page that a browser on that machine shows could use it. Refused is what a
web page of another origin sends:

- `Host` must be a name of this server. A page whose own name resolves to 127.0.0.1 (DNS rebinding) has another one.
- `Origin`, which browsers add to what a page sends, must be this server's.
- `Sec-Fetch-Site` must not name another site, except where a person follows a link to a page.

Programs send neither of the last two.

A server with tokens is used by browsers that have a session, or that were given a token as a password, and send it with
whatever any page lets them send. There the last two are refused for changes, and `Host` must be a name of this server
unless a token is shown in `Authorization`, which no page whose name resolves to this address can know.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

Headers = Mapping[str, str]
_OWN_SITES = ("same-origin", "none")  # "none": typed by a person, or a bookmark
_HOSTS = "add its name to GATEWAY_ALLOWED_HOSTS if it is that of a proxy in front of this server"


@lru_cache(maxsize=256)  # asked for each request, nearly always with the same name
def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def foreign(headers: Headers, method: str, hosts: Iterable[str]) -> tuple[str, str] | None:
    """Return what is foreign about a request to a server without a token, and the next step; None for nothing."""
    known = {host.lower() for host in hosts}
    host = headers.get("host", "").lower()
    name = _hostname(f"//{host}")
    if host and not (is_loopback(name) or name in known):
        return f"Host {host!r:.100} is not a name of this server", f"use 127.0.0.1 or localhost; {_HOSTS}"
    if problem := _foreign_origin(headers, known):
        return problem
    site = headers.get("sec-fetch-site", "none")
    is_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    is_page = is_link and headers.get("sec-fetch-dest") == "document"
    if site not in _OWN_SITES and not is_page:
        return f"a page of another origin sent it (Sec-Fetch-Site: {site:.20})", "open this server's own pages"
    return None


def crosses_sites(headers: Headers, method: str, hosts: Iterable[str] = ()) -> tuple[str, str] | None:
    """
    Return what is wrong about a request to a server with tokens, and the next step; None for nothing.

    A browser that a person gave the token as a password sends it with whatever any page lets it send. It names the site
    of that page to https and to its own machine only (https://www.w3.org/TR/fetch-metadata/); elsewhere Origin tells.
    """
    site = headers.get("sec-fetch-site")
    if site in _OWN_SITES:
        return None
    if problem := _foreign_origin(headers, {host.lower() for host in hosts}):
        return problem
    if site is None or method in ("GET", "HEAD", "OPTIONS"):
        return None
    return f"a page of another origin sent it (Sec-Fetch-Site: {site:.20})", "open this server's own pages"


def foreign_host(headers: Headers, hosts: Iterable[str]) -> tuple[str, str] | None:
    """
    Return what is foreign about `Host` at a server with tokens, and the next step; None for nothing.

    An address and a name without a dot are never foreign: no site of the internet can be called so.
    """
    host = headers.get("host", "").lower()
    name = _hostname(f"//{host}")
    if not host or "." not in name or name in {one.lower() for one in hosts} or _is_address(name):
        return None
    return f"Host {host!r:.100} is not a name of this server", _HOSTS


def _foreign_origin(headers: Headers, known: Collection[str]) -> tuple[str, str] | None:
    origin = headers.get("origin", "").lower()
    if not origin or origin.partition("://")[2] == headers.get("host", "").lower() or _hostname(origin) in known:
        return None
    return f"Origin {origin!r:.100} is not this server's", f"use its own pages; {_HOSTS}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _hostname(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:  # an odd IPv6 address
        return ""
