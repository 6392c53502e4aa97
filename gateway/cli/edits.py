"""
`gateway runs delete | rename | tag`: change runs, by events in the log like any other.

What is named is looked up through the API, as `gateway runs show` does; the event goes where training code sends, and
the command returns when it is acknowledged. PostgreSQL, the dashboard and trackers follow the log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from gateway.cli.runs import RunArgument, api_of, complete_run
from gateway.cli.sync import address_of
from gateway.console import HomeOption, JsonOption, print_json, say
from schemas.errors import BadSettings, LogUnavailable, Refused

FOLLOW = "the log has it; PostgreSQL, the dashboard and trackers follow"
SHOWN_RUNS = 10  # in a question

Body = dict[str, Any]


def _complete_name(what: str) -> Callable[..., list[str]]:
    """Return what offers the series, parameters or tags of the run that was named before."""

    def complete(ctx: Any, incomplete: str) -> list[str]:
        from gateway.cli.lookup import places_of
        from gateway.client.errors import ClientError
        from schemas.errors import TrackingError

        # An option that still waits for its value keeps Click from handing words before it to their arguments.
        words = [*(ctx.params.get("runs") or ()), ctx.params.get("run"), *ctx.args]
        run_id = next((word for word in words if word), "")
        try:
            found = places_of(api_of(ctx.params.get("home")), run_id, what) if run_id else {}
        except (TrackingError, ClientError):
            return []  # a shell that waits for a completion is no place for an error
        return [name for name in found if name.startswith(incomplete)]

    return complete


def _named(what: str, verb: str, metavar: str) -> Any:
    return typer.Option(f"--{what}", help=f"{verb} of this name.", metavar=metavar, autocompletion=_complete_name(what))


RunsArgument = Annotated[
    list[str], typer.Argument(help="Ids of runs.", show_default=False, autocompletion=complete_run, metavar="RUN")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout-s", min=0.1, help="Seconds to wait for Kafka's acknowledgement.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to `gateway runs`."""
    app.command()(delete)
    app.command()(rename)
    app.command("tag")(set_tags)


