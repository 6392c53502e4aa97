"""
Requests as messages of MLflow's protocol: the only file of the door's front that imports mlflow.

Its protobuf classes define which fields a request has and which JSON forms each may have: a number as text, as Java
writes it, or lowerCamelCase names. How types and required fields are checked follows mlflow/server/handlers.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.json_format import ParseError
from mlflow.exceptions import MlflowException
from mlflow.protos import mlflow_artifacts_pb2, model_registry_pb2, service_pb2
from mlflow.store.artifact import host_policy
from mlflow.utils import validation
from mlflow.utils.mime_type_utils import _guess_mime_type
from mlflow.utils.proto_json_utils import message_to_json, parse_dict
from mlflow.utils.uri import validate_path_is_safe
from mlflow.version import VERSION

from gateway.server.mlflow.errors import Refused, invalid

__all__ = [
    "VERSION", "as_json", "check_host", "media_type", "message_class", "read_message", "safe_path", "validate",
]  # fmt: skip

Check = Callable[[Any], bool]
Schema = Mapping[str, Sequence[Check]]
_MODULES = (service_pb2, model_registry_pb2, mlflow_artifacts_pb2)


def required(value: Any) -> bool:
    """Tell whether a value was given; an empty text was not."""
    return value is not None and value != ""


def string(value: Any) -> bool:
    """Tell whether a value is a text."""
    return isinstance(value, str)


def integer(value: Any) -> bool:
    """Tell whether a value is a whole number, or the text of one."""
    try:
        return value is None or int(value) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def number(value: Any) -> bool:
    """Tell whether a value is a number, or the text of one."""
    try:
        return value is None or float(value) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def boolean(value: Any) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def array(value: Any) -> bool:
    """Tell whether a value is a list."""
    return isinstance(value, list)


def texts(value: Any) -> bool:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_OF_TYPE = frozenset({string, integer, number, boolean, array, texts})


def message_class(name: str) -> Any:
    """Return the class of a message by its name: `CreateRun`."""
    return next(getattr(module, name) for module in _MODULES if hasattr(module, name))


def read_message(given: Any, message: Any, schema: Schema) -> Any:
    """
    Fill a new message with the fields of a JSON object, and return it.

    Raises Refused INVALID_PARAMETER_VALUE for a required field that is missing, for a field of the schema that has
    another type, and for one that is there twice, as `run_id` and as `runId`. Fields that the message does not have
    are ignored, and so are wrong types elsewhere, as in MLflow.
    """
    if not isinstance(given, dict):
        raise invalid(f"Invalid request body: it is a JSON {type(given).__name__}, not an object.")
    _reject_two_spellings(given, message.DESCRIPTOR)
    is_parsed = True
    try:
        parse_dict(given, message)
    except (ParseError, AttributeError, TypeError, ValueError, OverflowError):
        is_parsed = False
    for name, checks in schema.items():
        value = given.get(name)
        if name == "run_id" and value is None:
            value = given.get("run_uuid")
        if name in given or required in checks:
            _check(name, value, checks, is_parsed=is_parsed)
    return message


def _reject_two_spellings(given: Any, descriptor: Any) -> None:
    """Raise Refused for a field that is given by both of its names: one of two values would be lost without a word."""
    if not isinstance(given, dict):
        return
    for field in descriptor.fields:
        if field.name != field.json_name and field.name in given and field.json_name in given:
            raise invalid(f"Request specifies both '{field.name}' and '{field.json_name}'; provide only one of them.")
        if field.message_type is not None:
            value = given.get(field.name, given.get(field.json_name))
            for item in value if isinstance(value, list) else [value]:
                _reject_two_spellings(item, field.message_type)


def _check(name: str, value: Any, checks: Sequence[Check], *, is_parsed: bool) -> None:
    for check in checks:
        if (check in _OF_TYPE and is_parsed) or check(value):
            continue
        if check is required:
            message = f"Missing value for required parameter '{name}'."
        else:
            message = (
                f"Invalid value {json.dumps(value, sort_keys=True, separators=(',', ':')):.200} for parameter "
                f"'{name}' supplied:  Hint: Value was of type '{type(value).__name__}'."
            )
        raise invalid(f"{message} See the API docs for more information about request parameters.")


def as_json(message: Any) -> dict[str, Any]:
    """Return a message as the object that MLflow's servers answer."""
    found: dict[str, Any] = json.loads(message_to_json(message))
    return found


def validate(check: str, *values: Any) -> Any:
    """
    Call a check of mlflow/utils/validation.py by its name: `validate("experiment_name", name)` is its
    `_validate_experiment_name`. Return what it returns. Raises Refused with MLflow's code and words.
    """
    try:
        return getattr(validation, f"_validate_{check}")(*values)
    except MlflowException as error:
        raise Refused(error.error_code, error.message) from None


def check_host(uri: str, field: str) -> None:
    """Refuse a URI that names a host which a server of MLflow does not connect to. Raises Refused."""
    scheme = host_policy.rejected_host_addressed_scheme(uri)
    if scheme is not None:
        raise invalid(host_policy.host_addressed_rejection_message(scheme, field_name=field))


def safe_path(path: str) -> str:
    """Return a path of an artifact, decoded as MLflow does it. Raises Refused for one that leads out of its folder."""
    try:
        found: str = validate_path_is_safe(path)
    except (MlflowException, ValueError):
        raise invalid("Invalid path") from None
    return found


def media_type(path: str) -> str:
    """Return the media type that MLflow gives a file of this name."""
    found: str = _guess_mime_type(path)
    return found
