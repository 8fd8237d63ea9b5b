"""Is tonight fine? The same answer as `flows.status`, as a page that keeps itself up to date. It only reads."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import os
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import httpx
import typer
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from starlette.middleware.trustedhost import TrustedHostMiddleware

from blocks.publications import MANIFEST
from flows.clock import utc_now
from flows.command import DAY, Home, Seasons, commands
from flows.glance import LEDGER, glance
from flows.home import home_of, is_saved, options_of
from flows.proofs import proofs
from tasks.tonight.gathering import tonight_of
from tasks.tonight.page import ASSETS, asset, fragment, page
from tasks.tonight.snapshot import Stamp, Tonight
from tasks.tonight.words import clock

POLL_S = 0.4  # between two looks at whether the files have changed
AT_LEAST_EVERY = dt.timedelta(seconds=20)  # time alone makes outputs late, and the Prefect server is asked again
STILL_THERE_S = 15.0  # after which a silent stream sends a comment, so that a dead one is noticed
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Clock = Callable[[], dt.datetime]
Day = Annotated[dt.date | None, Query()]


@dataclass
class Board:
    """What the pages show: one look at a game day for all who watch it, repeated only when something has changed."""

    home: Path
    api: str = ""
    options: str = ""
    clock: Clock = utc_now
    closing: bool = False
    _seen: dict[dt.date, tuple[object, dt.datetime, Tonight]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def night(self, day: dt.date) -> Tonight:
        """The day as it is now."""
        async with self._lock:
            now, state = self.clock(), self._state(day)
            known = self._seen.get(day)
            if known is None or known[0] != state or not dt.timedelta(0) <= now - known[1] < AT_LEAST_EVERY:
                self._seen[day] = (state, now, await asyncio.to_thread(self._look, day, now))
            return self._seen[day][2]

    def _look(self, day: dt.date, now: dt.datetime) -> Tonight:
        stamps: list[Stamp] = []
        problems: list[str] = []
        if self.api:
            try:
                stamps = proofs(self.api, now)
            except httpx.HTTPError as error:
                problems.append(f"the Prefect server at {self.api} cannot be asked: {error or type(error).__name__}")
        return glance(self.home, day, now, season=True, stamps=stamps, problems=problems, options=self.options)

    def _state(self, day: dt.date) -> object:
        """Changes when a ledger row, a partition of the day or its publication does."""
        if is_saved(self.home):
            return None  # somewhere else: asked again by the clock alone
        partitions = (self.home / "warehouse" / "tables").glob(f"*/game_day={day}/CURRENT")
        publication = self.home / "publications" / day.isoformat() / MANIFEST
        files = [self.home / LEDGER, self.home / f"{LEDGER}-wal", publication, *sorted(partitions)]
        return [_stat(path) for path in files]


def _stat(path: Path) -> tuple[str, int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return path.name, found.st_mtime_ns, found.st_size


def version_of(night: Tonight) -> str:
    """Tells two looks apart that show something different, however much later the second one was."""
    return hashlib.sha256(night.model_dump_json(exclude={"at"}).encode()).hexdigest()[:16]


def app_of(board: Board, ui: str = "", hosts: tuple[str, ...] = (), day: dt.date | None = None) -> FastAPI:
    """The dashboard of a workspace; `day` is shown where the address names none."""
    app = FastAPI(title="courtside", docs_url=None, redoc_url=None, openapi_url=None)
    # A page of somebody else must not reach this one by a name of its own that resolves to this machine.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", *hosts])

    def wanted(asked: dt.date | None) -> dt.date:
        return asked or day or tonight_of(board.clock())

    @app.get("/")
    async def whole(day: Day = None) -> Response:
        night = await board.night(wanted(day))
        return HTMLResponse(page(night, version_of(night), ui), headers=HEADERS)

    @app.get("/night")
    async def part(day: Day = None) -> Response:
        return HTMLResponse(fragment(await board.night(wanted(day)), ui), headers=HEADERS)

    @app.get("/night.json")
    async def data(day: Day = None) -> Response:
        return JSONResponse((await board.night(wanted(day))).model_dump(mode="json"), headers=HEADERS)

    @app.get("/events")
    async def events(request: Request, day: Day = None, seen: str = "") -> Response:
        stream = _changes(board, wanted(day), request.headers.get("last-event-id", seen))
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    @app.get("/{name}")
    async def file(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        return Response(asset(name), media_type=f"{ASSETS[name]}; charset=utf-8", headers=HEADERS)

    return app


async def _changes(board: Board, day: dt.date, seen: str) -> AsyncIterator[str]:
    """An event whenever the night looks different from what was `seen`."""
    silent = 0.0
    yield ": watching\n\n"
    while not board.closing:
        night = await board.night(day)
        if (version := version_of(night)) != seen:
            yield f"id: {version}\nevent: changed\ndata: {clock(night.at, day)}\n\n"
            seen, silent = version, 0.0
        elif silent >= STILL_THERE_S:
            yield ": still there\n\n"
            silent = 0.0
        await asyncio.sleep(POLL_S)
        silent += POLL_S


class _Server(uvicorn.Server):
    """Ends the streams when it is asked to end: a browser would hold them open for ever."""

    def __init__(self, config: uvicorn.Config, board: Board) -> None:
        super().__init__(config)
        self.board = board

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn.Server.handle_exit."""
        self.board.closing = True
        super().handle_exit(sig, frame)


def prefect_ui() -> str:
    """Where this Prefect's runs can be looked at; empty where there is no server that outlives a run."""
    api = PREFECT_API_URL.value()
    return PREFECT_UI_URL.value() or (api.removesuffix("/api") if api else "")


cli = commands()


@cli.command()
def main(
    game_day: Annotated[
        dt.datetime | None,
        typer.Option(formats=DAY, help="What to show first. Default: tonight, always the present one."),
    ] = None,
    data: Seasons = None,
    home: Home = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Another than this machine's has no lock.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 4280,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = False,
) -> None:
    """Serve the page until interrupted. It reads and never writes; nobody is asked for a password.

    Exit code 2: it cannot listen there.
    """
    folder = home_of(data, home)
    board = Board(folder, PREFECT_API_URL.value() or "", options_of(data, folder))
    app = app_of(board, prefect_ui(), (host,), game_day.date() if game_day else None)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        typer.echo(f"error: cannot listen on {host}:{port} ({error.strerror}): choose another with --port", err=True)
        raise typer.Exit(2) from None
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}/"
    typer.echo(f"{folder}: {address}   (Ctrl+C ends it)")
    if browser:
        webbrowser.open(address)
    _Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3), board).run(sockets=[listening])


if __name__ == "__main__":
    cli()
