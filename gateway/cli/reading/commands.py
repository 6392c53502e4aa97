"""
`gateway runs search | compare | diverge | series | console`: questions of `gateway.read`, as tables or JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from gateway.cli.lookup import near_ids
from gateway.cli.reading.complete import complete_column, complete_series
from gateway.cli.reading.tables import document, exactly, print_missing, print_table, print_unknown, short, spark
from gateway.cli.runs import RunArgument, api_of, complete_run
from gateway.console import HomeOption, JsonOption, console, print_json, print_notice
from schemas.runtime.text import escape_unprintable

RunsArgument = Annotated[
    list[str],
    typer.Argument(help="Ids of runs.", show_default=False, autocompletion=complete_run, metavar="RUN..."),
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option("-n", "--name", help="Written name of a series; repeat for more.", autocompletion=complete_series),
]
RegexOption = Annotated[str | None, typer.Option("--regex", help="Only series whose name matches.")]
PrefixOption = Annotated[str | None, typer.Option("--prefix", help="Only series whose name begins so.")]

Section = StrEnum("Section", ["facts", "params", "tags", "environment", "code", "metrics", "attempts", "artifacts"])


def register(app: typer.Typer) -> None:
    """Add these commands to `gateway runs`."""
    for command in (search, compare, diverge, series):
        app.command()(command)
    app.command("console")(console_lines)


def search(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    where: Annotated[str, typer.Argument(help="Filter, as in `gateway runs list`.", metavar="[FILTER]")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "-c", "--column", help="params.X, metrics.X, min(metrics.X), tags.X or a fact; repeat for more.",
            autocompletion=complete_column,
        ),
    ] = None,
    order_by: Annotated[
        list[str] | None, typer.Option("-o", "--order-by", help="Column, then asc or desc; repeat for more.")
    ] = None,
    experiment: Annotated[str | None, typer.Option("-e", "--experiment", help="Only runs of it, by its name.")] = None,
    stage: Annotated[
        Literal["active", "deleted", "all"], typer.Option("--stage", help="deleted: those in the trash.")
    ] = "active",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Runs to show.")] = 50,
    page_token: Annotated[str | None, typer.Option("--page-token", help="Continue: next_page_token of a page.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """
    Find runs by a filter and show chosen columns of them, newest first.

    Examples: `gateway runs search "state = 'failed'" -c message`,
    `gateway runs search "params.lr < 0.1" -c params.lr -c "min(metrics.loss)" -o "metrics.loss asc" --json`
    """
    from gateway import read

    found = read.runs(
        where, columns=column or ["name", "state", "created"], order_by=order_by or None, experiment=experiment,
        stage=stage, limit=limit, page_token=page_token, api=api_of(home),
    )  # fmt: skip
    if as_json:
        print_json(document(found))
    elif not len(found):
        print_notice("no runs match: see what there is with `gateway runs list`")
    else:
        print_table(found)
    empty = [name for name in column or () if all(cell is None for cell in found.columns[name])]
    print_unknown(api_of(home), where if not len(found) else "", columns=empty, order_by=order_by)


def compare(
    runs: RunsArgument,
    all_rows: Annotated[bool, typer.Option("--all", help="Also what is equal.")] = False,
    section: Annotated[list[Section] | None, typer.Option("--section", help="Only this; repeat for more.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what differs between 2 to 20 runs.

    Examples: `gateway runs compare A B`, `gateway runs compare A B C --section params --section metrics --json`
    """
    from gateway import read

    api = api_of(home)
    with near_ids(api, *runs):
        found = read.diff(*runs, changed_only=not all_rows, sections=section or None, api=api)
    if as_json:
        print_json(document(found, runs=list(dict.fromkeys(runs))))
        return
    if not len(found):
        print_notice("nothing differs: `--all` shows what is equal")
        return
    out, last = console(), ""
    ids = list(dict.fromkeys(runs))
    for row in found:
        if row["section"] != last:
            last = row["section"]
            out.print(f"{last}")
        out.print(f"  {'≠' if row['differs'] else '='} {row['key']}")
        shown = [short(row["key"], row[run]) for run in ids]
        if row["differs"] and len(set(shown)) == 1:
            shown = [exactly(row["key"], row[run]) for run in ids]
        for run, text in zip(ids, shown, strict=True):
            out.print(f"      {run}  {text}")
    print_missing(found)


