"""What people take out of the store: exports, `gateway.read`, the commands over it, and the MCP server."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from consumers.live.api.export import response
from gateway import read
from gateway.cli import main
from gateway.client.errors import ClientError
from gateway.client.query import Api
from gateway.mcp import run_tools, series_tools, waiting
from gateway.mcp.run_tools import RunTools
from gateway.mcp.series_tools import SeriesTools
from gateway.read import asking
from schemas import events as ev
from schemas.columns import float_from_json
from schemas.statuses import ENDED
from schemas.values import BoolValue, FloatValue, HistogramValue, IntValue, JsonValue, StringValue
from schemas.wire import Envelope
from tests.support.gateway_command import COMMAND, environment
from tests.support.live_server import Live, serving, settings_for, until
from tests.support.log_author import START, Author

HOSTILE = "=cmd|' /C calc'!A0, \"x\"\r\nnext"
LONG = 2_500  # points: three chunks


@pytest.fixture
async def live(
    kafka: str, topic: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        monkeypatch.setenv("GATEWAY_LIVE_URL", running.url)
        await running.publish(recorded())
        yield running


def recorded() -> list[Envelope]:
    """Return two runs: one that restarted and holds everything odd, and one that is plain."""
    one, two = Author("one"), Author("two", time=START + 10**9)
    return [
        one.start(name=HOSTILE), one.metrics("loss", [float(n) for n in range(LONG)]),
        one.metrics("odd", [0.1, math.nan, math.inf, -math.inf]), one.metrics(HOSTILE, [-1.5]),
        one.envelope(ev.Tags(time=one.now(), tags={"team": "'quoted"})),
        one.envelope(ev.Params(time=one.now(), params={
            "lr": FloatValue(value=0.1), "depth": IntValue(value=2**60), "mixed": IntValue(value=2),
            "net": JsonValue(value={"layers": [64, 32]}), "cmd": StringValue(value=HOSTILE),
        })),
        one.envelope(ev.RunResumed(time=one.now(), attempt=2)),
        one.metrics("loss", [-1.0, -2.0], first_step=LONG - 1, attempt=2), one.finish(),
        two.start(name="plain"), two.metrics("loss", [0.5, 0.25]),
        two.envelope(ev.Params(time=two.now(), params={"lr": IntValue(value=1), "mixed": StringValue(value="a")})),
        two.envelope(ev.RunFailed(time=two.now(), message="out of memory")),
    ]  # fmt: skip


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def same(found: Any, expected: Any) -> bool:
    return [(repr(a)) for a in found] == [repr(b) for b in expected]


async def test_points_are_exported_exactly_in_every_form(live: Live) -> None:
    answer = await live.get("/v1/export/points", run_id=["one", "two", "one"])
    rows = rows_of(answer.text)
    parquet = pq.read_table(
        io.BytesIO((await live.get("/v1/export/points", run_id=["one", "two"], format="parquet")).content)
    )
    arrow = pa.ipc.open_stream(
        (await live.get("/v1/export/points", run_id=["one", "two"], format="arrow")).content
    ).read_all()

    loss = [row for row in rows if (row["run_id"], row["series"]) == ("one", "loss")]
    assert [(int(row["step"]), float(row["value"]), row["attempt"]) for row in loss] == [
        *((n, float(n), "1") for n in range(LONG - 1)), (LONG - 1, -1.0, "2"), (LONG, -2.0, "2"),
    ]  # fmt: skip
    assert [row["value"] for row in rows if row["series"] == "odd"] == ["0.1", "NaN", "Infinity", "-Infinity"]
    assert [row["value"] for row in rows if row["series"] == f"'{HOSTILE}"] == ["-1.5"]
    assert answer.headers["content-disposition"] == 'attachment; filename="points-2-runs.csv"'
    for table in (parquet, arrow):
        assert table.column_names == ["run_id", "series", "attempt", "step", "time", "value"]
        assert table["series"].to_pylist() == [row["series"].removeprefix("'") for row in rows]
        assert same(table["value"].to_pylist(), [float_from_json(_number(row["value"])) for row in rows])
        assert [table["step"].to_pylist(), table["time"].to_pylist()] == [
            [int(row[name]) for row in rows] for name in ("step", "time")
        ]
        table.to_pandas()


def _number(text: str) -> float | str:
    return text if text in ("NaN", "Infinity", "-Infinity") else float(text)


async def test_superseded_points_and_refusals_of_exports(live: Live) -> None:
    asked = {"run_id": "one", "name": "loss", "superseded": True}
    rows = rows_of((await live.get("/v1/export/points", **asked)).text)
    refused = [
        await live.get("/v1/export/points", run_id=["one", "absent"]),
        await live.get("/v1/export/points", run_id="one", format="xlsx"),
        await live.get("/v1/export/points", run_id="a\x00"),
        await live.get("/v1/export/runs", column="created desc"),
        await live.get("/v1/export/runs", column="params."),
        await live.get("/v1/export/runs", where="metrics.loss <"),
    ]

    assert [(row["step"], row["superseded"]) for row in rows[LONG - 2 :]] == [
        (str(LONG - 2), "false"), (str(LONG - 1), "true"), (str(LONG - 1), "false"), (str(LONG), "false"),
    ]  # fmt: skip
    assert [answer.status_code for answer in refused] == [404, 422, 400, 400, 400, 422]
    assert all({"error", "next"} <= answer.json().keys() for answer in refused)


async def test_runs_are_exported_with_their_columns(live: Live) -> None:
    everything = rows_of((await live.get("/v1/export/runs")).text)
    chosen = ["run_id", "params.lr", "params.net.layers", "metrics.loss", "min(metrics.odd)", "tags.team", "message"]
    some = await live.get("/v1/export/runs", column=chosen, where="params.lr < 1")
    table = pq.read_table(io.BytesIO((await live.get("/v1/export/runs", format="parquet")).content))

    assert [row["run_id"] for row in everything] == ["two", "one"]
    assert everything[1]["name"] == everything[1]["params.cmd"] == f"'{HOSTILE}"
    assert everything[1]["params.net"] == '{"layers": [64, 32]}'
    assert [row["params.mixed"] for row in everything] == ["a", "2"]
    assert (everything[0]["message"], everything[0]["params.depth"]) == ("out of memory", "")
    assert rows_of(some.text) == [
        dict(zip(chosen, ["one", "0.1", "[64, 32]", "-2.0", "0.1", "''quoted", ""], strict=True)),
    ]  # fmt: skip
    assert table["params.depth"].to_pylist() == [None, 2**60]
    assert table["params.lr"].to_pylist() == [1.0, 0.1]
    assert table["name"].to_pylist() == ["plain", HOSTILE]


async def test_a_parameter_of_one_run_may_be_a_path_inside_that_of_another(live: Live) -> None:
    flat, nested = Author("flat"), Author("nested")
    net = JsonValue(value={"width": "=wide", "rate": [1, {"x": 2.5}], "on": "no"})
    params = {"net.width": IntValue(value=3), "net.rate": FloatValue(value=0.5), "net.on": BoolValue(value=True)}
    await live.publish([
        flat.start(), flat.envelope(ev.Params(time=flat.now(), params=params)),
        nested.start(), nested.envelope(ev.Params(time=nested.now(), params={"net": net})),
    ])  # fmt: skip
    asked = {
        "column": ["run_id", "params.net.width", "params.net.rate", "params.net.on", "params.net.rate.1.x"],
        "where": "run_id in ('flat', 'nested')",
    }
    text = (await live.get("/v1/export/runs", **asked)).text
    file = io.BytesIO((await live.get("/v1/export/runs", format="parquet", **asked)).content)
    everything = rows_of((await live.get("/v1/export/runs")).text)

    expected = {"nested": ["=wide", '[1, {"x": 2.5}]', "no", "2.5"], "flat": ["3", "0.5", "true", None]}
    assert {run_id: cells for run_id, *cells in map(dict.values, pq.read_table(file).to_pylist())} == expected
    assert 'nested,\'=wide,"[1, {""x"": 2.5}]",no,2.5' in text
    assert {row["run_id"]: row["params.net.width"] for row in everything if row["params.net.width"]} == {
        "flat": "3", "nested": "'=wide",
    }  # fmt: skip


async def test_tables_of_runs_and_points_are_read_in_python(live: Live) -> None:
    runs = await asyncio.to_thread(read.runs, order_by="created", columns=["params.lr", "min(metrics.odd)", "name"])
    everything = await asyncio.to_thread(read.runs)
    points = await asyncio.to_thread(read.points, runs, ["loss", "odd", HOSTILE])
    first = await asyncio.to_thread(lambda: read.runs(columns=["name"], limit=1))
    rest = await asyncio.to_thread(lambda: read.runs(columns=["name"], page_token=first.next_page_token))

    assert runs.to_dicts() == [
        {"run_id": "one", "params.lr": 0.1, "min(metrics.odd)": 0.1, "name": HOSTILE},
        {"run_id": "two", "params.lr": 1, "min(metrics.odd)": None, "name": "plain"},
    ]
    assert (runs.exact, runs.count, bool(runs.as_of), runs.cut) == (True, 2, True, "")
    assert {"params.net", "metrics.odd", "tags.team", "state"} <= set(everything.columns)
    assert [[row["run_id"] for row in some] for some in (first, rest)] == [["two"], ["one"]]
    assert (first.count, "more runs match" in first.cut) == (2, True)
    assert points.as_of == runs.as_of
    rows = rows_of((await live.get("/v1/export/points", run_id=["one", "two"], name=["loss", "odd", HOSTILE])).text)
    assert [(row["series"], row["step"], row["time"]) for row in points] == [
        (row["series"].removeprefix("'"), int(row["step"]), int(row["time"])) for row in rows
    ]
    assert same(points.columns["value"], [float_from_json(_number(row["value"])) for row in rows])
    with pytest.raises(read.RunNotFound, match="absent"):
        await asyncio.to_thread(read.points, "absent")
    with pytest.raises(read.ApiRefused, match="where"):
        await asyncio.to_thread(read.runs, "metrics.loss <")


async def test_commands_write_files_and_tables(live: Live, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main.app, ["runs", *arguments])
        return result.exit_code, result.output

    csv_file, parquet_file = tmp_path / "p.csv", tmp_path / "r.parquet"
    done = await asyncio.to_thread(run, "export", "one", "--name", "loss", "--csv", str(csv_file), "--json")
    runs = await asyncio.to_thread(run, "export", "--where", "", "-c", "params.lr", "--parquet", str(parquet_file))
    wrong = [
        await asyncio.to_thread(run, *arguments)
        for arguments in (
            ("export", "one"),
            ("export", "--csv", "x"),
            ("export", "absent", "--csv", str(tmp_path / "n")),
        )
    ]
    found = await asyncio.to_thread(run, "search", "params.lr < 1", "-c", "min(metrics.loss)", "--json")
    table = await asyncio.to_thread(run, "search", "-c", "name", "-c", "params.lr")

    facts = json.loads(done[1])
    assert (done[0], facts["bytes"], facts["format"]) == (0, csv_file.stat().st_size, "csv")
    assert csv_file.read_bytes() == (await live.get("/v1/export/points", run_id="one", name="loss")).content
    assert (runs[0], pq.read_table(parquet_file)["params.lr"].to_pylist()) == (0, [1.0, 0.1])
    assert [code for code, _ in wrong] == [2, 2, 2]
    assert ["name one file" in wrong[0][1], "one of the two" in wrong[1][1], "absent" in wrong[2][1]] == [True] * 3
    assert sorted(path.name for path in tmp_path.iterdir() if not path.is_dir()) == ["p.csv", "r.parquet"]
    assert json.loads(found[1])["rows"] == [{"run_id": "one", "min(metrics.loss)": -2.0}]
    assert (table[0], "plain" in table[1], "two" in table[1]) == (0, True, True)


async def test_series_are_read_in_python_and_shown_by_commands(live: Live) -> None:
    index = await asyncio.to_thread(read.index, ["one", "two"], prefix="lo")
    whole = await asyncio.to_thread(lambda: read.series("one", "loss", range=(10, 20)))
    shrunk = await asyncio.to_thread(lambda: read.series(["one", "two"], regex="^(loss|odd)$", buckets=10))
    between = await asyncio.to_thread(lambda: read.series("one", "loss", range=(10.2, 10.8)))
    with pytest.raises(ClientError, match="inf is no end of a range"):
        await asyncio.to_thread(lambda: read.series("one", "loss", range=(0, math.inf)))
    groups = await asyncio.to_thread(lambda: read.groups("params.mixed", "loss", where="params.lr > 0"))
    shown = await asyncio.to_thread(CliRunner().invoke, main.app, ["runs", "series", "two", "--name", "loss"])

    assert [(row["run_id"], row["series"], row["count"], row["last"]) for row in index] == [
        ("one", "loss", LONG + 2, -2.0), ("two", "loss", 2, 0.25),
    ]  # fmt: skip
    assert (whole.exact, whole.cut, [(row["step"], row["value"]) for row in whole]) == (
        True, "", [(step, float(step)) for step in range(10, 21)],
    )  # fmt: skip
    assert (len(between), between.exact, between.count) == (0, True, 0)
    exact = {(one["run_id"], one["series"]): one["exact"] for one in shrunk.series}
    assert exact == {("one", "loss"): False, ("one", "odd"): True, ("two", "loss"): True}
    assert (shrunk.exact, "1 series are first, lowest, highest and last" in shrunk.cut) == (False, True)
    assert shrunk.count == LONG + 1 + 4 + 2
    odd = [row["value"] for row in shrunk if row["series"] == "odd"]
    assert same(odd, [0.1, math.nan, math.inf, -math.inf])
    assert {(row["params.mixed"], row["runs"]) for row in groups} == {("a", 1), (2, 1)}
    assert [row["mean"] for row in groups if row["params.mixed"] == "a"][-1] == 0.25
    assert (shown.exit_code, "█▁" in shown.output) == (0, True)


async def test_runs_are_compared_searched_and_followed_by_commands(live: Live) -> None:
    """Each verb as a program reads it (--json, documented keys) and as a person does (80 columns, whole ids)."""

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner(env={"COLUMNS": "80"}).invoke(main.app, ["runs", *arguments])
        return result.exit_code, result.output

    facts = {"exact", "count", "as_of", "cut", "next_page_token", "rows"}
    asked = {
        "compare": ("compare", "one", "two"),
        "diverge": ("diverge", "one", "two", "--name", "loss"),
        "console": ("console", "one", "--search", "CUDA"),
        "series": ("series", "one", "two", "--name", "loss", "--from", "10", "--to", "20"),
        "search": ("search", "params.lr > 0", "-c", "state"),
    }
    lines = ["\x1b[31mCUDA out of memory", "bye"]
    text = ev.ConsoleText(time=START, stream="stderr", lines=lines, times=[START, START + 1])
    await live.publish([Author("one", "console").envelope(text)])
    documents = {name: await asyncio.to_thread(run, *words, "--json") for name, words in asked.items()}
    shown = {name: await asyncio.to_thread(run, *words) for name, words in asked.items()}
    wrong = [
        await asyncio.to_thread(run, *words)
        for words in (("compare", "one"), ("compare", "one", "gone"), ("diverge", "one", "gone"), ("console", "gone"))
    ]

    found = {name: json.loads(output) for name, (_, output) in documents.items()}
    assert {code for code, _ in (*documents.values(), *shown.values())} == {0}
    assert all(facts <= document.keys() for document in found.values())
    rows = {(row["section"], row["key"]): (row["one"], row["two"]) for row in found["compare"]["rows"]}
    assert rows["params", "lr"] == (0.1, 1)
    assert found["compare"]["runs"] == ["one", "two"]
    assert found["diverge"]["first"] == found["diverge"]["first"] | {"series": "loss", "step": 0, "a": 0.0, "b": 0.5}
    assert [row["line"] for row in found["console"]["rows"]] == ["\x1b[31mCUDA out of memory"]
    assert [row["step"] for row in found["series"]["rows"]] == list(range(10, 21))
    assert "\x1b" not in shown["console"][1]  # what a run printed does not act on this terminal
    assert "first at step 0" in shown["diverge"][1]
    assert "≠ lr" in shown["compare"][1]
    assert [code for code, _ in wrong] == [2] * 4
    assert ["compare 2 to 20" in wrong[0][1], *("no run 'gone'" in output for _, output in wrong[1:])] == [True] * 4


async def test_commands_say_what_to_do_in_their_own_words(live: Live, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        group = [] if arguments[0] == "views" else ["runs"]
        return CliRunner().invoke(main.app, [*group, *arguments]).output

    lines = [f"line {number}" for number in range(2_500)]
    text = ev.ConsoleText(time=START, lines=lines, times=[START + number for number in range(2_500)])
    await live.publish([Author("two", "console").envelope(text)])
    asked = {
        "did you mean 'two'?": ("series", "tw"),
        "no run 'absent' (a new one appears": ("console", "absent"),
        "no series 'nothing' in these runs": ("export", "one", "--name", "nothing", "--csv", str(tmp_path / "n")),
        "no such series is in both runs": ("diverge", "one", "two", "--name", "nothing"),
        'start_run(capture={"console": True}) records them': ("console", "one"),
        "raise the limit": ("search", "-n", "1"),
        "write params.NAME, metrics.NAME": ("search", "-c", "loss"),
        "correct the expression": ("console", "two", "--regex", "("),
        "no run has metrics.los: did you mean 'loss'?": ("search", "metrics.los < 1 and params.depth = 2"),
        "no run has params.Loss: did you mean 'metrics.loss'?": ("list", "--where", "params.Loss = 1"),
        "no run has params.net.layer: did you mean": ("search", "-c", "params.net.layer", "-c", "params.net.layers"),
        "no run has metrics.lost": ("search", "--order-by", "metrics.lost desc"),
        "no run has metrics.lo/st": ("list", "-o", "metric.`lo/st` DESC"),
        "no run has tags.tem: did you mean 'team'?": ("export", "--where", "tags.tem = 'x'", "--csv", "-"),
        "docs/query.md has the language": ("search", "metrics.loss <"),
        "'environment'": ("compare", "one", "two", "--section", "foo"),
        "'deleted'": ("search", "--stage", "foo"),
        "correct buckets": ("series", "two", "--buckets", "100000"),
        "no view 'nope': list the views with `gateway views list`": ("views", "show", "nope"),
        "stdout": ("console", "two", "--stream", "other"),
    }
    said = {expected: await asyncio.to_thread(run, *words) for expected, words in asked.items()}
    last = await asyncio.to_thread(lambda: read.console("two", before="end", limit=2_200))

    assert {expected: output for expected, output in said.items() if expected not in output} == {}
    assert [output for output in said.values() if " /v1/" in output or "JSON object" in output] == []
    assert last.columns["line"] == lines[-2_200:]
    assert last.previous_page_token is not None
    assert "others come before" in last.cut


async def test_a_reader_that_goes_away_ends_a_command_without_a_trace(live: Live) -> None:
    variables = environment(GATEWAY_LIVE_URL=live.url)
    for words in (["export", "one", "--csv", "-"], ["series", "one", "--json"]):
        started = await asyncio.create_subprocess_exec(
            *COMMAND, "runs", *words, env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=1_000,
        )  # fmt: skip
        assert started.stdout is not None
        assert started.stderr is not None
        await started.stdout.read(10)
        started._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # as `| head -c 10` does
        said = (await started.stderr.read()).decode()
        await started.wait()
        assert said.strip() == ""


async def test_observations_and_histograms_are_read_as_they_were_recorded(live: Live) -> None:
    author = Author("odd values")
    bins = [HistogramValue(value={"edges": [0.0, 1.0, 2.0], "counts": [step, 2]}) for step in range(3)]
    said = [StringValue(value="größe 'x'"), StringValue(value=""), JsonValue(value={"a": [1, None]})]
    values = [
        ev.Observation(name=name, step=step, time=author.now(), value=one)
        for name, some in (("weights", bins), ("said", said))
        for step, one in enumerate(some)
    ]
    await live.publish([author.start(), author.envelope(ev.Values(time=author.now(), values=values))])
    said_rows = await asyncio.to_thread(read.observations, "odd values", "said")
    searched = await asyncio.to_thread(read.observations, "odd values", None, "GRÖ")
    one_page = await asyncio.to_thread(lambda: read.observations("odd values", limit=4))
    rest = await asyncio.to_thread(lambda: read.observations("odd values", after=one_page.next_page_token))
    histograms = await asyncio.to_thread(read.histograms, "odd values", "weights")
    cut = await asyncio.to_thread(lambda: read.histograms("odd values", "weights", steps_limit=2))

    assert [(row["step"], row["value"]) for row in said_rows] == [
        (step, said[step].model_dump()["value"]) for step in range(3)
    ]
    assert [row["value"] for row in searched] == ["größe 'x'"]
    assert ([row["step"] for row in (*one_page, *rest)], one_page.cut != "") == ([0, 1, 2, 0, 1, 2], True)
    assert [(row["step"], row["time"]) for row in histograms] == [(one.step, one.time) for one in values[:3]]
    assert [list(row["counts"]) for row in histograms] == [[step, 2] for step in range(3)]
    assert [list(row["edges"]) for row in histograms] == [[0.0, 1.0, 2.0]] * 3
    assert (histograms.exact, cut.exact, cut.count, len(cut)) == (True, False, 3, 2)


async def test_an_export_is_not_compressed_refused_in_words_and_needs_pyarrow_for_its_forms(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await live.http.get("/v1/export/points", params={"run_id": "one"}, headers={"Accept-Encoding": "gzip"})
    other = await live.http.get("/v1/runs/one/log", headers={"Accept-Encoding": "gzip"})
    assert ("content-encoding" in whole.headers, other.headers["content-encoding"]) == (False, "gzip")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for format in ("parquet", "arrow"):
        refused = await live.get("/v1/export/points", run_id="one", format=format)
        assert (refused.status_code, "tracking-gateway[parquet]" in refused.json()["next"]) == (400, True)
    wrong = (await live.get("/v1/export/runs", where="metrics.loss <")).json()
    assert (wrong["position"], wrong["end"], wrong["expected"]) == (14, 14, [])


async def test_exports_of_clients_that_leave_or_do_not_read_end(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "UNREAD_S", 3.0)
    author = Author("large")
    values = [float(at) for at in range(200_000)]
    pieces = [author.metrics("loss", values[at : at + 20_000], first_step=at) for at in range(0, 200_000, 20_000)]
    await live.publish([author.start(), *pieces])
    asked = {"run_id": ["large"] * 2, "format": "csv"}

    async with AsyncExitStack() as open_exports:
        leaving, unread = [
            await open_exports.enter_async_context(live.http.stream("GET", "/v1/export/points", params=asked))
            for _ in range(2)
        ]
        busy = await live.get("/v1/export/points", run_id="one")
        assert (busy.status_code, "2 exports run already" in busy.text, "retry-after" in busy.headers) == (
            503,
            True,
            True,
        )
        assert (await live.json("/v1/runs"))["runs"]  # other questions are answered
        await leaving.aclose()
        await until(lambda: _running(1), "the export of the client that left has ended")
        await until(lambda: _running(0), "the export of the client that does not read has ended")
        with pytest.raises(httpx.RemoteProtocolError):  # and it cannot take a part for the whole
            await unread.aread()
    assert (await live.get("/v1/export/points", run_id="two")).status_code == 200


async def _running(most: int) -> bool:
    return response.ExportResponse.running <= most


async def test_nothing_is_missed_between_the_reads_of_a_tool(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    api, loop = Api(live.url), asyncio.get_running_loop()
    tools = RunTools(api)
    left: list[tuple[str, list[Envelope]]] = []

    def document(api: Api, run: str, part: str, **parameters: Any) -> dict[str, Any]:
        """Read a part of a run, and publish what waits for that before the tool reads on."""
        found = asking.document(api, run, part, **parameters)
        if left and left[0][0] == part:
            asyncio.run_coroutine_threadsafe(live.publish(left.pop()[1]), loop).result()
        return found

    for module in (run_tools, series_tools, waiting):
        monkeypatch.setattr(module, "document", document)
    for tool in (tools.get_run, tools.why_failed, tools.completeness, SeriesTools(api).diagnose):
        author = Author(tool.__name__)
        await live.publish([author.start(), author.metrics("loss", [3.0])])
        left.append(("log", [author.finish()]))
        answer = await asyncio.to_thread(tool, author.run_id)
        waited = await asyncio.to_thread(tools.wait_for, author.run_id, "ended", answer["offset"])
        assert (answer["state"] in ENDED, waited["met"]) == (False, True), author.run_id

    author = Author("waiting")
    await live.publish([author.start(), author.metrics("loss", [3.0])])
    left.append(("series", [author.metrics("loss", [0.5], first_step=1), author.finish()]))
    waited = await asyncio.to_thread(tools.wait_for, author.run_id, "loss < 1")
    assert (waited["met"], waited["found"]["last"]) == (True, 0.5)
