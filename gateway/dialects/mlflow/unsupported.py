"""
Refuse what a store does not implement as MLflow's servers refuse it: 501, which clients do not try again.

MLflow's abstract stores raise NotImplementedError, and its server answers that with 500 and a page of HTML, which
clients repeat for minutes (mlflow/utils/request_utils.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from mlflow.exceptions import MlflowNotImplementedException

Store = TypeVar("Store", bound=type)


def refusing(store: Store) -> Store:
    """Return the class, whose inherited methods raise MlflowNotImplementedException where MLflow's do not exist."""
    for name in dir(store):
        method = getattr(store, name)
        is_own = name in vars(store) or name.startswith("__")
        if not is_own and isinstance(method, type(refusing)) and not _is_static(store, name):
            setattr(store, name, _refusing(name, method))
    return store


def _is_static(store: type, name: str) -> bool:
    return any(isinstance(vars(one).get(name), staticmethod) for one in store.__mro__)


def _refusing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except NotImplementedError as error:
            raise MlflowNotImplementedException(f"A MLflow door does not implement {name}.") from error

    return call
