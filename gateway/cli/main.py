"""
The `gateway` command: start the stack, read and change runs, and run the commands that other distributions add.

Commands of other distributions (and of our own consumers, which this side must not import) are found by the
entry-point group `gateway.commands`. The help names them; they are loaded only when called.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import artifacts, doctor, edits, imports, node_agent, runs, stack, status, sync, tokens
from gateway.cli.plugin_help import summary_of
from gateway.cli.reading import agents, commands, export
from gateway.cli.registry import experiments, models, views
from gateway.client.errors import ClientError
from gateway.console import named_home, print_notice, with_home
from schemas.errors import BadSettings, TrackingError
from schemas.runtime.proxies import bypass_proxies_on_loopback
from schemas.runtime.terminal import accept_any_text

GROUP = "gateway.commands"
EXIT_ERROR = 2
HOME = "gateway.home"  # key in the meta data of a context
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect


class Commands(TyperGroup):
    """
    Our commands and those of entry points. Known errors are printed as one line.

    A context is `Any` here: some releases of Typer use Click's class, others have their own.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the name of every command, ours first, in the order of the help."""
        ours = list(self.commands)
        return [*ours, *sorted({point.name for point in _entry_points()} - set(ours))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for an entry point a stand-in that loads the command when it is called."""
        if found := super().get_command(ctx, cmd_name):
            return found
        for point in _entry_points():
            if point.name == cmd_name:
                return _load_or_none(point) if ctx.resilient_parsing else _stand_in(point)
        return None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and keep the home that the command is given, for the advice of its errors."""
        ctx.meta[HOME] = named_home(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and print known errors as one line."""
        try:
            return super().invoke(ctx)
        except (TrackingError, ClientError) as error:
            print_notice(f"gateway: {with_home(str(error), ctx.meta.get(HOME))}")
            raise typer.Exit(EXIT_ERROR) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            print_notice("gateway: interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    name="gateway",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # they print local variables, passwords among them
    help="One durable log for every experiment event: `gateway up` starts everything, `gateway demo` shows it.",
)
stack.register(app)
status.register(app)
doctor.register(app)
sync.register(app)
edits.register(runs.app)
commands.register(runs.app)
export.register(runs.app)
agents.register(app)
app.add_typer(runs.app, name="runs")
app.add_typer(experiments.app, name="experiments")
app.add_typer(models.app, name="models")
app.add_typer(views.app, name="views")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(imports.app, name="import")
app.add_typer(tokens.app, name="tokens")
app.add_typer(node_agent.app, name="agent")


def main() -> None:
    """Run the command line."""
    accept_any_text()
    bypass_proxies_on_loopback()
    try:
        app()
    except KeyboardInterrupt:
        print_notice("gateway: interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None


def _entry_points() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _load_or_none(point: EntryPoint) -> Any:
    """Return the command itself, for the completion of its arguments; None where it cannot be loaded."""
    try:
        return _load(point)
    except BadSettings:
        return None


def _stand_in(point: EntryPoint) -> Any:
    """Return a command that hands all its arguments to the command of an entry point, which it loads when called."""

    def call(ctx: typer.Context) -> None:
        # Not `main`: our own `invoke` handles usage errors, exits and interrupts, once.
        _leave_out_cancelled_work()
        loaded = _load(point)
        with loaded.make_context(point.name, list(ctx.args), parent=ctx.parent) as own:
            loaded.invoke(own)

    stand_in = typer.Typer(add_completion=False)
    pass_all = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    summary = summary_of(point.module, point.attr)
    if not summary:
        summary = f"From {point.dist.name}." if point.dist else "From an unknown distribution."
    stand_in.command(point.name, help=summary, context_settings=pass_all)(call)
    return typer.main.get_command(stand_in)


def _leave_out_cancelled_work() -> None:
    """Let asyncio print no traceback of work that an interrupt cancelled and that is no longer awaited."""
    import logging

    def is_told(record: logging.LogRecord) -> bool:
        return not record.exc_info or type(record.exc_info[1]).__name__ != "CancelledError"

    logging.getLogger("asyncio").addFilter(is_told)


def _load(point: EntryPoint) -> Any:
    """Return the command of an entry point. Raises BadSettings naming entry point, distribution and cause."""
    name = point.dist.name if point.dist else "an unknown distribution"
    version = f" {point.dist.version}" if point.dist else ""
    try:
        loaded = point.load()
    except Exception as error:  # third-party code may raise anything at import; no event is involved
        raise BadSettings(
            f"command {point.name} ({point.value}) of {name}{version} cannot be loaded "
            f"({type(error).__name__}: {error}): update or uninstall {name}"
        ) from error
    if isinstance(loaded, typer.Typer):
        return typer.main.get_command(loaded)
    if callable(loaded) and not hasattr(loaded, "make_context"):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
        single.command()(loaded)
        return typer.main.get_command(single)
    return loaded
