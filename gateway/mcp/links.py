"""
Addresses of the dashboard's pages that show what an answer is about. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

MAX_LINKED_RUNS = 50


def page(base: str, path: str, **values: str) -> str:
    """Return the address of a page of the dashboard at `base`, without a user and password that are in it."""
    parts = urlsplit(base)
    host = parts.netloc.rpartition("@")[2]
    query = urlencode({name: value for name, value in values.items() if value})
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/") + path, query, ""))


def run_page(base: str, run_id: str) -> str:
    """Return the address of the page of a run."""
    return page(base, f"/runs/{quote(run_id, safe='')}")


def runs_page(base: str, path: str, run_ids: Sequence[str]) -> str:
    """Return the address of a page about several runs, of one run's own page, if it is one."""
    if len(run_ids) == 1:
        return run_page(base, run_ids[0])
    return page(base, path, runs=",".join(re.sub(r"[\\,]", r"\\\g<0>", one) for one in run_ids[:MAX_LINKED_RUNS]))
