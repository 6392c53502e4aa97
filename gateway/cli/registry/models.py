"""
`gateway models list | show | versions | register | create-version | stage | alias | tag | describe | rename | delete |
resolve | download`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.registry.shared import (
    DeleteTagOption,
    DescriptionOption,
    LimitOption,
    TagOption,
    TagsArgument,
    TimeoutOption,
    WhereOption,
    complete_model,
    print_facts,
    print_result,
    print_table,
    read_tags,
    registry_of,
    tags_text,
    time_text,
)
from gateway.cli.runs import complete_run
from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.errors import BadSettings
from schemas.runtime.text import escape_unprintable

app = typer.Typer(no_args_is_help=True, help="Register models; list, change and resolve their versions.")

NameArgument = Annotated[
    str, typer.Argument(help="Name of a model.", show_default=False, autocompletion=complete_model, metavar="NAME")
]
VersionArgument = Annotated[int, typer.Argument(help="Number of a version.", show_default=False, metavar="VERSION")]
VersionOption = Annotated[int | None, typer.Option("--version", help="Of this version, not of the model.")]
UriArgument = Annotated[
    str, typer.Argument(help="models:/NAME/VERSION, /STAGE, /latest, or models:/NAME@ALIAS.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]


@app.command("list")
def list_models(
    where: WhereOption = "", limit: LimitOption = 50, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """
    List registered models, newest first.

    A filter compares name, description, created, updated and tags.NAME, as that of `gateway runs list` does.

    Examples: `gateway models list --json`, `gateway models list --where "name ilike '%digits%' and tags.task = 'ocr'"`
    """
    from gateway import models

    found = list(models.search(where, limit=limit, registry=registry_of(home)))
    if as_json:
        print_json({"models": [one.to_document() for one in found]})
    elif found:
        rows = [
            (one.name, one.versions, ", ".join(f"{name}={number}" for name, number in sorted(one.aliases.items())),
             time_text(one.updated), tags_text(one.tags))
            for one in found
        ]  # fmt: skip
        print_table(("name", "versions", "aliases", "updated (UTC)", "tags"), rows)
    else:
        print_notice("no models: register one with `gateway models register NAME`")


@app.command()
def show(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """
    Show one model: its aliases, and the newest version of each stage.

    Examples: `gateway models show digits`, `gateway models show digits --json | jq .aliases`
    """
    from gateway import models

    found = models.get(name, registry=registry_of(home))
    if as_json:
        print_json(found.to_document())
        return
    print_facts(
        [
            ("name", found.name),
            ("description", found.description),
            ("tags", tags_text(found.tags)),
            ("versions", found.versions),
            ("aliases", ", ".join(f"{alias}={number}" for alias, number in sorted(found.aliases.items()))),
            ("created", f"{time_text(found.created)} UTC"),
            ("updated", f"{time_text(found.updated)} UTC"),
            *((one.stage, f"version {one.version}  {one.source}") for one in found.latest),
        ]
    )


@app.command()
def versions(
    name: Annotated[
        str | None,
        typer.Argument(help="Name of a model. Default: all.", show_default=False, autocompletion=complete_model),
    ] = None,
    where: WhereOption = "",
    limit: LimitOption = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List versions of a model, or of all, newest first.

    A filter compares version, stage, alias, run_id, source, name, description, created, updated and tags.NAME.

    Examples: `gateway models versions digits`, `gateway models versions --where "run_id = 'RUN'" --json`,
    `gateway models versions digits --where "stage = 'Production' and tags.passed = 'yes'"`
    """
    from gateway import models

    registry = registry_of(home)
    found = list(models.search_versions(where, name=name, limit=limit, registry=registry))
    if name and not found:
        models.get(name, registry=registry)  # whose error says that there is no such model
    if as_json:
        print_json({"versions": [one.to_document() for one in found]})
    elif found:
        rows = [
            (one.name, one.version, one.stage, ", ".join(one.aliases), one.run_id, time_text(one.created), one.source)
            for one in found
        ]
        print_table(("name", "version", "stage", "aliases", "run", "created (UTC)", "source"), rows)
    else:
        print_notice(
            "no versions match: see all with `gateway models versions`"
            if where
            else "no versions: create one with `gateway models create-version NAME SOURCE`"
        )


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="Its name, which no other has.", show_default=False, metavar="NAME")],
    description: DescriptionOption = "",
    tag: TagOption = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Register a model.

    Examples: `gateway models register digits --description "Reads digits" --tag task=ocr`
    """
    from gateway import models

    made = models.register(
        name, description=description, tags=read_tags(tag), timeout_s=timeout_s, registry=registry_of(home)
    )
    print_result(made, f"registered model {made.name}", as_json=as_json)


@app.command("create-version")
def create_version(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    name: NameArgument,
    source: Annotated[str, typer.Argument(help="URI of its files.", show_default=False, metavar="SOURCE")],
    run: Annotated[str, typer.Option("--run", help="The run that stored them.", autocompletion=complete_run)] = "",
    description: DescriptionOption = "",
    tag: TagOption = None,
    register: Annotated[bool, typer.Option("--register", help="Register the model first if there is none.")] = False,
    request_id: Annotated[
        str | None, typer.Option("--request-id", help="Repeat the request with this id: an error named it.")
    ] = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Give a model its next version and print its number.

    Examples: `gateway models create-version digits s3://models/digits --run RUN`,
    `gateway models create-version digits file:///models/digits --register --tag passed=yes --json`
    """
    from gateway import models

    made = models.create_version(
        name, source, run_id=run, description=description, tags=read_tags(tag), register_model=register,
        request_id=request_id, timeout_s=timeout_s, registry=registry_of(home),
    )  # fmt: skip
    print_result(made, f"{made.version}", as_json=as_json)