def diverge(
    a: RunArgument,
    b: RunArgument,
    name: NamesOption = None,
    prefix: PrefixOption = None,
    absolute: Annotated[float, typer.Option(min=0, help="Differences up to this do not count.")] = 0.0,
    relative: Annotated[float, typer.Option(min=0, help="The same, as a share of the larger value.")] = 0.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show the first step at which two runs differ, over all series that both have.

    Examples: `gateway runs diverge A B`, `gateway runs diverge A B --name loss --relative 1e-6 --json`
    """
    from gateway import read

    api = api_of(home)
    with near_ids(api, a, b):
        found = read.divergence(a, b, name or None, prefix=prefix, absolute=absolute, relative=relative, api=api)
    if as_json:
        print_json(document(found, first=found.first, compared=found.compared))
        return
    if not len(found):
        print_notice("no such series is in both runs: `gateway runs series RUN` shows what a run has")
        return
    print_table(found, whole=())
    if found.first is None:
        print_notice(f"no difference in {found.compared:,} series")
    else:
        first = found.first
        print_notice(f"first at step {first['step']}: {first['series']} is {first['a']} in {a} and {first['b']} in {b}")


def series(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    runs: RunsArgument,
    name: NamesOption = None,
    regex: RegexOption = None,
    prefix: PrefixOption = None,
    start: Annotated[float | None, typer.Option("--from", help="Only from here on, on the axis.")] = None,
    end: Annotated[float | None, typer.Option("--to", help="Only up to here, on the axis.")] = None,
    axis: Annotated[
        Literal["step", "time", "relative"], typer.Option(help="time: µs; relative: µs since the run began.")
    ] = "step",
    buckets: Annotated[int, typer.Option(min=1, help="Ranges of which longer series show four points each.")] = 200,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show series of runs: a curve, the last, lowest and highest value. With --json their points.

    Examples: `gateway runs series RUN`, `gateway runs series A B --name loss --from 1000 --to 2000 --json`
    """
    from gateway import read
    from gateway.read.table import Table

    limits = None if start is None and end is None else (start, end)
    api = api_of(home)
    with near_ids(api, *runs):
        found = read.series(
            runs, name or None, regex=regex, prefix=prefix, range=limits, axis=axis, buckets=buckets, api=api
        )
    if as_json:
        print_json(document(found, series=found.series))
        return
    curves: dict[tuple[str, str], list[float]] = {}
    for run_id, written, value in zip(*(found.columns[one] for one in ("run_id", "series", "value")), strict=True):
        curves.setdefault((run_id, written), []).append(value)
    for run in dict.fromkeys(one["run_id"] for one in found.series):
        some = [one for one in found.series if one["run_id"] == run]
        rows: dict[str, list[Any]] = {field: [one[field] for one in some] for field in ("series", "last", "min", "max")}
        rows["points"] = [one["in_range"] for one in some]
        rows["curve"] = [spark(curves.get((run, one["series"]), [])) for one in some]
        if len(runs) > 1:
            console().print(f"run {run}")
        print_table(Table(rows), whole=("curve",))
    print_missing(found)
    if not found.series:
        print_notice("no series: `gateway runs series RUN` without names shows what a run has")


def console_lines(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    run: RunArgument,
    search: Annotated[str | None, typer.Option("-s", "--search", help="Only lines that contain this text.")] = None,
    regex: Annotated[str | None, typer.Option("--regex", help="Only lines that match this pattern.")] = None,
    stream: Annotated[
        Literal["stdout", "stderr", "log"] | None, typer.Option("--stream", help="Only lines of this stream.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest lines instead of the first.")] = False,
    after: Annotated[str | None, typer.Option("--after", help="Continue: next_page_token of an answer.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Lines to show.")] = 1_000,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Print what a run wrote to its console, or search in it.

    Examples: `gateway runs console RUN --last -n 50`, `gateway runs console RUN --search Traceback --json`
    """
    from gateway import read

    api = api_of(home)
    with near_ids(api, run):
        found = read.console(
            run, search, regex=regex, stream=stream, before="end" if last else None, after=after, limit=limit, api=api
        )
    if as_json:
        print_json(document(found))
        return
    for line in found.columns["line"]:
        typer.echo(escape_unprintable(line))
    if not len(found):
        asked = search or regex or stream or after
        print_notice("no lines" if asked else 'no lines: start_run(capture={"console": True}) records them')
    print_missing(found)
