"""
The server's error answers: `{"error": what, "next": what to do}`, and the number of a record at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

RETRY_AFTER_S = 1


class Failure(Exception):
    """A refused request, of which nothing is written; the texts are those that its sender reads."""

    def __init__(
        self,
        status: int,
        error: str,
        next_step: str,
        *,
        record: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.next_step = next_step
        self.record = record  # number of the record at fault, from 0
        self.headers = dict(headers or {})  # besides those that every answer has

    def response(self) -> JSONResponse:
        """Return the answer, with the headers that its status requires."""
        body: dict[str, Any] = {"error": self.error, "next": self.next_step}
        if self.record is not None:
            body["record"] = self.record
        headers = {"Cache-Control": "no-store", **self.headers}
        if self.status in (429, 503):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (408, 413):
            headers["Connection"] = "close"  # the rest of the body may still be on its way
        return JSONResponse(body, self.status, headers=headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error in this form."""

    @app.exception_handler(Failure)
    async def failed(request: Request, error: Failure) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        what = f"{request.method} {request.url.path}: {error.detail}"
        answer = Failure(error.status_code, what, "send events with POST /v1/events").response()
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises the error again after this answer, so that the log of the process has the traceback.
        return Failure(500, f"unexpected {type(error).__name__}", "see the log of the server").response()
