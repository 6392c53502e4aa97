"""
`gateway runs delete | rename | tag | trash | restore | move`: change runs, by events in the log like any other.

Runs and names are looked up through the API, as `gateway runs show` does. The event goes where training code sends,
and the command returns once it is acknowledged. PostgreSQL, the dashboard and trackers follow the log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.runs import RunArgument, api_of, complete_run
from gateway.cli.sync import address_of
from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.bounds import MAX_NAME, MAX_NAME_BYTES
from schemas.errors import BadSettings, LogUnavailable, Refused
from schemas.runtime.text import escape_unprintable

if TYPE_CHECKING:
    from gateway.client.query import Api

FOLLOW = "the log has it; PostgreSQL, the dashboard and trackers follow"
SHOWN_RUNS = 10  # in the question before a deletion

Body = dict[str, Any]


def _complete_name(what: str) -> Callable[..., list[str]]:
    """Return the completion of a series, parameter or tag (`what`) of the run that is named earlier in the line."""

    def complete(ctx: Any, incomplete: str) -> list[str]:
        from gateway.cli.lookup import names_of
        from gateway.client.errors import ClientError
        from schemas.errors import TrackingError

        # While an option has no value yet, Click does not assign the words before it to their arguments.
        words = [*(ctx.params.get("runs") or ()), ctx.params.get("run"), *ctx.args]
        run_id = next((word for word in words if word), "")
        try:
            found = names_of(api_of(ctx.params.get("home")), run_id, what) if run_id else {}
        except (TrackingError, ClientError):
            return []  # completion must not print errors into the command line
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
    app.command()(trash)
    app.command()(restore)
    app.command()(move)


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
    Delete runs, or parts of them, for good: for every reader, and in every tracker that can delete.

    `gateway runs trash` only hides runs, and `gateway runs restore` brings them back.

    A series is deleted with all its steps, attempts and labels. A deletion covers what the log holds by then: what
    training writes later under the same name is new. A deleted run stays deleted, with everything that is still
    written to it. The log itself keeps the events.

    Examples: `gateway runs delete RUN`, `gateway runs delete RUN1 RUN2 --yes`,
    `gateway runs delete RUN --series loss --series accuracy`, `gateway runs delete RUN --tag team --json --yes`
    """
    from gateway.cli.lookup import WORDS, check_name, find_run, names_of

    if not yes and not sys.stdin.isatty():
        raise BadSettings("confirmation is needed, and stdin is not a terminal: add --yes")
    base, address = api_of(home), address_of("", home)
    found = [find_run(base, _text(run_id, "a run id")) for run_id in dict.fromkeys(runs)]
    parts = [
        (what, name) for what, given in (("series", series), ("param", param), ("tag", tag)) for name in given or ()
    ]
    for run in found:
        names = {what: names_of(base, run["run_id"], what) for what in dict(parts)}
        for what, name in parts:
            check_name(run["run_id"], what, _text(name, f"a {WORDS[what]}"), names[what])
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
    Rename a run, or a part of it; the id of a run stays.

    A rename covers what the log holds by then: what training writes later under the old name is a new part, and points
    under the new name continue the renamed series. A parameter or tag cannot take a name that another one has.

    Examples: `gateway runs rename RUN baseline`, `gateway runs rename RUN --series loss train/loss`
    """
    from gateway.cli.lookup import find_run

    parts = [(what, old) for what, old in (("series", series), ("param", param), ("tag", tag)) if old is not None]
    if len(parts) > 1:
        raise BadSettings("only one part can be renamed at a time: give --series, --param or --tag")
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
    Set tags of a run; an existing tag gets the new value. `gateway runs delete RUN --tag KEY` removes one.

    Examples: `gateway runs tag RUN team=vision`, `gateway runs tag RUN state=good "note=two words"`
    """
    from gateway.cli.lookup import find_run
    from gateway.client.shipping.batching import split

    given, base, address = _read_tags(tags), api_of(home), address_of("", home)
    run_id = find_run(base, _text(run, "a run id"))["run_id"]
    _write(address, {run_id: [{"kind": "tags", "tags": part} for part in split(given)]}, timeout_s, as_json=as_json)


