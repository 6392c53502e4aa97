"""One log, one materialiser and one API for many cases of dialects, read by commands, the API and SQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import asyncpg

from gateway.client.query import ApiRefused, get, run_path
from gateway.local.ports import HOST, free_ports
from tests.support import services
from tests.support.delivery_process import Place
from tests.support.gateway_command import gateway_with
from tests.support.live_process import live_process
from tests.support.materialiser_process import materialiser
from tests.support.process_tree import until

ROOT = Path(__file__).parents[2]


class DialectStack:
    """The parts that a dialect's records go through, and what readers see of them."""

    def __init__(self, place: Place, variables: Mapping[str, str]) -> None:
        self.place = place
        self.variables = dict(variables)  # what training and commands find the parts by
        self.api = variables["GATEWAY_LIVE_URL"]

    def gateway(self, *arguments: str, **variables: str) -> CompletedProcess[str]:
        """Run `gateway ...` to its end."""
        return gateway_with({**self.variables, **variables}, *arguments)

    def done(self, *arguments: str, **variables: str) -> Any:
        """Run `gateway ... --json`, which must succeed, and return what it prints."""
        answer = self.gateway(*arguments, "--json", **variables)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def python(self, *arguments: str, **more: Any) -> CompletedProcess[str]:
        """Run Python with what training finds the parts by; `more` goes to `subprocess.run`. It must succeed."""
        more["env"] = {**os.environ, "PYTHONPATH": str(ROOT), **self.variables, **more.get("env", {})}
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **more)
        assert done.returncode == 0, done.stderr
        return done

    def log(self, run_id: str) -> dict[str, Any]:
        """Return the run log; {} for a run that readers do not see."""
        try:
            return dict(get(self.api, run_path(run_id, "log")))
        except ApiRefused:
            return {}

    def until(self, run_id: str, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Return the run log once the condition holds for it."""
        found: list[dict[str, Any]] = [{}]

        def is_true() -> bool:
            found[0] = self.log(run_id)
            return bool(found[0] and holds(found[0]))

        until(is_true, what)
        return found[0]

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query to PostgreSQL."""

        async def read() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.place.database)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        return services.run(read())


@contextmanager
def dialect_stack(kafka: str, postgres_server: str, folder: Path) -> Iterator[DialectStack]:
    """Yield a stack with a topic and a database of its own; end it when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    topic, port = f"test-{uuid.uuid4().hex}", str(free_ports(1)[0])
    services.run(services.create_topic(kafka, topic, partitions=2))
    database = services.run(services.create_database(postgres_server))
    place = Place(kafka, topic, database, folder)
    named = {"GATEWAY_LIVE_PORT": port, "GATEWAY_LIVE_URL": f"http://{HOST}:{port}", "GATEWAY_CAPTURE": "none"}
    settings = {name: value for name, value in place.variables().items() if name.startswith("GATEWAY_")} | named
    try:
        with materialiser(folder, place.variables()), live_process(folder, place.variables() | named):
            yield DialectStack(place, settings | {"GATEWAY_URL": f"kafka://{kafka}"})
    finally:
        services.run(services.drop_database(postgres_server, database))
