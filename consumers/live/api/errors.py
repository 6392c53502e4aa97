"""
Error answers of the API: `{"error": what, "next": what to do}` with a fitting HTTP status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.status import HTTP_404_NOT_FOUND

from schemas.errors import LogGap, LogUnavailable, Refused, StoreUnavailable, TrackingError, Unavailable

RETRY_AFTER_S = 2
_NEXT_STEPS: dict[type[TrackingError], str] = {
    StoreUnavailable: "try again in a moment; see which part is down with `gateway status` or GET /healthz",
    LogUnavailable: "try again in a moment; see which part is down with `gateway status` or GET /healthz",
    LogGap: "read the run's series again and follow the stream from its new as_of",
    Refused: "see the log of the process with `gateway logs live`",
}


class Failure(Exception):
    """A request that cannot be answered, with the text that its sender reads."""

    def __init__(
        self,
        status: int,
        error: str,
        next_step: str,
        *,
        retry_after_s: int | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Answer with a status, what is wrong and what to do; `details` are further fields of the answer."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.next_step = next_step
        self.retry_after_s = retry_after_s
        self.details = details or {}

    def response(self) -> JSONResponse:
        """Return the HTTP answer."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        return JSONResponse({"error": self.error, "next": self.next_step, **self.details}, self.status, headers=headers)


def bad_parameter(name: str, why: str, next_step: str, *, details: Mapping[str, object] | None = None) -> Failure:
    """Return the failure of a request with an invalid parameter."""
    return Failure(422, f"parameter {name}: {why}", next_step, details=details)


def from_tracking_error(error: TrackingError) -> Failure:
    """Return the failure to answer with when a service behind the API is away or refuses."""
    next_step = next((text for kind, text in _NEXT_STEPS.items() if isinstance(error, kind)), "report this message")
    if isinstance(error, LogGap):
        return Failure(410, str(error), next_step)
    if isinstance(error, Unavailable):
        return Failure(503, str(error), next_step, retry_after_s=RETRY_AFTER_S)
    return Failure(500, str(error), next_step)


def install(app: FastAPI, unknown_page: Callable[[Request], Response | None]) -> None:
    """Answer every error of `app` in this form; `unknown_page` may have a page for an address that there is not."""

    @app.exception_handler(Failure)
    async def failed(request: Request, error: Failure) -> JSONResponse:
        return error.response()

    @app.exception_handler(TrackingError)
    async def unavailable(request: Request, error: TrackingError) -> JSONResponse:
        return from_tracking_error(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = str(first["loc"][-1])
        return bad_parameter(name, first["msg"], f"correct {name}; every parameter is in {_DESCRIPTION}").response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTP_404_NOT_FOUND and (page := unknown_page(request)) is not None:
            return page
        found = Failure(
            error.status_code, f"{request.method} {request.url.path}: {error.detail}", f"see {_DESCRIPTION}"
        )
        answer = found.response()
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again after this answer, so the log of the process contains the trace.
        return Failure(500, f"unexpected {type(error).__name__}", "see the log with `gateway logs live`").response()


_DESCRIPTION = "GET /v1/openapi.json"
