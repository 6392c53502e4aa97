"""
`gateway alerts list | rules | apply | test | mute | unmute | targets | send-test`.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr. Exit status: 0 when
everything that was asked for is done, 1 when a rule could not be saved, 2 when a service or a setting stops it, 130
after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from consumers.cli.alerts.format import (
    alert_line,
    parse_duration,
    parse_since,
    transition_document,
    transition_line,
)
from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import console, print_json, print_line, print_notice
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.alerts.backtest import TestProgress
    from consumers.alerts.evaluator.rules import Rule
    from consumers.store.pool import Database
    from schemas.alerts import RuleEntry

T = TypeVar("T")
EXIT_REFUSED, EXIT_STOPPED = 1, 130
REFRESH_S, LINE_EVERY_S = 0.2, 5.0

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Show alerts that fired; save, test and mute rules. The form of a rule is in docs/alerts.md.",
)
RuleArgument = Annotated[str, typer.Argument(help="Id of a rule, as `gateway alerts rules` prints it.", metavar="RULE")]


@app.command("list")
def list_alerts(
    state: Annotated[Literal["firing", "resolved", "all"], typer.Option(help="Which to list.")] = "firing",
    run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only of this rule.")] = None,
    since: Annotated[str, typer.Option("--since", help="Fired then or later: 2026-11-21T08:00 (UTC), or 2h.")] = "",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="Newest to show.")] = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List alerts, newest first.

    Examples: `gateway alerts list`, `gateway alerts list --state all --since 24h --json`
    """
    from consumers.store.alerts.firings import FiringQuestion, FiringsReader

    asked = FiringQuestion(state, run, rule, parse_since(since) if since else None, limit)

    async def ask(database: Database) -> list[str]:
        async with database.acquire() as connection:
            page = await FiringsReader(connection).page(asked)
        if as_json:
            print_json({"alerts": [one.model_dump() for one in page.alerts], "more": page.next_page_token is not None})
            return []
        more = [f"more than {limit:,}: raise --limit"] if page.next_page_token else []
        return [*map(alert_line, page.alerts), *more] or [f"No alerts: state {state}."]

    for line in _with_database(home, ask):
        print_line(line)


