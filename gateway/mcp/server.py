"""
The MCP server: the one file that imports the SDK, `mcp`, which is in the extra of this name.

Over stdio, as a client starts it, or over streamable HTTP on loopback, where each request needs the token. Tools that
change something exist only if they were asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.resources import files
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.client.errors import ClientError
from gateway.mcp.run_tools import RunTools, WriteTools
from gateway.mcp.series_tools import SeriesTools
from gateway.mcp.tools import FindTools
from schemas.errors import BadSettings
from schemas.runtime.access.guard import AccessGuard, access_of, require_token
from schemas.runtime.access.needs import Needs, need
from schemas.runtime.access.origins import is_loopback

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp

    from gateway.client.query import Api
    from schemas.runtime.settings import Settings

Tool = Callable[..., dict[str, Any]]
PATH = "/mcp"


def skill() -> str:
    """Return SKILL.md: how an agent uses these tools."""
    return files("gateway.mcp").joinpath("SKILL.md").read_text(encoding="utf-8")


def make_server(api: Api, *, write: bool = False) -> MCPServer[Any]:
    """Return the server over the query API at this address. Raises BadSettings where the SDK is missing."""
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise BadSettings(
            'gateway mcp needs the MCP SDK: install it with `pip install "tracking-gateway[mcp]"`'
        ) from error
    import gateway

    server = _checking(MCPServer)(
        "tracking-gateway", version=gateway.__version__, instructions=skill(), log_level="WARNING"
    )
    for tool in tools(FindTools(api), SeriesTools(api), RunTools(api)):
        server.add_tool(_called(tool), annotations=ToolAnnotations(read_only_hint=True), structured_output=False)
    for tool in tools(WriteTools(api)) if write else ():
        hints = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)
        server.add_tool(_called(tool), annotations=hints, structured_output=False)
    return server


def tools(*owners: object) -> list[Tool]:
    """Return the public methods of these objects."""
    return [getattr(owner, name) for owner in owners for name in vars(type(owner)) if not name.startswith("_")]


def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve over stdin and stdout until stdin ends. Ctrl-C ends the process at once, with status 130."""
    # The SDK reads stdin in a thread that nothing interrupts, and the end of the loop would wait for it.
    signal.signal(signal.SIGINT, _end_process)
    server.run()


def http_app(server: MCPServer[Any], settings: Settings, host: str, *, write: bool) -> ASGIApp:
    """
    Return the server as a web application. Raises BadSettings for a host beyond loopback, and where no token exists.

    Each request needs a token of scope read, with the tools that change something of scope write. Tokens that are
    limited to experiments are refused: the server asks the API with its own token.
    """
    if not is_loopback(host):
        raise BadSettings(f"--host {host} can be reached from other machines: use 127.0.0.1, and a proxy with TLS")
    guarded = settings.model_copy(update={"access": "always"})
    require_token("--http on", host, guarded)
    needs = Needs({f"{method} {PATH}": need("write" if write else "read") for method in ("GET", "POST", "DELETE")})
    app = server.streamable_http_app(streamable_http_path=PATH, host=host)
    return AccessGuard(app, access_of(guarded, host, needs))


def serve_http(app: ASGIApp, host: str, port: int) -> None:
    """Serve the web application at `http://host:port/mcp` until the process ends. Raises KeyboardInterrupt."""
    import uvicorn

    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", lifespan="on", proxy_headers=False,
        timeout_graceful_shutdown=1,  # s: clients hold streams open for ever
    )  # fmt: skip
    uvicorn.Server(config).run()  # `uvicorn.run` would swallow the interrupt


def _checking(base: type[MCPServer[Any]]) -> type[MCPServer[Any]]:
    """Return the SDK's server, refusing arguments that a tool does not take: the SDK leaves them out in silence."""
    from mcp.server.mcpserver.exceptions import ToolError

    class CheckingServer(base):  # type: ignore[valid-type, misc]  # the SDK is imported when it is needed
        async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
            takes = next((one.input_schema["properties"] for one in await self.list_tools() if one.name == name), None)
            if takes is not None and (unknown := arguments.keys() - takes.keys()):
                raise ToolError(f"{name} takes no argument {min(unknown)!r:.100}: write some of {', '.join(takes)}")
            return await super().call_tool(name, arguments, context)

    return CheckingServer


def _end_process(number: int, frame: object) -> NoReturn:
    os.write(2, b"gateway: interrupted\n")
    os._exit(128 + number)


def _called(tool: Tool) -> Callable[..., Awaitable[str]]:
    """Return a tool as the SDK calls it: in a thread, with errors as its text, its answer as compact JSON."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    async def call(*arguments: Any, **named: Any) -> str:
        try:
            found = await _in_thread(lambda: tool(*arguments, **named))
        except ClientError as error:
            raise ToolError(str(error)) from error
        return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    return call


async def _in_thread(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a call returns; the process may end while it waits, which a pool of threads would not let it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, Any]] = loop.create_future()

    def settle(result: dict[str, Any] | None, error: BaseException | None) -> None:
        if done.done():
            return  # the client has given up
        if error is None:
            done.set_result(result or {})
        else:
            done.set_exception(error)

    def work() -> None:
        try:
            outcome: tuple[dict[str, Any] | None, BaseException | None] = (call(), None)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the call is awaited
            outcome = (None, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    Thread(target=work, name="mcp-tool", daemon=True).start()
    return await done
