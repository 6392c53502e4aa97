"""
Addresses of runs in the trackers that received them. Pure.

They are known for the trackers `mlflow` and `wandb-live` of the settings; others, such as those that a trackers file
configures, have none here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

WANDB_API = "https://api.wandb.ai"


def page_of(tracker: str, server: str, state: Mapping[str, Any]) -> str:
    """
    Return the address of a run's page in a tracker, or "".

    `server` is the tracker's address in the settings, `state` what its delivery keeps about the run.
    """
    base = _public(server)
    if not base:
        return ""
    if tracker == "mlflow" and (run := state.get("run")):
        # Artifacts of a run are in a folder <experiment>/<run>/artifacts; the page finds a run whatever experiment
        # its address names.
        found = re.search(rf"/([^/]+)/{re.escape(str(run))}/artifacts$", str(state.get("artifacts", "")))
        return f"{base}/#/experiments/{quote(found[1] if found else '0', safe='')}/runs/{quote(str(run), safe='')}"
    if tracker == "wandb-live" and all(state.get(name) for name in ("entity", "project", "id")):
        site = "https://wandb.ai" if base == WANDB_API else base
        entity, project, run = (quote(str(state[name]), safe="") for name in ("entity", "project", "id"))
        return f"{site}/{entity}/{project}/runs/{run}"
    return ""


def _public(server: str) -> str:
    """Return an http(s) address without the user and password that it may hold; "" for others, such as a file."""
    try:
        parts = urlsplit(server)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    return urlunsplit((parts.scheme, f"[{host}]{port}" if ":" in host else host + port, parts.path.rstrip("/"), "", ""))