@app.command()
def rules(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    List rules, how many of their firings are not resolved, and mutes.

    Examples: `gateway alerts rules`, `gateway alerts rules --json`
    """
    from consumers.alerts.evaluator.rules import compile_rule
    from consumers.store.alerts.firings import FiringsReader
    from consumers.store.alerts.rules import AlertRules

    async def ask(database: Database) -> None:
        stored = await AlertRules(database).load()
        async with database.acquire() as connection:
            reader = FiringsReader(connection)
            firing, mutes = await reader.counts(), await reader.mutes()
        found = []
        for one in stored:
            try:
                compile_rule(one.rule_id, one.version, one.name, one.body, 0)
                problem = ""
            except BadSettings as error:
                problem = str(error)
            facts = {"id": one.rule_id, "version": one.version, "name": one.name, "enabled": one.enabled}
            found.append({**facts, "firing": firing.get(one.rule_id, 0), "problem": problem, "saved": one.saved,
                          "body": one.body})  # fmt: skip
        muted = [
            {"rule": one.rule_id, "run": one.run_id, "until": one.until and one.until.isoformat()} for one in mutes
        ]
        if as_json:
            print_json({"rules": found, "mutes": muted})
            return
        for facts in found:
            state = facts["problem"] or ("enabled" if facts["enabled"] else "disabled")
            print_line(f"{facts['id']} version {facts['version']}: {state}, {facts['firing']} firing: {facts['name']}")
        for mute in muted:
            run = f" for run {mute['run']}" if mute["run"] else ""
            print_line(f"muted: {mute['rule']}{run} {'until ' + mute['until'] if mute['until'] else 'until unmuted'}")
        if not found:
            print_line("No rules: save some with `gateway alerts apply FILE`.")

    _with_database(home, ask)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="YAML file of rules.", metavar="FILE")],
    prune: Annotated[bool, typer.Option("--prune", help="Delete the rules that the file does not name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be saved.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Save the rules of a file: each that is new or differs becomes a version. Applying it again changes nothing.

    Examples: `gateway alerts apply rules.yaml --dry-run`, `gateway alerts apply rules.yaml --prune --json`
    """
    from consumers.cli.alerts.apply import apply_rules

    entries, settings = _read(file), Settings.load(home)
    done = asyncio.run(apply_rules(settings, entries, prune=prune, dry_run=dry_run))
    _warn_of_targets(settings, entries)
    if as_json:
        print_json({"dry_run": dry_run, "rules": [one._asdict() for one in done]})
    else:
        for one in done:
            print_line(f"{one.rule_id}: {'would be ' if dry_run and one.is_done else ''}{one.result}")
    raise typer.Exit(0 if all(one.is_done for one in done) else EXIT_REFUSED)


@app.command("test")
def back_test(
    rule: Annotated[str, typer.Argument(help="Id of a rule, or a YAML file of rules.", metavar="RULE")],
    since: Annotated[str, typer.Option("--since", help="Judge what the log got since then: 2026-11-21T08:00, or 7d.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Say when a rule would have fired, from the log and by the same evaluation as live. Nothing is stored or sent.

    Ctrl-C stops it and prints what it found until then.

    Examples: `gateway alerts test loss-is-nan --since 7d`, `gateway alerts test rules.yaml --since 2026-11-01 --json`
    """
    from consumers.alerts.backtest import TestProgress, backtest

    settings, since_ms, progress = Settings.load(home), parse_since(since) // 1_000, TestProgress()
    stopping = asyncio.Event()

    async def work(database: Database) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopping.set)
        chosen = await _chosen(database, rule, since_ms)
        shown = asyncio.create_task(_show(progress))
        try:
            await backtest(settings, database, chosen, progress, stopping.is_set)
        finally:
            shown.cancel()

    _with_database(home, work)
    fired = sum(one.fired for one in progress.transitions)
    if as_json:
        facts = {"complete": progress.is_complete, "records": progress.done, "runs": progress.runs, "fired": fired}
        print_json({**facts, "transitions": [transition_document(one) for one in progress.transitions]})
    else:
        for one in progress.transitions:
            print_line(transition_line(one))
        print_line(f"firings: {fired:,}, in {progress.done:,} records of {progress.runs:,} runs")
    if not progress.is_complete:
        print_notice(f"stopped after {progress.done:,} of {progress.total:,} records: later firings are not listed")
        raise typer.Exit(EXIT_STOPPED)


@app.command()
def mute(
    rule: RuleArgument,
    run: Annotated[str, typer.Option("--run", help="Only firings of this run.")] = "",
    duration: Annotated[str, typer.Option("--for", help="How long: 90s, 15m, 2h, 7d. Otherwise until unmute.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Store firings of a rule without sending them. Those that were sent before are still resolved.

    Examples: `gateway alerts mute loss-is-nan --for 2h`, `gateway alerts mute quiet --run r1`
    """
    from consumers.store.alerts.firings import mute as store_mute
    from consumers.store.alerts.rules import AlertRules
    from schemas.alerts import ALARM

    seconds = parse_duration(duration, "--for") if duration else None

    async def work(database: Database) -> None:
        if not rule.startswith(ALARM) and rule not in {one.rule_id for one in await AlertRules(database).load()}:
            raise BadSettings(f"there is no rule {rule!r:.100}: see `gateway alerts rules`")
        async with database.acquire() as connection:
            await store_mute(connection, rule, run, seconds)

    _with_database(home, work)
    if as_json:
        print_json({"rule": rule, "run": run, "seconds": seconds})
    else:
        of_run = f" for run {run}" if run else ""
        print_line(f"muted {rule}{of_run}{f' for {duration}' if duration else ' until `gateway alerts unmute`'}")


@app.command()
def unmute(
    rule: RuleArgument,
    run: Annotated[str | None, typer.Option("--run", help="Only the mute of this run.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Send the firings of a rule again.

    Example: `gateway alerts unmute loss-is-nan`
    """
    from consumers.store.alerts.firings import unmute as end_mutes

    async def work(database: Database) -> int:
        async with database.acquire() as connection:
            return await end_mutes(connection, rule, run)

    ended = _with_database(home, work)
    if as_json:
        print_json({"rule": rule, "run": run, "ended": ended})
    else:
        print_line(f"{rule} is no longer muted" if ended else f"{rule} was not muted")


@app.command()
def targets(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    List targets and what waits for them. Of addresses only the host is shown.

    Example: `gateway alerts targets --json`
    """
    from consumers.alerts.sending.targets import describe, read_targets
    from consumers.store.alerts.outbox import Outbox

    known = read_targets(Settings.load(home).alert_targets)
    found: dict[str, dict[str, object]] = {
        name: {"target": name, "type": one.type, "leads_to": describe(one), "default": name in known.default,
               "sent": 0, "waiting": 0, "given_up": 0, "error": ""}
        for name, one in known.targets.items()
    }  # fmt: skip
    for queued in _with_database(home, lambda database: Outbox(database).counts()):
        unknown = {"target": queued.target, "type": "", "leads_to": "no target has this name", "default": False,
                   "sent": 0, "waiting": 0, "given_up": 0, "error": ""}  # fmt: skip
        facts = found.setdefault(queued.target, unknown)
        facts[queued.state] = queued.messages
        facts["error"] = queued.error or facts["error"]
    if as_json:
        print_json({"targets": list(found.values())})
        return
    for facts in found.values():
        counts = f"{facts['sent']} sent, {facts['waiting']} waiting, {facts['given_up']} given up"
        error = f": {facts['error']}" if facts["error"] else ""
        print_line(f"{facts['target']} ({facts['type']}{', default' if facts['default'] else ''}) "
                   f"{facts['leads_to']}: {counts}{error}")  # fmt: skip


@app.command("send-test")
def send_test(
    target: Annotated[str, typer.Argument(help="Name of a target; otherwise all.", metavar="TARGET")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Send a message to a target now, or to each, and say whether it was taken. Nothing is stored.

    Examples: `gateway alerts send-test team-chat`, `gateway alerts send-test --json`
    """
    from consumers.alerts.sending.forms import example
    from consumers.alerts.sending.senders import NotTaken, sender
    from consumers.alerts.sending.targets import read_targets

    settings = Settings.load(home)
    known = read_targets(settings.alert_targets).targets
    if target and target not in known:
        raise BadSettings(f"there is no target {target!r:.100}: see `gateway alerts targets`")
    found = []
    for name in [target] if target else known:
        problem = ""
        try:
            sender(known[name], settings.api)(example(name))
        except NotTaken as error:
            problem = str(error)
        found.append({"target": name, "taken": not problem, "error": problem})
        if not as_json:
            print_line(f"{name}: {problem or 'taken'}")
    if as_json:
        print_json({"targets": found})
    raise typer.Exit(0 if all(one["taken"] for one in found) else EXIT_REFUSED)


def _read(file: Path) -> list[RuleEntry]:
    """Return the rules of a file, with filters that can be decided. Raises BadSettings."""
    from consumers.alerts.evaluator.rules import compile_rule
    from consumers.alerts.yaml_file import read_yaml
    from schemas.alerts import read_rules

    entries = read_rules(read_yaml(file, "the argument FILE"), str(file))
    for one in entries:
        compile_rule(one.id, 0, one.name, one.body(), 0, f"{file}, rule {one.id!r:.60}")
    return entries


def _warn_of_targets(settings: Settings, entries: list[RuleEntry]) -> None:
    """Say on stderr which targets of the rules are in no file, as far as this command knows it."""
    from consumers.alerts.sending.targets import read_targets

    known = read_targets(settings.alert_targets).targets
    for name in dict.fromkeys(target for one in entries for target in one.to if target not in known):
        print_notice(f"no target is named {name!r:.100}: nothing is sent there until GATEWAY_ALERT_TARGETS has it")


async def _chosen(database: Database, rule: str, since_ms: int) -> list[Rule]:
    """Return the rules to test: those of a file, or one of the collection. Raises BadSettings."""
    from consumers.alerts.evaluator.rules import compile_rule
    from consumers.store.alerts.rules import AlertRules

    if rule.endswith((".yaml", ".yml")):
        return [compile_rule(one.id, 1, one.name, one.body(), since_ms) for one in _read(Path(rule))]
    for one in await AlertRules(database).load():
        if one.rule_id == rule:
            return [compile_rule(one.rule_id, one.version, one.name, one.body, since_ms, f"rule {rule!r:.60}")]
    raise BadSettings(f"there is no rule {rule!r:.100}: see `gateway alerts rules`, or name a .yaml file of rules")


async def _show(progress: TestProgress) -> None:
    """Show how far a back-test is, until cancelled: a bar at a terminal, a line every few seconds elsewhere."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    err = console(stderr=True)
    columns = TextColumn("testing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        bar, waited = bars.add_task("", total=None), 0.0
        while True:
            bars.update(bar, completed=progress.done, total=progress.total or None)
            await asyncio.sleep(REFRESH_S)
            waited += REFRESH_S
            if not err.is_terminal and waited >= LINE_EVERY_S:
                waited = 0.0
                print_notice(f"{progress.done:,} of {progress.total:,} records")


def _with_database(home: Path | None, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        from consumers.cli.database import connected_database

        async with connected_database(Settings.load(home), "gateway alerts") as database:
            return await work(database)

    return asyncio.run(run())
