"""
`gateway runs list | show | history | tail`: read runs through the API. The commands that change runs are in edits.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.console import HomeOption, JsonOption, console, print_json, print_notice
from schemas.columns import float_to_json
from schemas.errors import BadSettings
from schemas.runtime.terminal import json_text
from schemas.runtime.text import escape_unprintable, mask_unprintable
from schemas.statuses import ENDED

if TYPE_CHECKING:
    from gateway.client.query import Api

app = typer.Typer(
    no_args_is_help=True,
    help="List, search, show, follow, compare, export, delete, restore, move, rename and tag runs.",
)

State = Literal["created", "running", "finished", "failed", "killed", "lost"]
END_KINDS = ("run_finished", "run_failed", "run_killed")
WITH_GROUP, WIDE = 110, 160  # width of a terminal, in characters, from which the group and last values fit
STARTED = "started (UTC)"
MIN_WIDTHS = {"name": 8, "state": 8, STARTED: 13, "points": 6, "group": 8, "last values": 20}  # in characters
LAST_US = 253_402_300_799_000_000  # µs: the last second of the year 9999, beyond which datetime has no times
RECONNECT_S = 60.0  # how long `tail` tries to reach an API that no longer answers


def complete_run(ctx: Any, incomplete: str) -> list[str]:
    """Complete the id of a run, from the newest ones."""
    from gateway.client.errors import ClientError
    from gateway.client.query import get
    from schemas.errors import TrackingError

    try:
        found = get(api_of(ctx.params.get("home")), "/v1/runs", limit=200, stage="all")
    except (TrackingError, ClientError):
        return []  # completion must not print errors into the command line
    return [run["run_id"] for run in found["runs"] if run["run_id"].startswith(incomplete)]


RunArgument = Annotated[
    str, typer.Argument(help="Id of a run.", show_default=False, autocompletion=complete_run, metavar="RUN")
]


@app.command("list")
def list_runs(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="Runs to show.")] = 50,
    page_token: Annotated[
        str | None, typer.Option("--page-token", help="Continue after a page: its next_page_token.")
    ] = None,
    where: Annotated[
        str, typer.Option("--where", "-w", help="Only runs that match this filter; see the syntax above.")
    ] = "",
    order_by: Annotated[
        str | None, typer.Option("--order-by", "-o", help="A metric, parameter, tag or fact, then asc or desc.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("-e", "--experiment", help="Only runs of this experiment, by its name.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Only runs of this group.")] = None,
    state: Annotated[State | None, typer.Option("--state", "--status", help="Only runs in this state.")] = None,
    stage: Annotated[
        Literal["active", "deleted", "all"], typer.Option("--stage", help="deleted: those in the trash.")
    ] = "active",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List runs, newest first, or those that match a filter. Runs in the trash are left out unless --stage says otherwise.

    A filter compares metrics.NAME (the last value), min(metrics.NAME), also max, first, count, non_finite and step,
    params.NAME, tags.NAME, labels.NAME and facts: state, name, group, tag, experiment, experiment_id, run_id,
    parent_run_id, message, note, points, attempt, duration, stage, created, started, began, ended, updated. Its
    operators are = != < <= > >=, like, ilike, in (...), is null, and, or, not and parentheses; `text has 'words'` looks
    into all texts of a run. Put a name in backticks when it holds other characters than letters, digits, underscores.

    Text is sorted by its first 200 characters; runs without a sort key come last. Use a page token with the same filter
    and order; runs that are added meanwhile neither repeat nor hide others.

    Examples: `gateway runs list --state lost --json`, `gateway runs list -e digits --stage all`,
    `gateway runs list --where "metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x'" --order-by metrics.loss`
    """
    from gateway.client.query import get
    from gateway.query import in_experiment

    found = get(
        api_of(home), "/v1/runs", limit=limit, page_token=page_token, where=in_experiment(where, experiment) or None,
        order_by=order_by, group=group, status=state, stage=stage,
    )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        is_narrowed = bool(where or experiment or group or state or page_token or stage != "active")
        _print_page(found, is_narrowed=is_narrowed)
    _say_unknown(api_of(home), "" if found["runs"] else where, order_by or "")


@app.command()
def show(
    run: RunArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
    shape: Annotated[
        Literal["magnus", "runnable"] | None,
        typer.Option("--format", help="Print the run log as JSON, in the form of Magnus or of runnable."),
    ] = None,
) -> None:
    """
    Show one run; with --json its run log, exactly as the API returns it.

    Examples: `gateway runs show RUN`, `gateway runs show RUN --json > run.json`,
    `gateway runs show RUN --format runnable | jq .steps`
    """
    from gateway.cli.lookup import document_of

    document = document_of(api_of(home), run, "log")
    if shape is not None:
        from gateway.dialects.shapes import in_shape

        print_json(in_shape(document, shape))
    elif as_json:
        print_json(document)
    else:
        from gateway.cli.run_log import print_run_log

        print_run_log(document)


