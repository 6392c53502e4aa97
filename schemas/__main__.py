"""
`python -m schemas export FOLDER`: write the JSON Schemas of events and run log, and the golden examples.

The repository keeps the result in schemas/jsonschema and schemas/golden; a test compares it with the models. Existing
examples are never overwritten: logs may hold such records.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from schemas import examples
from schemas.events import VERSION, AnyEvent, RegistryEvent
from schemas.runlog import RunLog


def documents() -> dict[str, dict[str, Any]]:
    """Return each JSON Schema by file name."""
    events: TypeAdapter[Any] = TypeAdapter(AnyEvent)
    requests: TypeAdapter[Any] = TypeAdapter(RegistryEvent)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        f"events.v{VERSION}.json": dialect | events.json_schema(mode="serialization"),
        f"registry.v{VERSION}.json": dialect | requests.json_schema(mode="serialization"),
        "run_log.json": dialect | RunLog.model_json_schema(mode="serialization"),
    }


def export(folder: Path) -> list[Path]:
    """Write schemas and missing examples to `folder`, and return the written files."""
    written = []
    for name, document in documents().items():
        path = folder / "jsonschema" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    for kind, record in examples.records().items():
        path = folder / "golden" / f"v{VERSION}" / f"{kind}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(examples.to_json(record), encoding="utf-8")
            written.append(path)
    return written


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    if len(arguments) != 2 or arguments[0] != "export":
        sys.stderr.write("usage: python -m schemas export FOLDER\n")
        return 2
    for path in export(Path(arguments[1])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
