"""The same call of a stock MLflow server and of the door: equal answers, once ids and times are replaced."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from mlflow.exceptions import MlflowException, RestException
from mlflow.store.entities import PagedList
from mlflow.tracking import MlflowClient

# What may be, or hold between slashes, an id; "" is a returned value itself. A tag may have any value.
WITH_IDS = (
    "", "experiment_id", "artifact_location", "artifact_uri", "root_uri", "run_id", "source_run_id", "source",
    "model_id", "model_uri",
)  # fmt: skip


class Side:
    """One server: its client, and the ids that it gave, by a name that both sides share."""

    def __init__(self, url: str) -> None:
        self.url, self.client, self.ids = url, MlflowClient(url, url), dict[str, str]()

    def call(self, method: str, *arguments: Any, keep: str = "", **named: Any) -> Any:
        """
        Return what a method of the client returns, or the code of its error, in a form that both servers can share.

        `$name` in an argument is an id that was kept under this name. `keep`: keep the one that is returned, or that of
        the logged model.
        """
        try:
            found = getattr(self.client, method)(*self._filled(arguments), **self._filled(named))
            if keep:
                self.ids[keep] = found if isinstance(found, str) else found.model_id
            return self._plain(found)
        except RestException as error:
            return {"error_code": error.error_code, "status": error.get_http_status_code()}
        except MlflowException as error:
            return {"refused": error.message}

    def wire(self, method: str, path: str, given: dict[str, Any]) -> Any:
        """Return the status and the JSON of a request; `$name` in it is an id that was kept."""
        given = self._filled(given)
        query = f"?{urllib.parse.urlencode(given, doseq=True)}" if method == "GET" else ""
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{self._filled(path)}{query}",
            None if method == "GET" else json.dumps(given).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, self._plain(json.load(answer))
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["error_code"]

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$(\w+)", lambda found: self.ids[found[1]], value)
        if isinstance(value, dict):
            return {key: self._filled(one) for key, one in value.items()}
        return type(value)(map(self._filled, value)) if isinstance(value, list | tuple) else value

    def _plain(self, value: Any, key: str = "") -> Any:
        if isinstance(value, PagedList):
            return {"rows": [self._plain(one) for one in value], "token": value.token}
        if isinstance(value, str):
            names = {one: f"<{name}>" for name, one in self.ids.items()} if key in WITH_IDS else {}
            return "/".join(names.get(part, part) for part in value.split("/"))
        if isinstance(value, int) and not isinstance(value, bool) and "time" in key:
            return "a time"
        if isinstance(value, list | tuple):
            return [self._plain(one) for one in value]
        if isinstance(value, dict):
            return {name: self._plain(one, name) for name, one in value.items()}
        if hasattr(value, "__iter__"):  # an entity of MLflow
            return {name: self._plain(one, name) for name, one in value}
        return value


class Pair:
    """A stock server and a door."""

    def __init__(self, stock: str, door: str) -> None:
        self.stock, self.door = Side(stock), Side(door)

    def same(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of both clients, as `Side.call` does. They must answer the same; return the answer."""
        expected = self.stock.call(method, *arguments, **named)
        found = self.door.call(method, *arguments, **named)
        assert found == expected, f"{method} {arguments!s:.200} {named!s:.200}: {found} is not {expected}"
        return found

    def same_wire(self, method: str, path: str, **given: Any) -> Any:
        """Send a request to both, which must answer the same, and return status and answer."""
        expected, found = self.stock.wire(method, path, given), self.door.wire(method, path, given)
        assert found == expected, f"{method} {path} {given!s:.300}: {found} is not {expected}"
        return found
