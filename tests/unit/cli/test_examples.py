"""Each example that a help text shows is a command line that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import typer

from consumers.store.search.filter_terms import RUN_FACTS, STATS
from gateway.cli import main

EXAMPLE = re.compile(r"`(?:[A-Z_]+=\S+ )*gateway ([^`]+)`")
END = re.compile(r" (?:>|\||&&) ")  # of the command in a line of a shell


def commands(group: Any, path: tuple[str, ...], ctx: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command below a group with its words."""
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        yield (*path, name), found
        if hasattr(found, "list_commands"):
            yield from commands(found, (*path, name), ctx)


def all_commands() -> dict[tuple[str, ...], Any]:
    """Return every command with its words, those of entry points included."""
    root: Any = typer.main.get_command(main.app)
    ctx = root.make_context("gateway", [], resilient_parsing=True)
    assert {point.name for point in entry_points(group=main.GROUP)} <= set(root.list_commands(ctx))
    return dict(commands(root, (), ctx))


def test_every_example_can_be_parsed() -> None:
    known = all_commands()
    lines = {line for one in known.values() for line in EXAMPLE.findall(" ".join((one.help or "").split()))}
    wrong = {}
    for line in sorted(lines):
        words = shlex.split(END.split(line)[0])
        path = next((tuple(words[:length]) for length in (3, 2, 1) if tuple(words[:length]) in known), ())
        rest = words[len(path) :]
        if not path:
            wrong[line] = "there is no such command"
        elif rest and "…" not in rest and not hasattr(known[path], "list_commands"):  # a name alone is no example
            try:
                known[path].make_context("gateway", rest)
            except Exception as error:  # noqa: BLE001 -- whatever refuses it
                wrong[line] = f"{type(error).__name__}: {error}"

    assert wrong == {}
    assert len(lines) > 80


def test_the_help_of_a_filter_names_the_words_of_its_language() -> None:
    text = " ".join((all_commands()["runs", "list"].help or "").split())
    of_mlflow = {"status", "run_name", "start_time", "end_time", "lifecycle_stage"}
    words = {*RUN_FACTS, *STATS} - of_mlflow - {"last"}

    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", text)] == []
