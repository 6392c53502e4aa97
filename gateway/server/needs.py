"""
What each route of the ingest server needs. A route without a row needs `admin`; a test names it.
"""

from __future__ import annotations

from schemas.runtime.access.needs import OPEN, Needs, need

_ARTIFACT = "/v1/artifacts/sha256/{digest}"
NEEDS = Needs(
    {
        "GET /healthz": OPEN,
        "GET /readyz": OPEN,
        "POST /v1/events": need("emit", limited=True),
        # A caller that knows a SHA-256 has seen the bytes, or an artifact of a run that they may see.
        f"PUT {_ARTIFACT}": need("emit", limited=True),
        f"GET {_ARTIFACT}": need("emit", "read", limited=True),
    }
)
