"""schemas/ reads every field that the client writes with the standard library."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

import gateway
from gateway.client import address, stack_file
from gateway.client.encoding import typed, values
from gateway.client.encoding import wire as client_wire
from gateway.client.encoding.wire import Record, source_of
from gateway.client.journal import series
from gateway.client.process import inheritance
from gateway.client.recording import report
from gateway.client.run.run import Run
from gateway.client.shipping import batching
from schemas import bounds, wire
from schemas import events as ev
from schemas import values as schema_values
from schemas.columns import float_from_json
from schemas.runtime import settings
from tests.support.client_harness import Memory, new_run, shipping

EVENT: TypeAdapter[Any] = TypeAdapter(ev.AnyEvent)


def record_everything(run: Run) -> None:
    """Use every method of a run."""
    run.log_params({"lr": 0.1, "n": 2**70, "flag": True, "opt": "adam", "nested": {"a": [math.nan]}, "inf": math.inf})
    run.set_tags({"team": "Ünïcode 😀"})
    run.set_labels({"config": {"a": None}})
    run.note("a note")
    run.artifact("model", "s3://b/k", 3, "0" * 64, media_type="x/y")
    run.artifact("bare", "file:///x")
    with run.step("train", step_type="training"):
        for step in range(5):
            run.emit({"loss": 1 / (step + 1), "acc": step, "text": "t", "on": True}, step=step)
        run.emit("loss", math.nan, labels={"rank": 1})
        run.emit("loss", -math.inf)
    with pytest.raises(ValueError, match="bad"), run.step("test"):
        raise ValueError("bad")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Return everything that the client can write: a run of each kind of end, a resumed and a joined one."""
    memory = Memory()
    with shipping(memory) as shipper:
        for status in report.STATUSES:
            run = new_run(shipper, f"run {status}/ü")
            run.recorder.record("run_started", attempt=1, name="n", tag="t", group="g", parent_run_id="p")
            record_everything(run)
            run.finish(status, message="why")  # type: ignore[arg-type]  # a str of a tuple of literals
        run = new_run(shipper, "resumed", attempt=2)
        run.recorder.record("run_resumed", attempt=2, name="", tag="", group="", parent_run_id="")
        run.recorder.record_at("note", 1, text="x" * 2_000_000)  # replaced by a heartbeat
        run.finish()
        new_run(shipper, "joined", is_owner=False).finish()
    return memory.sent


def decoded(record: Record) -> wire.Envelope:
    return wire.decode_run(record.key, record.value, record.headers)


def test_every_kind_the_client_writes_is_among_these(records: list[Record]) -> None:
    assert {decoded(record).event.kind for record in records} == {
        "run_started", "run_resumed", "run_finished", "run_failed", "run_killed", "step_started", "step_finished",
        "metrics", "values", "params", "tags", "labels", "note", "artifact", "heartbeat", "producer_closed",
    }  # fmt: skip


def test_the_contract_reads_every_field_and_would_write_the_same(records: list[Record]) -> None:
    written = [json.loads(record.value) for record in records]
    read = [EVENT.dump_python(decoded(record).event, mode="json", exclude_unset=True) for record in records]

    assert written == read


def test_headers_and_keys_are_the_contracts_own(records: list[Record]) -> None:
    ours = [(record.key, record.headers) for record in records]
    theirs = [(again.key, tuple(again.headers)) for again in (wire.encode(decoded(record)) for record in records)]

    assert ours == theirs


def test_no_record_is_larger_than_the_contract_allows() -> None:
    assert client_wire.MAX_RECORD < bounds.MAX_VALUE


@given(st.text(min_size=1, max_size=2_000))
def test_any_name_fits_the_bounds_of_the_contract(name: str) -> None:
    kept = values.clean_name(name * 2)

    assert bounds.check_name(kept) == kept
    assert 1 <= len(kept) <= bounds.MAX_NAME


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_run_id_comes_back(run_id: str) -> None:
    body = {"kind": "heartbeat", "time": 1}
    record = client_wire.encode(run_id, source_of(run_id, "p/ü"), 7, 1_700_000_000_000_001, body)

    assert decoded(record)[:4] == (run_id, "p/ü", 7, 1_700_000_000_000_001)


@given(st.floats())
def test_any_float_comes_back(value: float) -> None:
    body: dict[str, Any] = {"series": [{"values": [value, 0.5]}]}
    found, half = json.loads(client_wire.encode_body(body))["series"][0]["values"]

    assert repr(float_from_json(found)) == repr(value)
    assert half == 0.5


def test_both_sides_agree_on_names_limits_and_defaults() -> None:
    fields = settings.Settings.model_fields
    ours = [series.MAIN, values.MAX_NAME, address.DEFAULT_TOPIC, values.INT64, client_wire.SCHEMA.decode()]
    theirs = [ev.MAIN_STEP, ev.MAX_NAME, fields["topic"].default, schema_values.INT64_MAX, ev.VERSION]

    assert ours == theirs
    assert values.MAX_NAME == bounds.MAX_NAME_BYTES
    assert typed.MAX_DEPTH < bounds.MAX_DEPTH
    assert values.MAX_DIGITS == bounds.MAX_INT_DIGITS
    assert (inheritance.MAX_RUN_ID, inheritance.MAX_RUN_ID_BYTES) == (bounds.MAX_RUN_ID, bounds.MAX_RUN_ID_BYTES)
    assert set(report.STATUSES) == {"finished", "failed", "killed"}
    assert {f"run_{status}" for status in report.STATUSES} <= {
        get_args(kind.model_fields["kind"].annotation)[0] for kind in (ev.RunFinished, ev.RunFailed, ev.RunKilled)
    }
    assert batching.MAX_POINTS == 1_000


def test_both_sides_look_for_the_stack_in_the_same_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_HOME", raising=False)
    default = settings.Settings.load().home
    monkeypatch.setenv("GATEWAY_HOME", "~/elsewhere")

    assert Path(stack_file.default_home({k: v for k, v in os.environ.items() if k != "GATEWAY_HOME"})) == default
    assert Path(stack_file.default_home()) == settings.Settings.load().home


def test_client_and_project_have_one_version() -> None:
    import tomllib

    root = Path(__file__).parent.parent.parent
    versions = {
        tomllib.loads((root / path).read_text(encoding="utf-8"))["project"]["version"]
        for path in ("pyproject.toml", "gateway/pyproject.toml")
    }

    assert versions == {gateway.__version__}
