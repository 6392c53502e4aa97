"""The pure parts of the benchmarks: arithmetic, tables, and the catalogue compared with its document."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.board import EMITTED, SENT, START, VISIBLE, Board
from benchmarks.catalogue import INGEST_PEERS, OURS, PEERS, Peer, chosen
from benchmarks.door_tables import Row, door_figures, door_table
from benchmarks.figures import Figures, Latency, combined, emit_figures, figures_of, latency, percentile, slowdown
from benchmarks.flow import Pace, lags_us, sustained
from benchmarks.growth import Chart, Growth
from benchmarks.history.figure import Figure
from benchmarks.ingest_tables import Bulk, Found, ingest_figures, ingest_tables
from benchmarks.left_running import NAME, LeftRunning
from benchmarks.reference import reference_us
from benchmarks.table import EMIT_HEAD, emit_table, kill_table, markdown, number, ratio, replaced
from benchmarks.trackers_table import HEAD as TRACKERS_HEAD
from benchmarks.trackers_table import trackers_figures, trackers_table

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
CALL = Latency(1.0, 4.0, 90.0)


def figures(name: str, **changed: Any) -> Figures:
    plain = Figures(
        name=name,
        import_ms=1.0,
        ready_ms=4.0,
        one=CALL,
        ten=CALL,
        points_per_s=500_000.0,
        cpu_us=2.0,
        server_cpu_us=0.0,
        slowdown=1.01,
        thread_slowdown=1.005,
        in_training=CALL,
        calls=2_000,
        lost=0,
    )
    return plain._replace(**changed)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_the_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_this_share_does_not_exceed(times: list[int], percent: int) -> None:
    ordered = sorted(times)

    found = percentile(ordered, percent)

    assert found in ordered
    assert sum(time <= found for time in ordered) * 100 >= percent * len(ordered)
    assert sum(time < found for time in ordered) * 100 < percent * len(ordered)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101)])
def test_a_percentile_that_does_not_exist_is_refused(values: list[int], percent: int) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile(values, percent)


def test_the_clock_is_subtracted_from_every_time_and_none_is_negative() -> None:
    assert latency([40, 1_050, 2_050], timer_ns=50) == Latency(1.0, 2.0, 2.0)
    assert latency([10], timer_ns=50) == Latency(0.0, 0.0, 0.0)


def test_a_maximum_that_thinning_left_out_is_restored() -> None:
    assert latency([1_000], timer_ns=0, max_ns=7_000).max == 7.0


def test_one_disturbed_round_changes_the_maximum_only() -> None:
    calm, disturbed = Latency(1.0, 2.0, 3.0), Latency(50.0, 60.0, 70.0)

    assert combined([calm, disturbed, calm]) == Latency(1.0, 2.0, 70.0)


def test_the_slowdown_is_the_median_of_the_pairs() -> None:
    assert slowdown([[1.0, 1.1], [2.0, 2.0], [1.0, 3.0]]) == pytest.approx(1.1)


def test_figures_come_from_all_rounds() -> None:
    run = {"times_ns": [1_050], "max_ns": 1_050, "calls": 1, "points": 10, "lost": 2, "wall_s": 0.5, "cpu_s": 1e-5}
    one = {"import_ms": 3.0, "start_ms": 1.0, "timer_ns": 50, "scalars_1": run, "scalars_10": run, "server_cpu_s": 4e-5}
    training = {"pairs_s": [[1.0, 1.5]], "thread_pairs_s": [[1.0, 1.2]], "times_ns": [2_050], "timer_ns": 50}

    found = figures_of("tool", [one, {**one, "import_ms": 2.0}], training)

    assert found == figures(
        "tool",
        import_ms=2.0,
        ready_ms=3.0,
        one=Latency(1.0, 1.0, 1.0),
        ten=Latency(1.0, 1.0, 1.0),
        points_per_s=20.0,
        cpu_us=pytest.approx(1.0),
        server_cpu_us=pytest.approx(2.0),
        slowdown=1.5,
        thread_slowdown=1.2,
        in_training=Latency(2.0, 2.0, 2.0),
        calls=4,
        lost=8,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.4119, "0.412"), (0.9999, "1.00"), (9.996, "10.0"), (99.96, "100"), (5_049.2, "5,049")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "ours", "text"), [(19.0, 1.0, "19.0×"), (1.0, 0.0, "–"), (0.0, 1.0, "–")])
def test_a_ratio_to_nothing_is_not_a_number(value: float, ours: float, text: str) -> None:
    assert ratio(value, ours) == text


def test_a_row_shows_its_ratio_to_ours() -> None:
    slow = figures("slow", one=Latency(20.0, 40.0, 900.0), points_per_s=1_000.0, server_cpu_us=7.0)

    *_, ours, theirs = emit_table([figures("us"), slow], {}, "us").splitlines()

    assert cells(ours)[3:5] == ["1.00 / 4.00 / 90.0", "1.00×"]
    assert cells(theirs)[3:5] == ["20.0 / 40.0 / 900", "20.0×"]
    assert cells(theirs)[7:10] == ["1,000", "500×", "2.00 + 7.00"]


def test_a_tool_that_keeps_nothing_has_no_speed() -> None:
    last = emit_table([figures("us", points_per_s=0.0)], {}, "us").splitlines()[-1]

    assert cells(last)[7:10] == ["keeps none", "–", "–"]


def test_a_missing_tool_stays_in_the_table_with_the_reason() -> None:
    last = emit_table([figures("us")], {"gone": "pip install failed: a|b\nc"}, "us").splitlines()[-1]

    assert "gone" in last
    assert "missing" in last
    assert "pip install failed: a\\|b c" in last


def test_a_table_can_be_made_without_ours() -> None:
    assert "–" in emit_table([figures("them")], {"us": "broken"}, "us")


def test_columns_of_a_table_are_as_wide_as_their_widest_cell() -> None:
    lines = markdown(("tool", "µs"), [("a", "1,000,000"), ("longer name", "2")]).splitlines()

    assert {len(line) for line in lines} == {len(lines[0])}
    assert lines[1] == "| ----------- | --------: |"


def test_the_table_of_kills_has_a_row_per_tool() -> None:
    assert "a row" in kill_table([["a row", "0", "287", "2,000", "on disk"]]).splitlines()[-1]


def test_only_what_is_between_the_markers_is_replaced() -> None:
    document = "before\n<!-- emit: begin -->\nold\n<!-- emit: end -->\nafter\n"

    once = replaced(document, "emit", "new")

    assert once == "before\n<!-- emit: begin -->\n\nnew\n\n<!-- emit: end -->\nafter\n"
    assert replaced(once, "emit", "new") == once


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        replaced("no markers", "emit", "new")


def test_ours_is_always_measured_and_the_order_is_the_catalogue_s() -> None:
    assert [peer.name for peer in chosen("trackio, wandb")] == [OURS, "wandb", "trackio"]
    assert chosen("all") == list(PEERS)


def test_none_is_ours_alone() -> None:
    assert [peer.name for peer in chosen("none", INGEST_PEERS)] == [OURS]
    assert chosen("all", INGEST_PEERS) == list(INGEST_PEERS)


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(ValueError, match="unknown peers wandbb: choose among gateway"):
        chosen("wandbb")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_document_names_each_peer_its_release_and_what_finished_means(peer: Peer) -> None:
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{peer.name}` |"))

    assert peer.durable in row
    assert all(name in row for name in peer.requirements[:1])


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_each_peer_has_an_adapter_and_exact_versions(peer: Peer) -> None:
    assert (ROOT / "benchmarks/adapters" / f"{peer.adapter}.py").is_file()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", requirement) for requirement in peer.requirements)
    assert bool(peer.requirements) == bool(peer.environment)


@pytest.mark.parametrize("peer", INGEST_PEERS, ids=lambda peer: peer.name)
def test_the_document_says_when_points_of_each_peer_are_queryable(peer: Peer) -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{peer.name}` |")]

    assert any(peer.durable in row and all(name in row for name in peer.requirements[:1]) for row in rows)
    assert not peer.adapter or (ROOT / "benchmarks/adapters" / f"{peer.adapter}.py").is_file()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", requirement) for requirement in peer.requirements)


def test_peers_of_one_environment_need_the_same() -> None:
    needs: dict[str, set[tuple[str, ...]]] = {}
    for peer in (*PEERS, *INGEST_PEERS):
        needs.setdefault(peer.environment, set()).add(peer.requirements)

    assert [name for name, found in needs.items() if len(found) > 1] == []


@pytest.mark.parametrize("name", ["trackers", "replay-kills", "one-down"])
def test_the_document_has_a_place_for_each_table_of_trackers(name: str) -> None:
    assert "new" in replaced(DOCUMENT, name, "new")


@pytest.mark.parametrize("column", ["points/s", "CPU", "memory", "bytes/point", "verify", "own bulk call"])
def test_the_document_explains_the_columns_of_trackers(column: str) -> None:
    assert any(column in head for head in TRACKERS_HEAD)
    assert column in DOCUMENT.partition("## History to every tracker")[2]


def test_the_cost_of_a_replay_is_shown_next_to_the_trackers_own_call() -> None:
    done = {
        "points": 1_000, "points_per_s": 500.0, "seconds": 2.0, "cpu_s": 0.001, "store_cpu_s": 0.0,
        "server_cpu_s": 0.002, "peak_mib": 99.6, "server_peak_mib": 300.0, "disk_bytes": 9_000,
    }  # fmt: skip
    proof = {"is_equal": True, "seconds": 3.0, "cannot_hold": ["names"]}
    one = {"replay": done, "verify": proof, "own": {"points_per_s": 1_000.0}}

    table = trackers_table({"log": {}, "trackers": {"some": one, "gone": {"missing": "no such"}}, "down": {}})

    row = next(line for line in table.splitlines() if line.startswith("| some"))
    assert cells(row)[1:] == [
        "500", "2.00", "1.00 + 2.00", "100 + 300", "9.00", "nothing twice, nothing missing", "3.00", "1,000", "0.500×"
    ]  # fmt: skip
    assert "some cannot hold: names." in table
    assert "Missing: gone (no such)." in table


@pytest.mark.parametrize("name", ["emit", "kill", "ingest"])
def test_the_document_has_a_place_for_each_table(name: str) -> None:
    assert "new" in replaced(DOCUMENT, name, "new")
    assert f"python benchmarks/{name}.py --peers all" in DOCUMENT


@pytest.mark.parametrize(
    "column",
    ["import", "ready", "p50 / p99 / max", "points/s to finished", "× fewer", "CPU", "in training", "slowdown"],
)
def test_the_document_explains_the_columns(column: str) -> None:
    assert any(column in head for head in EMIT_HEAD)
    assert f"**{column}**" in DOCUMENT


def test_a_lag_is_from_the_emit_of_a_point_until_as_many_are_visible() -> None:
    visible = [(1_000_000, 2), (3_000_000, 3)]  # ns, points

    assert list(lags_us([300, 100, 200], visible)) == [900, 800, 2_700]


@given(st.lists(st.integers(0, 10**6), min_size=1), st.data())
def test_every_visible_point_has_one_lag(times: list[int], data: st.DataObject) -> None:
    counts = sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=5)))
    visible = [(10**10 + at, count) for at, count in enumerate([*counts, len(times)])]

    found = list(lags_us(times, visible))

    assert len(found) == len(times)
    assert min(found) >= 0


def test_a_sustained_speed_leaves_out_the_beginning_and_the_end() -> None:
    seen = [(at * 10**9, points) for at, points in [(1, 5), (2, 10), (3, 30), (4, 50), (9, 60)]]

    assert sustained(seen, 0, 5.0, settle_s=2.0) == (20.0, 2.0)


def test_a_speed_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        sustained([(10**9, 1)], 0, 5.0, settle_s=2.0)


def test_processes_that_open_a_board_share_its_numbers(tmp_path: Path) -> None:
    one, other = Board(tmp_path / "board", 3), Board(tmp_path / "board", 3)

    one.set_head(START, 2**60)
    one.set(2, VISIBLE, 7)
    other.set(0, EMITTED, 9)

    assert other.head(START) == 2**60
    assert other.column(VISIBLE) == [0, 0, 7]
    assert one.column(EMITTED) == [9, 0, 0]
    assert one.column(SENT) == [0, 0, 0]


PACE = Pace(2, 9_000_000, 300_000.0, 30.0, (100.0, 200.0, 300.0, 400.0), 0, {"producers": 2.0, "broker": 0.5})


def test_costs_and_cores_of_each_part_are_shown_and_summed() -> None:
    table = ingest_tables(Found(full=PACE), {"lag under steady load": "no time left"}, "us")

    rows = [cells(line) for line in table.splitlines() if line.startswith("| all") or line.startswith("| producers")]
    assert rows == [["producers", "2.00", "0.600", "–", "–"], ["all", "2.50", "0.750", "–", "–"]]
    assert "Missing: lag under steady load (no time left)." in table


def test_growth_is_shown_with_its_slopes() -> None:
    table = ingest_tables(Found(growths=[Growth("runs", (1, 10, 100), (2.0, 3.0, 6.0))]), {}, "us")

    assert cells(table.splitlines()[-1]) == ["runs", "1 → 10 → 100", "2.00 → 3.00 → 6.00", "1.50× then 2.00×"]


def test_tools_are_compared_by_points_per_second() -> None:
    bulks = [Bulk("us", 1_000, 0.5, "a query"), Bulk("slow", 500, 5.0, "its reader")]

    *_, ours, theirs, gone = ingest_tables(Found(bulks=bulks), {"gone": "pip failed"}, "us").splitlines()

    assert cells(ours)[3:5] == ["2,000", "1.00×"]
    assert cells(theirs)[3:5] == ["100", "20.0×"]
    assert cells(gone)[:3] == ["gone", "missing", "pip failed"]


def test_a_run_that_measured_nothing_says_so() -> None:
    table = ingest_tables(Found(charts=[Chart(10, 1.0, 2.0)]), {"the system": "no Kafka"}, "us")

    assert "chart of 1,000 buckets of 10 points" in table
    assert "nothing was measured" in ingest_tables(Found(), {}, "us")


@pytest.mark.parametrize("word", ["sustained", "queryable", "lag", "bytes a point", "chart", "× 10 costs"])
def test_the_document_explains_what_ingest_measures(word: str) -> None:
    assert f"**{word}**" in DOCUMENT


def test_the_table_of_the_door_says_how_many_times_it_is_better() -> None:
    door = [Row("log", "calls/s", 200.0, True), Row("log", "p50 ms", 2.0, False), Row("search", "p50 ms", 1.0, False)]
    stock = [Row("log", "calls/s", 20.0, True), Row("log", "p50 ms", 9.0, False)]

    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in door_table(door, stock).splitlines()[2:]]

    assert cells == [
        ["log", "calls/s", "200", "20.0", "10.0×"],
        ["log", "p50 ms", "2.00", "9.00", "4.50×"],
        ["search", "p50 ms", "1.00", "", ""],
    ]


def ratios_of(kept: list[Figure], name: str) -> dict[str, float]:
    (found,) = [dict(one.ratios) for one in kept if one.name == name]
    return found


def test_emit_keeps_our_figures_beside_those_of_the_peers() -> None:
    slow = figures("slow", one=Latency(20.0, 40.0, 900.0), points_per_s=1_000.0)

    kept = emit_figures([figures("us"), slow], "us")

    assert ratios_of(kept, "1 scalar, p50") == {"slow": 0.05}
    assert ratios_of(kept, "until finished") == {"slow": 500.0}
    assert ratios_of(kept, "slowdown") == {"the loop alone": 1.01}
    assert ratios_of(kept, "slowdown in CPU time of the thread") == {"the loop alone": 1.005}
    assert emit_figures([slow], "us") == []


def test_ingest_keeps_cpu_beside_the_reference_loop_and_growth_beside_the_smaller_size() -> None:
    bulks = [Bulk("us", 1_000, 0.5, "a query"), Bulk("slow", 500, 5.0, "its reader")]
    found = Found(PACE, store_bytes=12.0, log_bytes=6.0, growths=[Growth("runs", (1, 10), (2.0, 3.0))], bulks=bulks)

    kept = ingest_figures(found, "us", reference_us=4.0)

    assert ratios_of(kept, "full speed: CPU, producers") == {"the reference loop": 0.5}
    assert ratios_of(kept, "full speed: CPU, all parts") == {"the reference loop": 0.625}
    assert ratios_of(kept, "full speed: lag p99") == {}
    assert ratios_of(kept, "size in PostgreSQL") == {"its three numbers": 0.5}
    assert ratios_of(kept, "fold, runs: 10") == {"1": 1.5}
    assert ratios_of(kept, "bulk") == {"slow": 20.0}


def test_trackers_keep_their_speed_beside_their_own_call() -> None:
    done = {"points": 10, "points_per_s": 500.0, "cpu_s": 1.0, "store_cpu_s": 0.5, "server_cpu_s": 0.5, "peak_mib": 9.0}
    one = {"replay": done, "own": {"points_per_s": 1_000.0}, "verify": {"differences": ["x"], "seconds": 1.0}}
    lag = {"p50": 1.0, "p99": 2.0}
    down = {"trackers": {"some": {"well": lag, "away": None}}}

    kept = trackers_figures({"trackers": {"some": one, "gone": {"missing": "no such"}}, "down": down})

    assert ratios_of(kept, "some: replay") == {"its own bulk call": 0.5}
    assert {one.name: one.value for one in kept} == {
        "some: replay": 500.0, "some: CPU, all parts": 200_000.0, "some: memory": 9.0, "some: differences": 1,
        "some: verify": 1.0, "some: lag p50, all well": 1.0, "some: lag p99, all well": 2.0,
    }  # fmt: skip


def test_the_door_keeps_its_figures_beside_the_stock_server() -> None:
    door = [Row("log", "calls/s", 200.0, True), Row("log", "p50 ms", 2.0, False), Row("search", "p50 ms", 1.0, False)]

    kept = door_figures(door, [Row("log", "calls/s", 20.0, True), Row("log", "p50 ms", 8.0, False)])

    assert [(one.name, one.better, one.ratios) for one in kept] == [
        ("log, calls/s", "higher", {"stock server": 10.0}),
        ("log, p50 ms", "lower", {"stock server": 0.25}),
        ("search, p50 ms", "lower", {}),
    ]


def test_a_process_that_a_producer_started_is_counted_and_ended(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\ninput()"  # psutil counts 10 ms
    waits = [sys.executable, "-c", busy]
    starts = f"import subprocess, os; os.waitpid(subprocess.Popen({waits!r}).pid, 0)"
    producers = LeftRunning(tmp_path, os.getpid())
    variables = {**os.environ, "GATEWAY_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", starts], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as producer:
        assert producer.stdout is not None
        producer.stdout.readline()  # the process that it started runs

        assert producers.cpu_s()[NAME] > 0
        producers.end()

        assert producer.wait(10) == 0
    assert producers.cpu_s() == {}


def test_the_reference_loop_takes_time() -> None:
    assert 0.5 < reference_us() < 500
