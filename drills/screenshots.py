"""The pictures of docs/: a fine, a degraded and a blocked night, made by real runs and shown by a real browser.

`python -m drills.screenshots`, with the Chromium of the system.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from drills.prepare import prepared
from drills.scene import Scene
from drills.scenes import wrong_container
from drills.stage import Stage
from drills.story import BEGINS, GAME_DAY, at
from flows.dashboard import Board, app_of
from flows.proofs import proofs

CHROMIUM_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SHOTS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 1180}},
    "dark": {"viewport": {"width": 1280, "height": 1180}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}
COLOURS = 128  # of the palette: a picture of words and areas needs no more


@contextmanager
def served(board: Board) -> Iterator[str]:
    """The dashboard, on any free port."""
    config = uvicorn.Config(app_of(board, day=GAME_DAY), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        board.closing = server.should_exit = True
        thread.join(10)


def take(browser: Browser, board: Board, name: str, out: Path) -> None:
    """Every view of a night."""
    with served(board) as url:
        for shot, options in SHOTS.items():
            context = browser.new_context(**options)
            page = context.new_page()
            page.goto(url)
            page.wait_for_selector("[data-state=live]")
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
            picture.save(out / f"{name}-{shot}.png", optimize=True)
            context.close()


def boards(stage: Stage) -> Iterator[tuple[str, Board]]:
    """The three nights. The watch has looked in the morning, as on any day."""
    fine = stage.workspace("fine")
    stage.act("watch", at(10), fine, looks=1)
    stage.act("daily", BEGINS, fine)
    yield "fine", Board(fine, clock=lambda: at(12, 41))

    data = stage.league("degraded")
    injuries = data / "injuries" / "injuries.parquet"
    injuries.unlink()
    injuries.write_bytes(b"502 Bad Gateway")
    degraded = stage.workspace("degraded", data)
    stage.act("watch", at(10), degraded, data=data, looks=1)
    stage.act("daily", BEGINS, degraded, data=data)
    stage.act("watch", at(12, 55), degraded, data=data, looks=1)
    yield "degraded", Board(degraded, clock=lambda: at(12, 56))

    blocked = stage.workspace("blocked")
    stage.act("watch", at(12, 20), blocked, looks=1)
    wrong_container.refuse(Scene(wrong_container.DRILL, stage), "analytics")
    began = dt.datetime.now(dt.UTC)
    real = lambda: dt.datetime.now(dt.UTC)  # noqa: E731
    # A message is sent before the event that it tells of can be read back.
    stage.until("the refusal on the server", lambda: any(one.refused for one in proofs(stage.stack.url, at(12, 33))))
    board = Board(blocked, stage.stack.url, clock=lambda: at(12, 33) + (real() - began))
    yield "blocked", board


def main(
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("docs") / "images",
    folder: Annotated[Path, typer.Option(help="Scratch folder; emptied first.")] = Path(".pipeline") / "screenshots",
) -> None:
    """Make the pictures anew."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: there is no Chromium here: apt-get install chromium")
    console = Console(highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    with Stage(folder, prepared(console), console.print).open() as stage, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        for name, board in boards(stage):
            take(browser, board, name, out)
            console.print(f"{name}: {out}/{name}-*.png")
        browser.close()


if __name__ == "__main__":
    typer.run(main)
