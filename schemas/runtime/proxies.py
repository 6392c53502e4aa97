"""
Requests to this machine do not go through a proxy.

`HTTP_PROXY` is set on the machines of companies and clusters, often without `NO_PROXY`, and the libraries of MLflow and
W&B follow it for every host. A proxy elsewhere cannot reach a server of this machine, and must not see what goes to it.
"""

from __future__ import annotations

import os

LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def bypass_proxies_on_loopback() -> None:
    """Add the loopback addresses to `NO_PROXY` of this process and its children, if a proxy is set."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip() for name in given.split(",") if name.strip()]
    if "*" in names:
        return
    text = ",".join([*names, *(name for name in LOOPBACK if name not in names)])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = text  # libraries differ in which one they read first
