"""A stock MLflow server and a door that get the same requests: each has things of its own, under the same names."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.mlflow_cases import API, Case, substituted

LONG_AGO = "1700000000000"  # ms since 1970: the time of what a case records


class Answer(NamedTuple):
    """What a server says: its status, and the code of an error; None in an answer that is no JSON of MLflow."""

    status: int
    code: str | None
    body: bytes = b""

    @property
    def seen(self) -> tuple[int, str | None]:
        """The two that clients go by."""
        return self.status, self.code

    @property
    def shown(self) -> str:
        """A line of it, for a test that fails."""
        return f"{self.status} {self.code} {self.body[:200]!r}"


class Twin:
    """A server, one connection to it that is kept, and the ids of the things that the cases name."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.ids: dict[str, str] = {}

    def answer(self, case: Case) -> Answer:
        """Send a request. A connection that the server closes is opened again for the next one."""
        path, body, headers = substituted(case, self.ids)
        try:
            self._connection.request(case.method, path, body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(0, type(error).__name__)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        code = found.get("error_code") if isinstance(found, dict) else None
        return Answer(response.status, code, text)

    def made(self, path: str, fields: Mapping[str, Any]) -> Any:
        """Send a request that must succeed, and return what it answers."""
        answer = self.answer(Case("", "POST", API + path, dict(fields)))
        assert answer.status == 200, (path, answer)
        return json.loads(answer.body)

    def plain(self, answer: Answer) -> Any:
        """
        Return what an answer says, with the names of ids instead of the ids, and without the times of today.

        Tags, parameters and metrics of a run have no order.
        """
        text = answer.body.decode()
        for name, identity in self.ids.items():
            text = re.sub(rf'(?<=["/-]){re.escape(identity)}(?=["/])', f"${name}", text)
        text = re.sub(r"\b1[789]\d{11}\b", lambda found: found[0] if found[0] == LONG_AGO else "0", text)
        return _sorted(json.loads(text, parse_constant=str))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        found = [_sorted(one) for one in value]
        return sorted(found, key=lambda one: str(one.get("key"))) if all(map(_is_named, found)) else found
    return value


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and "key" in value and "run_id" not in value


@contextmanager
def twin(url: str) -> Iterator[Twin]:
    """Yield a server with an experiment, a run, a registered model and a logged model, and deleted ones."""
    made, name = Twin(url), uuid.uuid4().hex
    try:
        ids = made.ids
        ids |= {"name": name, "deleted_name": f"{name}-deleted", "model": f"model-{name}"}
        ids["experiment"] = made.made("experiments/create", {"name": name})["experiment_id"]
        ids["deleted_experiment"] = made.made("experiments/create", {"name": ids["deleted_name"]})["experiment_id"]
        made.made("experiments/delete", {"experiment_id": ids["deleted_experiment"]})
        for number, one in enumerate(("run", "deleted_run"), start=1):
            fields = {"experiment_id": ids["experiment"], "start_time": number, "run_name": one, "user_id": "u"}
            ids[one] = made.made("runs/create", fields)["run"]["info"]["run_id"]
        made.made("runs/delete", {"run_id": ids["deleted_run"]})
        made.made("registered-models/create", {"name": ids["model"]})
        made.made("model-versions/create", {"name": ids["model"], "source": "s3://bucket/x"})
        logged = made.made("logged-models", {"experiment_id": ids["experiment"], "name": "m"})
        ids["logged_model"] = logged["model"]["info"]["model_id"]
        yield made
    finally:
        made.close()
