"""
`gateway mcp`: serve AI agents.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.runs import api_of
from gateway.console import HomeOption, print_notice

PORT = 8_765


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve)


def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve HTTP on loopback instead of stdin and stdout.")] = False,
    host: Annotated[str, typer.Option(help="Address on loopback.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of --http.")] = PORT,
    write: Annotated[bool, typer.Option("--write", help="Also tools that set tags and notes of runs.")] = False,
    skill: Annotated[bool, typer.Option("--skill", help="Print SKILL.md, which tells an agent how to ask.")] = False,
    home: HomeOption = None,
) -> None:
    """
    Serve the Model Context Protocol: tools with which an AI agent asks about runs. They read only, without --write.

    With --http each request must carry a token of the gateway (`gateway tokens create`) as `Authorization: Bearer …`.

    Examples: `gateway mcp`, `gateway mcp --http --port 8765`, `claude mcp add tracking-gateway -- gateway mcp`,
    `gateway mcp --skill > SKILL.md`
    """
    from gateway.mcp import server
    from schemas.runtime.settings import Settings

    if skill:
        typer.echo(server.skill(), nl=False)
        return
    made = server.make_server(api_of(home), write=write)
    if http:
        app = server.http_app(made, Settings.load(home), host, write=write)
        print_notice(f"MCP at http://{host}:{port}{server.PATH}")
        server.serve_http(app, host, port)
    else:
        server.serve_stdio(made)
