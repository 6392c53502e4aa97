"""Read what processes that have ended left in their journals, as `gateway sync` would send it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.client.journal.folder import find_journals
from gateway.client.shipping.recovery import adopt
from schemas.wire import decode_run


def left_events(home: Path) -> dict[str, list[Any]]:
    """Return the events of each run below `home`, journal by journal. The journals stay; their ends are appended."""
    found: dict[str, list[Any]] = {}
    for folder in sorted(find_journals(str(home))):
        orphan = adopt(folder)
        assert orphan is not None, f"{folder} is held"
        for producer in orphan.producers:
            while records := producer.cut(10_000):
                for one in records:
                    envelope = decode_run(one.record.key, one.record.value, one.record.headers)
                    found.setdefault(envelope.run_id, []).append(envelope.event)
                    producer.acknowledge([one])
        orphan.close()
    return found