@app.command()
def history(
    run: RunArgument,
    metric: Annotated[str, typer.Argument(help="Written name of a series.", show_default=False, metavar="METRIC")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: step, time in µs, value.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Print every point of one series, as it was recorded. With --json one object a line.

    Of steps that a later attempt repeated only its points are printed. A series of a named step is written with it, and
    with its labels: `validate/loss{rank=3}`.

    Examples: `gateway runs history RUN accuracy`, `gateway runs history RUN loss --csv > loss.csv`
    """
    from gateway.cli.lookup import check_name, names_of
    from gateway.query import read_history

    if as_csv and as_json:
        raise BadSettings("--csv and --json are two forms of one answer: give one of them")
    base, points = api_of(home), 0
    if as_csv:
        print("step,time,value")
    for points, (step, time, value) in enumerate(read_history(base, run, metric), 1):  # noqa: B007 -- used below
        if as_json:
            print(json_text({"step": step, "time": time, "value": float_to_json(value)}, indent=None))
        else:
            print(f"{step},{time},{value!r}" if as_csv else f"{step:>10}  {time_text(time)} UTC  {value!r}")
    if not points:
        names = {name for written in names_of(base, run, "series").values() for name in written}
        check_name(run, "series", metric, {name: {name} for name in names})


@app.command()
def tail(run: RunArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Follow one run until it ends: print each new event on one line.

    Examples: `gateway runs tail RUN`, `gateway runs tail RUN --json | jq .kind`
    """
    from gateway.cli.lookup import document_of

    base = api_of(home)
    as_of = document_of(base, run, "series", buckets=1, limit=1)["as_of"]
    state = document_of(base, run, "log").get("state", "")
    print_notice(f"{run} is {state}")
    if state in ENDED:
        return
    for event in _follow(base, run, f"{as_of['partition']}:{as_of['offset']}"):
        print(json_text(event, indent=None) if as_json else _event_line(event), flush=True)
        if event["kind"] in END_KINDS:
            return


def _follow(base: str, run: str, since: str) -> Iterator[dict[str, Any]]:
    """Yield each event once; after a broken connection, continue from the last position."""
    from gateway.client.query import ApiUnavailable, stream

    lost_at: float | None = None
    while True:
        try:
            for position, event in stream(base, run=run, since=since):
                since, lost_at = position or since, None
                yield event
        except ApiUnavailable as error:
            if lost_at is None:
                print_notice(f"gateway: {error}; retrying")
            elif monotonic() - lost_at > RECONNECT_S:
                raise
        lost_at = lost_at or monotonic()
        sleep(0.5)


def api_of(home: Any) -> Api:
    """Return the address of the API, with its token. Raises BadSettings."""
    from gateway.client.query import api_at
    from schemas.runtime.settings import Settings

    return api_at(Settings.load(home).api, str(home or ""))


def _say_unknown(api: Api, where: str, order_by: str) -> None:
    """Say on stderr which names of a filter without a match, and of an order, no run has."""
    from gateway.read.near import unknown_names

    key = re.sub(r"\s+(asc|desc)\s*$", "", order_by, flags=re.IGNORECASE)
    for text in filter(None, (where, key and f"{key} is not null")):
        for line in unknown_names(api, text):
            print_notice(line)


def _print_page(found: dict[str, Any], *, is_narrowed: bool) -> None:
    if not found["runs"]:
        no_match, none_yet = "no runs match: see all with `gateway runs list`", "no runs yet: `gateway demo` makes some"
        print_notice(no_match if is_narrowed else none_yet)
        return
    _print_runs(found["runs"])
    if following := found.get("next_page_token"):
        print_notice(f"more runs follow: add --page-token {following}")


def _print_runs(runs: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    width = out.width = out.width if out.is_terminal else WIDE
    # Ids must stay whole, because people copy them; what does not fit next to them is left out, not folded.
    titles = ["run", "name", "state", STARTED, "points"]
    titles += ["group"] * (width >= WITH_GROUP) + ["last values"] * (width >= WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        min_width = max(len(run["run_id"]) for run in runs) if title == "run" else MIN_WIDTHS[title]
        justify: Literal["left", "right"] = "right" if title == "points" else "left"
        # Rich narrows columns that may wrap first, then all, ids too. `no_wrap` in the cells keeps any from wrapping.
        may_narrow = title in ("name", "group", "last values")
        table.add_column(title, overflow="ellipsis", no_wrap=not may_narrow, justify=justify, min_width=min_width)
    for run in runs:
        cells = {
            "run": run["run_id"],
            "name": run["name"],
            "state": run["state"],
            STARTED: time_text(run.get("started") or run.get("created"))[0 if width >= WITH_GROUP else 5 : -3],
            "points": f"{run.get('points', 0):,}",
            "group": run.get("group", ""),
            "last values": ", ".join(
                f"{name}={_short(value)}" for name, value in list(run.get("last", {}).items())[:4]
            ),
        }
        table.add_row(*[Text(mask_unprintable(cells[title]), no_wrap=True) for title in titles])
    out.print(table)


def _event_line(event: dict[str, Any]) -> str:
    parts = [f"{time_text(event.get('time'))} UTC", event["kind"]]
    for series in event.get("series", []):
        points = series["points"]
        if points:
            more = f" ({len(points)} points)" if len(points) > 1 else ""
            parts.append(f"{series['name']}[{points[-1][0]}]={_short(points[-1][2])}{more}")
    hidden = {"run_id", "kind", "partition", "offset", "producer", "seq", "time", "series"}
    parts += [
        f"{name}={_short(value)}"
        for name, value in event.items()
        if name not in hidden and value not in ("", None, {}, [])
    ]
    return escape_unprintable("  ".join(parts))


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def time_text(time_us: int | None) -> str:
    """Return a time in UTC, as run logs show it and filters take it."""
    return datetime.fromtimestamp(min(time_us, LAST_US) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") if time_us else ""