def trash(
    runs: RunsArgument, timeout_s: TimeoutOption = 20.0, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """
    Put runs into the trash: lists and searches leave them out, MLflow too, and `gateway runs restore` brings them back.

    Nothing is lost, neither what a run has nor what is still recorded into it. `gateway runs list --stage deleted`
    lists the trash. `gateway runs delete` deletes for good.

    Examples: `gateway runs trash RUN`, `gateway runs trash RUN1 RUN2 --json`
    """
    _set_stage(runs, "deleted", timeout_s, home, as_json=as_json)


def restore(
    runs: RunsArgument, timeout_s: TimeoutOption = 20.0, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """
    Take runs out of the trash. A run that `gateway runs delete` has deleted stays deleted.

    Examples: `gateway runs restore RUN`, `gateway runs restore RUN1 RUN2 --json`
    """
    _set_stage(runs, "active", timeout_s, home, as_json=as_json)


def move(
    runs: RunsArgument,
    experiment: Annotated[
        str, typer.Option("--to", "-e", help="Name of the experiment.", show_default=False, metavar="EXPERIMENT")
    ],
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Put runs into another experiment; its name becomes their tag.

    The experiment must exist, or be named by the tag of a run. Trackers follow: MLflow makes the run again in the
    experiment of this name.

    Examples: `gateway runs move RUN --to digits`, `gateway runs move RUN1 RUN2 --to digits --json`
    """
    from gateway.runs import move_event

    _text(experiment, "the name of an experiment")
    base, address = api_of(home), address_of("", home)
    _change(base, address, runs, lambda: move_event(experiment, api=base), timeout_s, as_json=as_json)


def _set_stage(runs: Sequence[str], stage: str, timeout_s: float, home: Any, *, as_json: bool) -> None:
    base, address = api_of(home), address_of("", home)
    body: Body = {"kind": "lifecycle_stage", "stage": stage}
    _change(base, address, runs, lambda: body, timeout_s, as_json=as_json)


def _change(
    base: Api, address: Any, runs: Sequence[str], body: Callable[[], Body], timeout_s: float, *, as_json: bool
) -> None:
    """Write one event about each of these runs, which must exist."""
    from gateway.cli.lookup import find_run

    found = [find_run(base, _text(run, "a run id"))["run_id"] for run in dict.fromkeys(runs)]
    event = body()
    _write(address, {run_id: [event] for run_id in found}, timeout_s, as_json=as_json)


def _read_tags(words: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        key, is_given, value = word.partition("=")
        if not (is_given and key):
            raise BadSettings(f"{word!r:.100} is not a tag: write KEY=VALUE")
        found[_text(key, "a tag")] = _text(value, f"the value of tag {key:.100}", limit=8 * MAX_NAME) if value else ""
    return found


def _text(text: str, what: str, limit: int = MAX_NAME) -> str:
    """Return text that an event can hold unchanged: a name, or what `limit` bounds. Raises BadSettings."""
    if not 0 < len(text) <= limit:
        raise BadSettings(f"{what} has 1 to {limit:,} characters, not {len(text):,}: give another one")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadSettings(f"{what} is not UTF-8: {text!r:.100}")
    if limit == MAX_NAME and (size := len(text.encode())) > MAX_NAME_BYTES:
        raise BadSettings(f"{what} has at most {MAX_NAME_BYTES:,} bytes in UTF-8, not {size:,}: give a shorter one")
    return text


def _check_free(base: str, run_id: str, what: str, old: str, new: str) -> None:
    """Raise Refused where a rename would change nothing; print a notice where it may merge two series in part."""
    from gateway.cli.lookup import WORDS, check_name, names_of

    names = names_of(base, run_id, what)
    check_name(run_id, what, _text(old, f"a {WORDS[what]}"), names)
    if new == old:
        raise Refused(f"{WORDS[what]} {old} of run {run_id} already has this name: give another one")
    if new not in names:
        return
    if what != "series":
        raise Refused(f"run {run_id} already has a {WORDS[what]} {new}: delete it first, or give another name")
    print_notice(
        f"run {run_id} already has a series {new}: where step, attempt and labels are the same, both stay unchanged"
    )


def _ask(runs: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> None:
    """Return once the user agrees. Raises typer.Abort when the user declines."""
    for run in runs[:SHOWN_RUNS]:
        line = f"{run['run_id']}  {run['name']}  {run['state']}  {run['points']:,} points"
        print_notice(escape_unprintable(line))
    if len(runs) > SHOWN_RUNS:
        print_notice(f"… and {len(runs) - SHOWN_RUNS:,} more")
    selection = "this run" if len(runs) == 1 else f"these {len(runs):,} runs"
    what = f"{', '.join(parts)} of {selection}" if parts else selection
    typer.confirm(f"Delete {what} for good?", err=True, abort=True)


def _write(address: Any, edits: Mapping[str, Sequence[Body]], timeout_s: float, *, as_json: bool) -> None:
    """Write the events of each run to the log, and print what was acknowledged. Raises LogUnavailable or Refused."""
    from gateway.client.errors import ClientError, InDoubt, Unsent
    from gateway.client.shipping.immediate import send_now

    try:
        producer = send_now(address, edits, timeout_s=timeout_s)
    except InDoubt as error:
        raise LogUnavailable(
            f"{_cause(address, error)}: the log may or may not have it: {_next(error)}; running it again is safe"
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
        typer.echo(f"run {event['run_id']}: {_describe(event)}")
    typer.echo(FOLLOW)


def _cause(address: Any, error: Any) -> str:
    return f"{address.label} {error.what} ({error.why:.300})"


def _next(error: Any) -> str:
    return f"{error.step}, and run this again" if error.step else "run this again"


def _describe(event: Mapping[str, Any]) -> str:
    from gateway.cli.lookup import WORDS

    if event["kind"] == "lifecycle_stage":
        return "in the trash" if event["stage"] == "deleted" else "restored"
    if event["kind"] == "moved":
        return f"moved to experiment {event['tag']}"
    if event["kind"] == "tags":
        return "tagged " + ", ".join(f"{name}={value}" for name, value in event["tags"].items())
    part = "" if event["what"] == "run" else f" {WORDS[event['what']]} {event.get('name') or event.get('old')}"
    return f"deleted{part}" if event["kind"] == "deleted" else f"renamed{part} to {event['new']}"