@app.command()
def stage(
    name: NameArgument,
    version: VersionArgument,
    stage: Annotated[str, typer.Argument(help="None, Staging, Production or Archived.", show_default=False)],
    archive_existing: Annotated[
        bool, typer.Option("--archive-existing", help="Archive the other versions in that stage.")
    ] = False,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Move a version to a stage.

    Examples: `gateway models stage digits 3 Staging`, `gateway models stage digits 3 Production --archive-existing`
    """
    from gateway import models

    done = models.set_stage(
        name, version, stage, archive_existing=archive_existing, timeout_s=timeout_s, registry=registry_of(home)
    )
    print_result(done, f"model {done.name}, version {done.version}: {done.stage}", as_json=as_json)


@app.command()
def alias(
    name: NameArgument,
    alias: Annotated[str, typer.Argument(help="The alias.", show_default=False, metavar="ALIAS")],
    version: Annotated[int | None, typer.Argument(help="The version that it names.", show_default=False)] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the alias.")] = False,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Let an alias name a version, and no other any more; or delete it.

    Examples: `gateway models alias digits champion 3`, `gateway models alias digits champion --delete`
    """
    from gateway import models

    if delete == (version is not None):
        raise BadSettings("give either a version or --delete: for example `gateway models alias digits champion 3`")
    registry = registry_of(home)
    if version is None:
        done = models.delete_alias(name, alias, timeout_s=timeout_s, registry=registry)
        print_result(done, f"model {done.name}: deleted alias {alias}", as_json=as_json)
        return
    done = models.set_alias(name, alias, version, timeout_s=timeout_s, registry=registry)
    print_result(done, f"model {done.name}: {alias} is version {version}", as_json=as_json)


@app.command("tag")
def set_tags(
    name: NameArgument,
    tags: TagsArgument = None,
    delete: DeleteTagOption = None,
    version: VersionOption = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Set or remove tags of a model, or of one version; the others stay.

    Examples: `gateway models tag digits task=ocr`, `gateway models tag digits --version 3 passed=yes --delete draft`
    """
    from gateway import models

    given, registry = read_tags(tags), registry_of(home)
    if not given and not delete:
        raise BadSettings("no tag is given: write KEY=VALUE, or --delete KEY")
    if given:
        done = models.set_tags(name, given, version=version, timeout_s=timeout_s, registry=registry)
    if delete:
        done = models.delete_tag(name, delete, version=version, timeout_s=timeout_s, registry=registry)
    if version is not None:
        of_version = models.get_version(name, version, registry=registry)
        line = f"model {name}, version {version}: {tags_text(of_version.tags) or 'no tags'}"
        print_result(of_version, line, as_json=as_json)
        return
    print_result(done, f"model {name}: {tags_text(done.tags) or 'no tags'}", as_json=as_json)


@app.command()
def describe(
    name: NameArgument,
    text: Annotated[str, typer.Argument(help="The new description.", show_default=False, metavar="TEXT")],
    version: VersionOption = None,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Replace the description of a model, or of one version.

    Examples: `gateway models describe digits "Reads digits"`, `gateway models describe digits "Better" --version 3`
    """
    from gateway import models

    registry = registry_of(home)
    done = models.describe(name, text, version=version, timeout_s=timeout_s, registry=registry)
    part = "" if version is None else f", version {version}"
    print_result(done, f"described model {name}{part}", as_json=as_json)


@app.command()
def rename(
    name: NameArgument,
    new: Annotated[str, typer.Argument(help="The new name.", show_default=False, metavar="NEW")],
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Rename a model; its versions and aliases stay with it.

    Examples: `gateway models rename digits handwriting`
    """
    from gateway import models

    done = models.rename(name, new, timeout_s=timeout_s, registry=registry_of(home))
    print_result(done, f"model {name} is now {done.name}", as_json=as_json)


@app.command()
def delete(
    name: NameArgument,
    version: Annotated[int | None, typer.Option("--version", help="Only this version.")] = None,
    yes: YesOption = False,
    timeout_s: TimeoutOption = 30.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Delete a model with its versions and aliases, or one version, for good. The files of a version stay where they are.

    Examples: `gateway models delete digits --version 3`, `gateway models delete digits --yes`
    """
    from gateway import models

    if not yes and not sys.stdin.isatty():
        raise BadSettings("confirmation is needed, and stdin is not a terminal: add --yes")
    registry = registry_of(home)
    found = models.get(name, registry=registry)
    what = f"version {version} of model {name}" if version is not None else f"model {name}, {found.versions} versions"
    if not yes:
        typer.confirm(f"Delete {what} for good?", abort=True, err=True)
    if version is not None:
        done = models.delete_version(name, version, timeout_s=timeout_s, registry=registry)
        print_result(done, f"deleted {what}", as_json=as_json)
        return
    models.delete(name, timeout_s=timeout_s, registry=registry)
    print_result(found, f"deleted {what}", as_json=as_json)


@app.command()
def download(
    uri: UriArgument,
    dst: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path(),
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Download the files of a version, which are artifacts of a run, and print where they are.

    What is there with the right bytes is left, and a download that was interrupted continues.

    Examples: `gateway models download models:/digits/Production`,
    `gateway models download models:/digits@champion /tmp`
    """
    from gateway import models

    place = models.download(uri, dst, registry=registry_of(home))
    if as_json:
        print_json({"path": place})
    else:
        typer.echo(escape_unprintable(place))


@app.command()
def resolve(
    uri: UriArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Print the URI of the files of a version.

    Examples: `gateway models resolve models:/digits/3`, `gateway models resolve models:/digits/Production --json`,
    `gateway models resolve models:/digits@champion`
    """
    from gateway import models

    found = models.resolve(uri, registry=registry_of(home))
    print_result(found, found.source, as_json=as_json)
