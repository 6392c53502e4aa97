"""
Pages of other origins that GATEWAY_CORS_ORIGINS names: they may ask with a token, and never get the cookie's rights.
"""

from __future__ import annotations

from collections.abc import Collection

Header = tuple[bytes, bytes]
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_HEADERS = b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Gateway-CSRF"
_SHOWN = b"ETag, Retry-After, X-Folded"
PREFLIGHT_S = 600


def answer_headers(origin: str, origins: Collection[str]) -> list[Header]:
    """Return what an answer to a request from this origin says; [] for an origin that is not allowed."""
    if not origins:
        return []
    vary = [(b"vary", b"Origin")]
    if origin not in origins:
        return vary
    return [*vary, (b"access-control-allow-origin", origin.encode()), (b"access-control-expose-headers", _SHOWN)]


def preflight_headers(origin: str, origins: Collection[str]) -> list[Header]:
    """Return the answer to the question of a browser whether a page may ask."""
    return [
        *answer_headers(origin, origins),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _HEADERS),
        (b"access-control-max-age", str(PREFLIGHT_S).encode()),
        (b"content-length", b"0"),
    ]
