"""
MLflow's error answers: `{"error_code", "message"}`, with the status that MLflow has for the code.

The codes and their statuses are those of mlflow/exceptions.py. Clients try again after 408, 429, 500, 502, 503 and 504,
for minutes, so what will never succeed must have another status (mlflow/utils/request_utils.py).
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gateway.server.errors import RETRY_AFTER_S, Failure

STATUS = {
    "INVALID_PARAMETER_VALUE": 400, "BAD_REQUEST": 400, "RESOURCE_ALREADY_EXISTS": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "RESOURCE_DOES_NOT_EXIST": 404, "ENDPOINT_NOT_FOUND": 404, "NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409, "REQUEST_LIMIT_EXCEEDED": 429, "INTERNAL_ERROR": 500, "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501, "TEMPORARILY_UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
_CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND", 429: "REQUEST_LIMIT_EXCEEDED",
          501: "NOT_IMPLEMENTED", 503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip


class Refused(Exception):
    """A request that MLflow would refuse with this code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def response(self) -> JSONResponse:
        """Return the answer."""
        return _answer(STATUS.get(self.code, 500), self.code, self.message)


def invalid(message: str) -> Refused:
    """Return the refusal of a value."""
    return Refused("INVALID_PARAMETER_VALUE", message)


def absent(message: str) -> Refused:
    """Return the refusal of a request about what does not exist."""
    return Refused("RESOURCE_DOES_NOT_EXIST", message)


def unavailable(message: str) -> Refused:
    """Return the refusal of a request that may succeed in a moment: clients try it again."""
    return Refused("TEMPORARILY_UNAVAILABLE", message)


def access_body(status: int, error: str, step: str) -> dict[str, str]:
    """Return the answer to a request that may not use the door."""
    return {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": f"{error}: {step}"}


def install(app: FastAPI) -> None:
    """Make `app` answer every error in this form."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return error.response()

    @app.exception_handler(Failure)
    async def failed(request: Request, error: Failure) -> JSONResponse:
        code = _CODES.get(error.status, "BAD_REQUEST" if error.status < 500 else "INTERNAL_ERROR")
        answer = _answer(error.status, code, f"{error.error}: {error.next_step}")
        answer.headers.update(error.headers)
        return answer

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "BAD_REQUEST")
        answer = _answer(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}")
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises the error again after this answer, so that the log of the process has the traceback.
        return _answer(500, "INTERNAL_ERROR", f"unexpected {type(error).__name__}: see the log of the server")


def _answer(status: int, code: str, message: str) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error_code": code, "message": message}, status, headers=headers)
