"""
`gateway dead-letters list | show | replay | discard`: show records that can never be folded, and decide about them.

Found by the entry-point group `gateway.commands`. Facts go to stdout, everything else to stderr; only printable
characters of a record reach the terminal. Exit status: 0 when everything that was asked for is done, 1 when some of it
could not be done, 2 when a service cannot be reached or the arguments do not fit.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from consumers.cli.dead_letters.output import finish, print_found, print_letter
from consumers.cli.dead_letters.session import ask, carry_out
from consumers.cli.options import HomeOption, JsonOption
from consumers.cli.output import confirm, print_json
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.deadletters.resolution import Outcome
    from consumers.store.dead_letters import DeadLetterFilter, DeadLetterId, DeadLetters, State

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Show, replay or discard dead letters: records that could not be folded.",
)

INSTEAD = "--yes, or --dry-run to see what would be done"  # of a question, where there is no terminal

IdArgument = Annotated[str, typer.Argument(help="TOPIC:PARTITION:OFFSET, as `list` prints it.", metavar="ID")]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="TOPIC:PARTITION:OFFSET, as `list` prints it.", metavar="ID")
]
AllOption = Annotated[bool, typer.Option("--all", help="All undecided ones, narrowed by --run and --reason.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Only of this run: records with this key.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only where the reason or its kind contains this.", metavar="TEXT")
]
LimitOption = Annotated[int | None, typer.Option("-n", "--limit", min=1, help="Most to take, oldest first.")]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask. Ids given by hand are never asked about.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("list")
def list_letters(
    run: RunOption = None,
    reason: ReasonOption = None,
    state: Annotated[
        Literal["parked", "replayed", "discarded", "all"],
        typer.Option(help="Which to list; parked: undecided."),
    ] = "parked",
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="Newest to show.")] = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List dead letters, newest first.

    Examples: `gateway dead-letters list`, `gateway dead-letters list --run r1 --reason "not JSON" --json`
    """
    from consumers.cli.dead_letters.format import found_document
    from consumers.store.dead_letters import DeadLetterFilter

    chosen: State | None = None if state == "all" else state
    total, found = ask(Settings.load(home), lambda letters: letters.find(DeadLetterFilter(run, reason), chosen, limit))
    if as_json:
        print_json({"total": total, "dead_letters": [found_document(one) for one in found]})
    else:
        print_found(total, found, state)


@app.command()
def show(
    letter_id: IdArgument,
    length: Annotated[int, typer.Option("--bytes", min=1, help="Bytes of the value to show.")] = 2_000,
    raw: Annotated[bool, typer.Option("--raw", help="Write the value to stdout, byte for byte.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show one dead letter: why it is parked, its headers and its bytes.

    Examples: `gateway dead-letters show tracking.events:0:1234`,
    `gateway dead-letters show tracking.events:0:1234 --raw > value.bin`
    """
    from consumers.cli.dead_letters.format import letter_document
    from consumers.deadletters.resolution import parse_id

    wanted = parse_id(letter_id)
    letter = ask(Settings.load(home), lambda letters: letters.get(wanted))
    if letter is None:
        raise BadSettings(f"nothing is parked at {wanted}: see the ids with `gateway dead-letters list --state all`")
    if raw:
        sys.stdout.buffer.write(letter.record.value or b"")
    elif as_json:
        print_json(letter_document(letter))
    else:
        print_letter(letter, length)


@app.command()
def replay(  # noqa: PLR0913, PLR0917  # one an option
    ids: IdsArgument = None,
    everything: AllOption = False,
    run: RunOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also those that this release cannot fold: they are parked again.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Write records to the log again, byte for byte, for a release or a database that accepts them now.

    A record that was admitted once is refused as a duplicate afterwards, so replaying twice changes nothing.

    Examples: `gateway dead-letters replay tracking.events:0:1234`,
    `gateway dead-letters replay --all --reason UnknownVersion --yes`
    """
    from consumers.deadletters import resolution
    from consumers.log.security import security_arguments
    from consumers.log.writer import LogWriter
    from consumers.store.dead_letters import DeadLetterFilter

    settings = Settings.load(home)
    chosen = _chosen(settings, ids, DeadLetterFilter(run, reason), limit, everything)
    outcomes: list[Outcome] = []

    async def work(letters: DeadLetters) -> None:
        planned = resolution.plan_replay(letters, chosen, settings.topic, anyway=anyway)
        if dry_run:
            outcomes.extend([outcome async for outcome, _ in planned])
            return
        writer = LogWriter(settings.need("kafka"), settings.topic, security_arguments(settings))
        try:
            await resolution.replay(letters, writer, planned, outcomes.append)
        finally:
            await writer.close()

    if chosen and not (dry_run or yes or ids):
        confirm(f"Write up to {len(chosen)} records to {settings.topic} again?", instead=INSTEAD)
    carry_out(settings, work, outcomes)
    finish(outcomes, "replayed", dry_run=dry_run, as_json=as_json)


@app.command()
def discard(  # noqa: PLR0913, PLR0917  # one an option
    ids: IdsArgument = None,
    because: Annotated[str, typer.Option("--because", help="Reason, shown in the list.", metavar="TEXT")] = "",
    everything: AllOption = False,
    run: RunOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Discard dead letters: `gateway status` no longer counts them. Their bytes stay, and can still be replayed.

    A materialiser that stopped because there were too many continues after them when it is restarted (`gateway up`).

    Examples: `gateway dead-letters discard tracking.events:0:1234 --because "a test"`,
    `gateway dead-letters discard --all --run r1 --yes`
    """
    from consumers.deadletters import resolution
    from consumers.store.dead_letters import DeadLetterFilter

    if "\x00" in because:
        raise BadSettings("--because holds U+0000, which PostgreSQL cannot keep: leave it out")
    settings = Settings.load(home)
    chosen = _chosen(settings, ids, DeadLetterFilter(run, reason), limit, everything)
    outcomes: list[Outcome] = []

    async def work(letters: DeadLetters) -> None:
        async for outcome in resolution.discard(letters, chosen, because, dry_run=dry_run):
            outcomes.append(outcome)

    if chosen and not (dry_run or yes or ids):
        confirm(f"Discard up to {len(chosen)} dead letters?", instead=INSTEAD)
    carry_out(settings, work, outcomes)
    finish(outcomes, "discarded", dry_run=dry_run, as_json=as_json)


def _chosen(
    settings: Settings, ids: list[str] | None, wanted: DeadLetterFilter, limit: int | None, everything: bool
) -> list[DeadLetterId]:
    from consumers.deadletters.resolution import choose, parse_id

    narrowed = wanted.run is not None or wanted.reason is not None
    if ids and (everything or narrowed or limit):
        raise BadSettings("ids cannot be combined with --all, --run, --reason or --limit: give either")
    if ids:
        return list(dict.fromkeys(map(parse_id, ids)))
    if not (everything or narrowed):
        raise BadSettings("no choice is given: give ids from `gateway dead-letters list`, or --all, --run or --reason")
    return ask(settings, lambda letters: choose(letters, wanted, limit))
