"""
`gateway experiments list | show | create | rename | describe | tag | delete | restore`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.cli.registry.shared import (
    DeleteTagOption,
    DescriptionOption,
    LimitOption,
    TagOption,
    TagsArgument,
    TimeoutOption,
    WhereOption,
    complete_experiment,
    print_facts,
    print_result,
    print_table,
    read_tags,
    registry_of,
    tags_text,
    time_text,
)
from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from gateway.client.registry.connection import Registry
    from gateway.client.registry.results import Experiment

app = typer.Typer(no_args_is_help=True, help="List, create and change experiments.")

ExperimentArgument = Annotated[
    str,
    typer.Argument(
        help="Id or name of an experiment.",
        show_default=False,
        autocompletion=complete_experiment,
        metavar="EXPERIMENT",
    ),
]


@app.command("list")
def list_experiments(
    state: Annotated[
        Literal["active", "deleted", "all"], typer.Option("--state", help="active, deleted or all.")
    ] = "active",
    where: WhereOption = "",
    limit: LimitOption = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List experiments, newest first.

    A filter compares name, description, experiment_id, artifact_location, state, created, updated and tags.NAME, as
    that of `gateway runs list` does.

    Examples: `gateway experiments list`, `gateway experiments list --state all --json`,
    `gateway experiments list --where "name like 'vision-%' and tags.team = 'x'"`
    """
    from gateway import experiments

    found = list(experiments.search(where, state=state, limit=limit, registry=registry_of(home)))
    if as_json:
        print_json({"experiments": [one.to_document() for one in found]})
    elif found:
        titles = ("id", "name", "state", "created (UTC)", "tags")
        rows = [(one.id, one.name, _state(one), time_text(one.created), tags_text(one.tags)) for one in found]
        print_table(titles, rows)
    else:
        print_notice("no experiments: create one with `gateway experiments create NAME`, or look at --state all")


@app.command()
def show(experiment: ExperimentArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show one experiment, also a deleted one.

    Examples: `gateway experiments show digits`, `gateway experiments show digits --json`
    """
    found = _find(registry_of(home), experiment)
    if as_json:
        print_json(found.to_document())
        return
    print_facts(
        [
            ("id", found.id),
            ("name", found.name),
            ("formerly", ", ".join(found.former_names)),
            ("state", _state(found)),
            ("description", found.description),
            ("artifacts", found.artifact_location),
            ("tags", tags_text(found.tags)),
            ("created", f"{time_text(found.created)} UTC"),
            ("updated", f"{time_text(found.updated)} UTC"),
        ]
    )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name, which no other has.", show_default=False, metavar="NAME")],
    description: DescriptionOption = "",
    tag: TagOption = None,
    artifact_location: Annotated[
        str, typer.Option("--artifact-location", help="URI to keep with it; nothing is stored there.", metavar="URI")
    ] = "",
    experiment_id: Annotated[str | None, typer.Option("--id", help="An id of your own. Default: a new one.")] = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Create an experiment and print its id. A name belongs to one experiment, also while that is deleted.

    Examples: `gateway experiments create digits`,
    `gateway experiments create digits --description "Handwritten digits" --tag team=vision --json`
    """
    from gateway import experiments

    made = experiments.create(
        name, description=description, tags=read_tags(tag), artifact_location=artifact_location,
        experiment_id=experiment_id, timeout_s=timeout_s, registry=registry_of(home),
    )  # fmt: skip
    print_result(made, f"{made.id}", as_json=as_json)


@app.command()
def rename(
    experiment: ExperimentArgument,
    new: Annotated[str, typer.Argument(help="The new name.", show_default=False, metavar="NEW")],
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Rename an experiment. Its runs follow, also those that name it by the old name.

    Examples: `gateway experiments rename digits handwriting`
    """
    from gateway import experiments

    registry = registry_of(home)
    found = _find(registry, experiment)
    done = experiments.rename(found, new, timeout_s=timeout_s, registry=registry)
    print_result(done, f"experiment {found.name} is now {done.name}", as_json=as_json)


@app.command()
def describe(
    experiment: ExperimentArgument,
    text: Annotated[str, typer.Argument(help="The new description.", show_default=False, metavar="TEXT")],
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Replace the description of an experiment.

    Examples: `gateway experiments describe digits "Handwritten digits, 8x8 pixels"`
    """
    from gateway import experiments

    registry = registry_of(home)
    done = experiments.describe(_find(registry, experiment), text, timeout_s=timeout_s, registry=registry)
    print_result(done, f"described experiment {done.name}", as_json=as_json)


@app.command("tag")
def set_tags(
    experiment: ExperimentArgument,
    tags: TagsArgument = None,
    delete: DeleteTagOption = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Set or remove tags of an experiment; the others stay.

    Examples: `gateway experiments tag digits team=vision "note=two words"`,
    `gateway experiments tag digits --delete draft`
    """
    from gateway import experiments

    given, registry = read_tags(tags), registry_of(home)
    if not given and not delete:
        raise BadSettings("no tag is given: write KEY=VALUE, or --delete KEY")
    done = _find(registry, experiment)
    if given:
        done = experiments.set_tags(done, given, timeout_s=timeout_s, registry=registry)
    if delete:
        done = experiments.delete_tag(done, delete, timeout_s=timeout_s, registry=registry)
    print_result(done, f"experiment {done.name}: {tags_text(done.tags) or 'no tags'}", as_json=as_json)


@app.command()
def delete(
    experiment: ExperimentArgument,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Delete an experiment. It keeps its id, its name and its runs, and `gateway experiments restore` brings it back.

    Examples: `gateway experiments delete digits`
    """
    from gateway import experiments

    registry = registry_of(home)
    done = experiments.delete(_find(registry, experiment), timeout_s=timeout_s, registry=registry)
    print_result(
        done, f"deleted experiment {done.name}; `gateway experiments restore {done.id}` restores it", as_json=as_json
    )


@app.command()
def restore(
    experiment: ExperimentArgument,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Make a deleted experiment active again.

    Examples: `gateway experiments restore digits`
    """
    from gateway import experiments

    registry = registry_of(home)
    done = experiments.restore(_find(registry, experiment), timeout_s=timeout_s, registry=registry)
    print_result(done, f"restored experiment {done.name}", as_json=as_json)


def _find(registry: Registry, experiment: str) -> Experiment:
    """Return the experiment with this id, or else with this name. Raises NotFound."""
    from gateway import experiments
    from gateway.client.registry.arguments import MAX_ID, check_name

    check_name(experiment, "the id or name of an experiment")
    if len(experiment) <= MAX_ID and len(experiment.encode()) <= MAX_ID:  # no longer one is looked up as an id
        with suppress(experiments.NotFound):
            return experiments.get(experiment, registry=registry)
    return experiments.get_by_name(experiment, registry=registry)


def _state(experiment: Experiment) -> str:
    return "deleted" if experiment.is_deleted else "active"
