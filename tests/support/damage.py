"""Every kind of damage that one can do to what a tracker or PostgreSQL holds of a run, and a run that has all kinds."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from wandb.proto import wandb_internal_pb2 as pb

from consumers.trackers.tensorboard import summaries
from consumers.trackers.tensorboard import writer as events
from consumers.trackers.wandb import file as wandb_file
from schemas import events as ev
from schemas.mapping.names import folder_name, trackio_project
from schemas.values import BoolValue, FloatValue, Histogram, HistogramValue, StringValue
from schemas.wire import Envelope
from tests.support.log_author import Author

TAG, OWN_TAG = "exp", "own"  # the second is of the run whose experiment is damaged
State = Mapping[str, Any]  # what the tracker stored of the run


def whole_run(run_id: str, tag: str = TAG) -> list[Envelope]:
    """Return a run with every kind of content."""
    author = Author(run_id, f"p-{run_id}")

    def one(kind: type[Any], **fields: Any) -> Envelope:
        return author.envelope(kind(time=author.now(), **fields))

    spread = HistogramValue(value=Histogram(counts=[1, 2], edges=[0, 1, 2]))
    observed = [
        ev.Observation(name=name, step=1, time=author.now(), value=value)
        for name, value in (("word", StringValue(value="seen")), ("spread", spread), ("flag", BoolValue(value=True)))
    ]
    return [
        author.start(tag=tag, name="named"), one(ev.Params, params={"lr": FloatValue(value=0.1)}),
        one(ev.Tags, tags={"team": "vision"}), one(ev.RunLabels, labels={"kind": StringValue(value="x1")}),
        one(ev.Note, text="noted"), author.metrics("loss", [5.5, 4.5, 3.5]), author.metrics("acc", [0.25, 0.5]),
        one(ev.Values, values=observed), one(ev.Artifact, name="model", uri="s3://b/m", size=7, sha256="a" * 64),
        one(ev.ConsoleText, lines=["one", "two"], times=[author.now(), author.now()]), author.finish(),
    ]  # fmt: skip


def edited_runs() -> dict[str, list[Envelope]]:
    """Return runs with ordinary edits, after which a tracker without edits still shows something."""
    made: dict[str, list[Envelope]] = {}

    def add(name: str, *steps: Callable[[Author], Envelope]) -> None:
        author = Author(f"edited: {name}")
        params = ev.Params(time=author.now(), params={"y": FloatValue(value=2)})
        first = [author.start(tag=TAG), author.metrics("a", [1.0, 2.0, 3.0]), author.envelope(params)]
        made[author.run_id] = [*first, *(step(author) for step in steps), author.finish()]

    def delete(what: Any, name: str) -> Callable[[Author], Envelope]:
        return lambda author: author.envelope(ev.Deleted(time=author.now(), what=what, name=name))

    def rename(what: Any, old: str, new: str) -> Callable[[Author], Envelope]:
        return lambda author: author.envelope(ev.Renamed(time=author.now(), what=what, old=old, new=new))

    def points(name: str) -> Callable[[Author], Envelope]:
        return lambda author: author.metrics(name, [7.0, 8.0], first_step=9)

    def param(name: str, value: float) -> Callable[[Author], Envelope]:
        params = {name: FloatValue(value=value)}
        return lambda author: author.envelope(ev.Params(time=author.now(), params=params))

    add("deleted", delete("series", "a"))
    add("deleted, then the same name", delete("series", "a"), points("a"))
    add("renamed", rename("series", "a", "b"))
    add("renamed, then the new name", rename("series", "a", "b"), points("b"))
    add("renamed, then the old name", rename("series", "a", "b"), points("a"))
    add("parameter renamed", rename("param", "y", "z"))
    add("parameter renamed, then the old name", rename("param", "y", "z"), param("y", 3))
    add("parameter deleted, then set", delete("param", "y"), param("y", 3))
    return made


def incomplete_run(run_id: str) -> list[Envelope]:
    """Return a run of which two records are missing."""
    author = Author(run_id)
    first = [author.start(tag=TAG), author.metrics("loss", [1.0])]
    author.seq += 2
    return [*first, author.finish()]


# Parquet


def _tables(folder: Path, table: str, run_id: str) -> Path:
    return folder / table / f"run={folder_name(run_id)}" / "part-00000.parquet"


def _rows(table: str, change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path, str, State], None]:
    def damage(folder: Path, run_id: str, state: State) -> None:
        path = _tables(folder, table, run_id)
        held = pq.ParquetFile(path).read()
        rows = held.to_pylist()
        changed = change(rows)
        pq.write_table(pa.Table.from_pylist(rows if changed is None else changed, schema=held.schema), path)

    return damage


def _set(column: str, value: Any, **where: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if all(row[name] == one for name, one in where.items()))
        row[column] = value(row[column]) if callable(value) else value

    return change


def _without(**where: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [row for row in rows if any(row[name] != one for name, one in where.items())]


def _later(seconds: float) -> Callable[[Any], Any]:
    import datetime

    return lambda time: time + datetime.timedelta(seconds=seconds)


def _remove_parquet(folder: Path, run_id: str, state: State) -> None:
    for part in folder.glob(f"*/run={folder_name(run_id)}"):
        shutil.rmtree(part)


PARQUET: dict[str, Callable[[Path, str, State], None]] = {
    "point": _rows("points", lambda rows: rows[1:]),
    "value": _rows("points", _set("value", 9.5, series="loss")),
    "12 µs": _rows("points", _set("time", _later(0.000012), series="loss")),
    "series": _rows("points", _without(series="acc")),
    "extra point": _rows("points", lambda rows: [*rows, rows[0]]),
    "param": _rows("params", _set("value", "0.2")),
    "tag": _rows("tags", _set("value", "visIon", kind="tag")),
    "label": _rows("tags", _set("value", '"x2"', kind="label")),
    "note": _rows("tags", _without(kind="note")),
    "artifact": _rows("tags", _set("value", lambda text: text.replace("s3:", "s4:"), kind="artifact")),
    "observation": _rows("observations", _set("value", '"sEen"', name="word")),
    "histogram": _rows("observations", _without(name="spread")),
    "line": _rows("lines", _set("line", "One", line="one")),
    "status": _rows("runs", _set("status", "failed")),
    "start": _rows("runs", _set("started", _later(45))),
    "end": _rows("runs", _set("ended", None)),
    "name": _rows("runs", _set("name", "nAmed")),
    "experiment": _rows("runs", _set("tag", "other")),
    "run": _remove_parquet,
}


# TensorBoard and W&B: files of records. Replacements have the same length, so that no size betrays them.

_TEXTS: dict[str, tuple[bytes, bytes]] = {
    "param": (b"0.1", b"0.2"), "tag": (b"vision", b"visIon"), "label": (b"x1", b"x2"), "note": (b"noted", b"nOted"),
    "artifact": (b"s3:", b"s4:"), "observation": (b"seen", b"sEen"), "name": (b"named", b"nAmed"),
    "status": (b'"finished"', b'"failed"  '), "experiment": (b'"tag":"own"', b'"tag":"owm"'),
}  # fmt: skip


def _event_file(change: Callable[[list[Any]], list[Any] | None]) -> Callable[[Path, str, State], None]:
    def damage(folder: Path, run_id: str, state: State) -> None:
        path = folder / state["file"]
        records = [summaries.parse(one) for one in events.read(path, path.stat().st_size)]
        changed = change(records)
        events.write_records(path, map(summaries.to_bytes, records if changed is None else changed))

    return damage


def _scalars(records: list[Any], tag: str) -> Iterator[tuple[Any, Any]]:
    for record in records:
        for value in record.summary.value:
            if value.tag == tag and value.metadata.plugin_data.plugin_name == summaries.SCALARS:
                yield record, value


def _event_value(records: list[Any]) -> None:
    _, value = next(_scalars(records, "loss"))
    value.tensor.double_val[0] = value.tensor.float_val[0] = 9.5


def _event_time(records: list[Any]) -> None:
    record, _ = next(_scalars(records, "loss"))
    record.wall_time += 0.000012


def _event_bins(records: list[Any]) -> None:
    value = next(one for record in records for one in record.summary.value if one.tensor.double_val[2:])
    value.tensor.double_val[2] = 7.0


def _event_text(kind: str) -> Callable[[Path, str, State], None]:
    def change(records: list[Any]) -> None:
        for value in (one for record in records for one in record.summary.value if one.tensor.string_val):
            value.tensor.string_val[0] = value.tensor.string_val[0].replace(*_TEXTS[kind])

    return _event_file(change)


def _event_status(name: str) -> Callable[[Path, str, State], None]:
    def change(records: list[Any]) -> None:
        for value in (one for record in records for one in record.summary.value if one.tag == summaries.STATUS):
            facts = orjson.loads(value.tensor.string_val[0])
            value.tensor.string_val[0] = orjson.dumps(facts | {name: facts[name] + 45_000_000})

    return _event_file(change)


def _drop_scalars(tag: str, most: int) -> Callable[[list[Any]], list[Any]]:
    def change(records: list[Any]) -> list[Any]:
        gone = [id(record) for record, _ in _scalars(records, tag)][:most]
        return [record for record in records if id(record) not in gone]

    return change


TENSORBOARD: dict[str, Callable[[Path, str, State], None]] = {
    "point": _event_file(_drop_scalars("loss", 1)),
    "value": _event_file(_event_value),
    "12 µs": _event_file(_event_time),
    "series": _event_file(_drop_scalars("acc", 9)),
    "extra point": _event_file(lambda records: [*records, next(_scalars(records, "loss"))[0]]),
    "histogram": _event_file(_event_bins),
    "start": _event_status("started"),
    "end": _event_status("time"),
    "run": lambda folder, run_id, state: shutil.rmtree((folder / state["file"]).parent),
    **{kind: _event_text(kind) for kind in _TEXTS},
}


def _wandb_file(change: Callable[[list[Any]], list[Any] | None]) -> Callable[[Path, str, State], None]:
    def damage(folder: Path, run_id: str, state: State) -> None:
        path = folder / "wandb" / state["file"]
        records = [pb.Record.FromString(one) for one in wandb_file.read(path)]
        changed = change(records)
        path.write_bytes(wandb_file.frame([one.SerializeToString() for one in changed or records], 0))

    return damage


def _items(records: list[Any], key: str) -> Iterator[Any]:
    for record in records:
        for item in (*record.config.update, *record.history.item):
            if item.key == key:
                yield item


def _wandb_text(key: str, old: str, new: str) -> Callable[[Path, str, State], None]:
    def change(records: list[Any]) -> None:
        item = next(item for item in _items(records, key) if old in item.value_json)
        item.value_json = item.value_json.replace(old, new, 1)

    return _wandb_file(change)


def _wandb_run(field: str, value: str) -> Callable[[Path, str, State], None]:
    def change(records: list[Any]) -> None:
        for record in records:
            if record.WhichOneof("record_type") == "run":
                setattr(record.run, field, value)

    return _wandb_file(change)


def _drop_rows(key: str, most: int) -> Callable[[list[Any]], list[Any]]:
    def change(records: list[Any]) -> list[Any]:
        gone = [one for one in records if any(item.key == key for item in one.history.item)][:most]
        return [one for one in records if not any(one is other for other in gone)]

    return change


def _wandb_microseconds(records: list[Any]) -> None:
    row = next(one for one in records if any(item.key == "loss" for item in one.history.item))
    item = next(item for item in row.history.item if item.key == "_timestamp")
    item.value_json = item.value_json[:-2] + f"{(int(item.value_json[-2:]) + 12) % 100:02}"


WANDB: dict[str, Callable[[Path, str, State], None]] = {
    "point": _wandb_file(_drop_rows("loss", 1)),
    "value": _wandb_text("loss", "5.5", "9.5"),
    "12 µs": _wandb_file(_wandb_microseconds),
    "series": _wandb_file(_drop_rows("acc", 9)),
    "extra point": _wandb_file(lambda records: [*records, records[-1]]),
    "param": _wandb_text("lr", "0.1", "0.2"),
    "tag": _wandb_text("gw.tag.team", "vision", "visIon"),
    "label": _wandb_text("gw.label.kind", "x1", "x2"),
    "artifact": _wandb_text("gw.artifact.model", "s3:", "s4:"),
    "observation": _wandb_text("word", "seen", "sEen"),
    "histogram": _wandb_text("spread", '"values":[1', '"values":[7'),
    "status": _wandb_text("gw.status", '"finished"', '"failed"  '),
    "start": _wandb_text("gw.started_at", "2023-", "2024-"),
    "end": _wandb_text("gw.ended_at", "2023-", "2024-"),
    "note": _wandb_run("notes", "nOted"),
    "name": _wandb_run("display_name", "nAmed"),
    "experiment": _wandb_run("project", "exq"),
    "run": lambda folder, run_id, state: shutil.rmtree((folder / "wandb" / state["file"]).parent),
}


# trackio, MLflow and PostgreSQL: rows


def _sql(file: Callable[[Path, str], Path], *statements: str) -> Callable[[Path, str, State], None]:
    def damage(folder: Path, run_id: str, state: State) -> None:
        with closing(sqlite3.connect(file(folder, run_id), timeout=30)) as connection, connection:
            for statement in statements:
                given = {"run": state.get("run", run_id)}
                assert connection.execute(statement, given).rowcount > 0, statement

    return damage


def _project(folder: Path, run_id: str) -> Path:
    return folder / f"{trackio_project(TAG)}.db"


def _trackio(*statements: str) -> Callable[[Path, str, State], None]:
    return _sql(_project, *statements)


def _config(old: str, new: str) -> Callable[[Path, str, State], None]:
    return _trackio(f"UPDATE configs SET config = replace(config, '{old}', '{new}') WHERE run_id = :run")


_FIRST_LOSS = "id = (SELECT min(id) FROM metrics WHERE run_id = :run AND metrics LIKE '%loss%')"
TRACKIO: dict[str, Callable[[Path, str, State], None]] = {
    "point": _trackio(f"DELETE FROM metrics WHERE {_FIRST_LOSS}"),
    "value": _trackio(f"UPDATE metrics SET metrics = replace(metrics, '5.5', '9.5') WHERE {_FIRST_LOSS}"),
    "12 µs": _trackio(f"UPDATE metrics SET timestamp = replace(timestamp, '00+00:00', '12+00:00') WHERE {_FIRST_LOSS}"),
    "series": _trackio("DELETE FROM metrics WHERE run_id = :run AND metrics LIKE '%acc%'"),
    "extra point": _trackio(
        "INSERT INTO metrics (run_id, run_name, timestamp, step, metrics) "
        f"SELECT run_id, run_name, timestamp, step, metrics FROM metrics WHERE {_FIRST_LOSS}"
    ),
    "param": _config("0.1", "0.2"),
    "tag": _config("vision", "visIon"),
    "label": _config("x1", "x2"),
    "note": _config("noted", "nOted"),
    "artifact": _config("s3:", "s4:"),
    "status": _config("finished", "failed"),
    "start": _config('started_at":"2023', 'started_at":"2024'),
    "end": _config('ended_at":"2023', 'ended_at":"2024'),
    "observation": _trackio("UPDATE metrics SET metrics = replace(metrics, 'seen', 'sEen') WHERE run_id = :run"),
    "histogram": _trackio("DELETE FROM metrics WHERE run_id = :run AND metrics LIKE '%trackio.histogram%'"),
    "name": _trackio("UPDATE configs SET run_name = 'nAmed' WHERE run_id = :run"),
    "run": _trackio("DELETE FROM metrics WHERE run_id = :run", "DELETE FROM configs WHERE run_id = :run"),
    "experiment": lambda folder, run_id, state: (folder / f"{trackio_project(OWN_TAG)}.db").unlink(),
}


def _mlflow(*statements: str) -> Callable[[Path, str, State], None]:
    return _sql(lambda folder, run_id: folder / "mlflow.db", *statements)


def _mlflow_tag(key: str, value: str) -> Callable[[Path, str, State], None]:
    return _mlflow(f"UPDATE tags SET value = '{value}' WHERE run_uuid = :run AND key = '{key}'")


def _mlflow_artifact(folder: Path, run_id: str, state: State) -> None:
    (path,) = Path(state["artifacts"].removeprefix("file://")).glob("gateway/spread/*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"[1.0,2.0]", b"[7.0,2.0]").replace(b"[1,2]", b"[7,2]"))


MLFLOW: dict[str, Callable[[Path, str, State], None]] = {
    "point": _mlflow("DELETE FROM metrics WHERE run_uuid = :run AND key = 'loss' AND step = 1"),
    "value": _mlflow("UPDATE metrics SET value = 9.5 WHERE run_uuid = :run AND key = 'loss' AND step = 1"),
    "series": _mlflow(
        "DELETE FROM metrics WHERE run_uuid = :run AND key = 'acc'",
        "DELETE FROM latest_metrics WHERE run_uuid = :run AND key = 'acc'",
    ),
    "extra point": _mlflow(
        "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
        "SELECT key, value, timestamp, run_uuid, step + 9, is_nan FROM metrics WHERE run_uuid = :run AND key = 'loss'"
    ),
    "param": _mlflow("UPDATE params SET value = '0.2' WHERE run_uuid = :run AND key = 'lr'"),
    "tag": _mlflow_tag("team", "visIon"),
    "label": _mlflow_tag("gw.label.kind", "x2"),
    "note": _mlflow_tag("mlflow.note.content", "nOted"),
    "artifact": _mlflow_tag("gw.artifact.model", "{}"),
    "name": _mlflow_tag("mlflow.runName", "nAmed"),
    "observation": _mlflow("UPDATE params SET value = 'sEen' WHERE run_uuid = :run AND key = 'word_1'"),
    "histogram": _mlflow_artifact,
    "status": _mlflow("UPDATE runs SET status = 'FAILED' WHERE run_uuid = :run"),
    "start": _mlflow("UPDATE runs SET start_time = start_time + 45000 WHERE run_uuid = :run"),
    "end": _mlflow("UPDATE runs SET end_time = NULL WHERE run_uuid = :run"),
    "run": _mlflow("DELETE FROM runs WHERE run_uuid = :run"),
    "trash": _mlflow("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = :run"),
    "experiment": _mlflow("UPDATE runs SET experiment_id = 0 WHERE run_uuid = :run"),
    "deleted experiment": _mlflow(
        "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = "
        "(SELECT experiment_id FROM runs WHERE run_uuid = :run)"
    ),
}

_CHUNK = (
    "series_id, month, points, min_step, max_step, min_time, max_time, first_value, last_value, min_value, max_value, "
    "non_finite, steps, times, time_deltas, point_values"
)
_COPIED = ", ".join(f"chunks.{name}" for name in _CHUNK.split(", "))
POSTGRES: dict[str, str] = {
    "point": "DELETE FROM chunks USING series s WHERE s.series_id = chunks.series_id AND s.run_id = $1 "
    "AND name = 'acc'",
    "value": "UPDATE chunks SET point_values[1] = 9.5 FROM series s WHERE s.series_id = chunks.series_id "
    "AND s.run_id = $1 AND name = 'loss'",
    "series": "DELETE FROM series WHERE run_id = $1 AND name = 'acc'",
    "extra point": f"INSERT INTO chunks (first_index, {_CHUNK}) SELECT chunks.first_index + 100, {_COPIED} "
    "FROM chunks JOIN series s USING (series_id) WHERE s.run_id = $1 AND s.name = 'acc'",
    "unreadable row": "UPDATE chunks SET point_values = point_values || 1.5::float8 FROM series s "
    "WHERE s.series_id = chunks.series_id AND s.run_id = $1 AND name = 'loss'",
    "param": "DELETE FROM params WHERE run_id = $1",
    "extra param": "INSERT INTO params SELECT run_id, step_name, attempt, 'more', value FROM params WHERE run_id = $1",
    "tag": "UPDATE tags SET value = 'visIon' WHERE run_id = $1",
    "label": "DELETE FROM run_labels WHERE run_id = $1",
    "note": "UPDATE runs SET note = '' WHERE run_id = $1",
    "artifact": "UPDATE artifacts SET size = 8 WHERE run_id = $1",
    "observation": "UPDATE observations SET time = time + 12 WHERE run_id = $1 AND name = 'word'",
    "histogram": "DELETE FROM observations WHERE run_id = $1 AND name = 'spread'",
    "line": "DELETE FROM console_lines WHERE run_id = $1 AND position = 0",
    "status": "UPDATE runs SET state = 'failed' WHERE run_id = $1",
    "start": "UPDATE runs SET started = started + 45000000 WHERE run_id = $1",
    "end": "UPDATE runs SET ended = ended + 12000 WHERE run_id = $1",
    "name": "UPDATE runs SET name = 'nAmed' WHERE run_id = $1",
    "experiment": "UPDATE runs SET tag = 'other' WHERE run_id = $1",
    "run": "DELETE FROM runs WHERE run_id = $1",
    "trash": "UPDATE runs SET deleted = true WHERE run_id = $1",
    "restored": "UPDATE runs SET deleted = false WHERE run_id = $1",
}

TRACKERS = {
    "mlflow": MLFLOW, "wandb": WANDB, "tensorboard": TENSORBOARD, "trackio": TRACKIO, "parquet": PARQUET,
}  # fmt: skip


def restore(tracker: str, folder: Path, old: Path, run_id: str, state: State) -> None:
    """Bring a deleted run back, as an administrator does who restores a backup."""
    if tracker == "mlflow":
        _mlflow("UPDATE runs SET lifecycle_stage = 'active' WHERE run_uuid = :run")(folder, run_id, state)
    elif tracker == "trackio":
        with closing(sqlite3.connect(_project(folder, run_id), timeout=30)) as connection, connection:
            connection.execute("ATTACH ? AS old", (str(_project(old, run_id)),))
            for table in ("metrics", "configs"):
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
                names = ", ".join(columns)
                connection.execute(
                    f"INSERT INTO {table} ({names}) SELECT {names} FROM old.{table} WHERE run_id = ?", (run_id,)
                )
    elif tracker == "parquet":
        for part in old.glob(f"*/run={folder_name(run_id)}"):
            shutil.copytree(part, folder / part.relative_to(old))
    else:
        part = (old / ("wandb" if tracker == "wandb" else "") / state["file"]).parent
        shutil.copytree(part, folder / part.relative_to(old))


async def damage_postgres(dsn: str, run_ids: Mapping[str, str]) -> None:
    """Damage PostgreSQL: one kind for each of these runs, by kind."""
    connection = await asyncpg.connect(dsn)
    try:
        for kind, run_id in run_ids.items():
            done = await connection.execute(POSTGRES[kind], run_id)
            assert not done.endswith(" 0"), (kind, done)
    finally:
        await connection.close()