def delete(
    runs: RunsArgument,
    series: Annotated[list[str] | None, _named("series", "Delete only series", "NAME")] = None,
    param: Annotated[list[str] | None, _named("param", "Delete only parameters", "NAME")] = None,
    tag: Annotated[list[str] | None, _named("tag", "Delete only tags", "NAME")] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Delete runs, or parts of them, for good: for every reader, and in every tracker that can.

    A series goes in all its steps, attempts and labels. It concerns what the log has by then: what training writes
    later under the name is new. A run is gone with all that is still written to it. The log itself keeps the events.

    Examples: `gateway runs delete RUN`, `gateway runs delete RUN1 RUN2 --yes`,
    `gateway runs delete RUN --series loss --series accuracy`, `gateway runs delete RUN --tag team --json --yes`
    """
    from gateway.cli.lookup import WORDS, check_named, find_run, places_of

    if not yes and not sys.stdin.isatty():
        raise BadSettings("confirmation is needed, and stdin is not a terminal: add --yes")
    base, address = api_of(home), address_of("", home)
    found = [find_run(base, _text(run_id, "a run id")) for run_id in dict.fromkeys(runs)]
    parts = [
        (what, name) for what, names in (("series", series), ("param", param), ("tag", tag)) for name in names or ()
    ]
    for run in found:
        places = {what: places_of(base, run["run_id"], what) for what in dict(parts)}
        for what, name in parts:
            check_named(run["run_id"], what, _text(name, f"a {WORDS[what]}"), places[what])
    if not yes:
        _ask(found, [f"{WORDS[what]} {name}" for what, name in parts])
    bodies: list[Body] = [{"kind": "deleted", "what": what, "name": name} for what, name in parts]
    edits = {run["run_id"]: bodies or [{"kind": "deleted", "what": "run"}] for run in found}
    _write(address, edits, timeout_s, as_json=as_json)


def rename(
    run: RunArgument,
    new: Annotated[str, typer.Argument(help="The new name.", show_default=False, metavar="NEW")],
    series: Annotated[str | None, _named("series", "Rename the series", "OLD")] = None,
    param: Annotated[str | None, _named("param", "Rename the parameter", "OLD")] = None,
    tag: Annotated[str | None, _named("tag", "Rename the tag", "OLD")] = None,
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Give a run, or a part of it, a new name; the id of a run stays.

    It concerns what the log has by then: what training writes later under the old name is a part of its own, and
    points under the new name continue the renamed series. A name that is taken stays with who has it.

    Examples: `gateway runs rename RUN baseline`, `gateway runs rename RUN --series loss train/loss`
    """
    from gateway.cli.lookup import find_run

    parts = [(what, old) for what, old in (("series", series), ("param", param), ("tag", tag)) if old is not None]
    if len(parts) > 1:
        raise BadSettings("one part is renamed at a time: give --series, --param or --tag")
    new, base, address = _text(new, "a name"), api_of(home), address_of("", home)
    run_id = find_run(base, _text(run, "a run id"))["run_id"]
    for what, old in parts:
        _check_free(base, run_id, what, old, new)
    body: Body = {"kind": "renamed", "what": "run", "new": new}
    for what, old in parts:
        body = {"kind": "renamed", "what": what, "old": old, "new": new}
    _write(address, {run_id: [body]}, timeout_s, as_json=as_json)


def set_tags(
    run: RunArgument,
    tags: Annotated[list[str], typer.Argument(help="Tags to set.", show_default=False, metavar="KEY=VALUE...")],
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Set tags of a run; a tag it has gets the new value. `gateway runs delete RUN --tag KEY` removes one.

    Examples: `gateway runs tag RUN team=vision`, `gateway runs tag RUN state=good "note=two words"`
    """
    from gateway.cli.lookup import find_run
    from gateway.client.shipping.batching import split

    given, base, address = _read_tags(tags), api_of(home), address_of("", home)
    run_id = find_run(base, _text(run, "a run id"))["run_id"]
    _write(address, {run_id: [{"kind": "tags", "tags": part} for part in split(given)]}, timeout_s, as_json=as_json)


# Inside.


def _read_tags(words: Iterable[str]) -> dict[str, str]:
    from gateway.client.encoding.values import MAX_NAME

    found: dict[str, str] = {}
    for word in words:
        key, is_given, value = word.partition("=")
        if not (is_given and key):
            raise BadSettings(f"{word!r:.100} is no tag: write KEY=VALUE")
        found[_text(key, "a tag")] = _text(value, f"the value of tag {key:.100}", limit=8 * MAX_NAME) if value else ""
    return found


def _text(text: str, what: str, limit: int = 1_024) -> str:
    """Return text that an event can hold as it is. Raises BadSettings."""
    if not 0 < len(text) <= limit:
        raise BadSettings(f"{what} has 1 to {limit:,} characters, not {len(text):,}: give another one")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadSettings(f"{what} is not UTF-8: {text!r:.100}")
    return text


def _check_free(base: str, run_id: str, what: str, old: str, new: str) -> None:
    """Raise Refused where a rename would change nothing; say where it may change less than is meant."""
    from gateway.cli.lookup import WORDS, check_named, places_of

    places = places_of(base, run_id, what)
    check_named(run_id, what, _text(old, f"a {WORDS[what]}"), places)
    if new == old:
        raise Refused(f"{WORDS[what]} {old} of run {run_id} is called that already: give another name")
    if new not in places:
        return
    if what != "series":
        raise Refused(f"run {run_id} has a {WORDS[what]} {new} already: delete it first, or give another name")
    say(f"run {run_id} has a series {new} already: where step, attempt and labels are the same, both stay as they are")


def _ask(runs: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> None:
    """Return when a person agrees; leave the command when not."""
    for run in runs[:SHOWN_RUNS]:
        say(f"{run['run_id']}  {run['name']}  {run['state']}  {run['points']:,} points")
    if len(runs) > SHOWN_RUNS:
        say(f"… and {len(runs) - SHOWN_RUNS:,} more")
    these = "this run" if len(runs) == 1 else f"these {len(runs):,} runs"
    what = f"{', '.join(parts)} of {these}" if parts else these
    typer.confirm(f"Delete {what} for good?", err=True, abort=True)


def _write(address: Any, edits: Mapping[str, Sequence[Body]], timeout_s: float, *, as_json: bool) -> None:
    """Have the log acknowledge the events of each run, and say so. Raises LogUnavailable or Refused."""
    from gateway.client.errors import ClientError, InDoubt, Unsent
    from gateway.client.shipping.immediate import send_now

    try:
        producer = send_now(address, edits, timeout_s=timeout_s)
    except InDoubt as error:
        raise LogUnavailable(
            f"{_cause(address, error)}: whether the log has this is not known: {_next(error)}; twice changes no more"
        ) from error
    except Unsent as error:
        raise LogUnavailable(f"{_cause(address, error)}: nothing was changed: {_next(error)}") from error
    except ClientError as error:
        raise Refused(str(error)) from error
    events = [
        {"run_id": run_id, "producer": producer, "seq": seq, **body}
        for run_id, bodies in edits.items()
        for seq, body in enumerate(bodies)
    ]
    if as_json:
        print_json({"address": address.url, "topic": address.topic, "events": events})
        return
    for event in events:
        typer.echo(f"run {event['run_id']}: {_told(event)}")
    typer.echo(FOLLOW)


def _cause(address: Any, error: Any) -> str:
    return f"{address.label} {error.what} ({error.why:.300})"


def _next(error: Any) -> str:
    return f"{error.step}, and run this again" if error.step else "run this again"


def _told(event: Mapping[str, Any]) -> str:
    from gateway.cli.lookup import WORDS

    if event["kind"] == "tags":
        return "tagged " + ", ".join(f"{name}={value}" for name, value in event["tags"].items())
    part = "" if event["what"] == "run" else f" {WORDS[event['what']]} {event.get('name') or event.get('old')}"
    return f"deleted{part}" if event["kind"] == "deleted" else f"renamed{part} to {event['new']}"
