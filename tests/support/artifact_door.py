"""The real ingest server in a thread, for tests of its artifact door; Kafka is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from gateway.local.ports import free_ports
from gateway.server.app import create_app
from gateway.server.serve import Server, ingest_place, listen
from schemas.runtime.settings import Settings
from tests.support.process_tree import until

TOKEN = "a-token-of-tests"


class Door:
    """A running door."""

    def __init__(self, settings: Settings, server: Server) -> None:
        self.port, self.url, self.server = settings.ingest_port, settings.ingest, server


@contextmanager
def running_door(home: Path, store: str, **settings: Any) -> Iterator[Door]:
    """Yield a door to the store at this URL, which asks for TOKEN; end it with the block."""
    (port,) = free_ports(1)
    chosen = {"token": SecretStr(TOKEN), "artifacts": store, **settings}
    made = Settings(home=home, kafka="127.0.0.1:1", ingest_port=port, **chosen)
    with listen(ingest_place(made)) as listening:
        server = Server(create_app(made), made)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started, "the door serves")
            yield Door(made, server)
        finally:
            server.should_exit = True
            thread.join(60)
