"""
The id of a series in the store: a hash of its identity, so that it is the same after every rebuild.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID


@lru_cache(maxsize=20_000)  # the series that a worker holds; hashing is half of the cost of a record of small series
def _series_id(run_id: str, step_name: str, attempt: int, name: str, labels: tuple[tuple[str, str], ...]) -> UUID:
    what = json.dumps([run_id, step_name, attempt, name, labels], ensure_ascii=True)
    return UUID(bytes=blake2b(what.encode(), digest_size=16).digest())


def series_id(run_id: str, step_name: str, attempt: int, name: str, labels: dict[str, str]) -> UUID:
    """Return the id of the series with this present name."""
    return _series_id(run_id, step_name, attempt, name, tuple(sorted(labels.items())) if labels else ())
