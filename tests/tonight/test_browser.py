"""The page in a real browser: it changes by itself and says so, and can be used on a phone, by key, in the dark."""

from __future__ import annotations

import datetime as dt
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from flows.dashboard import Board, app_of
from tasks.catalog import registry
from tasks.engine.expected import ExpectedOutputs, GameDay
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode
from tasks.engine.season import owed
from tasks.tonight.compose import tonight
from tasks.tonight.snapshot import Stamp, Tonight
from tests.leagues import DAY
from tests.prefect_server import free_port, wait_for
from tests.tonight.nights import at, graded, manifest, night, run, schedule
from tests.tonight.test_page import player

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
COLOURS = ["page", "card", "ink", "muted", "link", "good", "warn", "bad", "busy", "rail"]
COLOURS += ["good-soft", "warn-soft", "bad-soft"]
LIVE = "[data-state=live]"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, the one that the system has."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield opened
        opened.close()


@contextmanager
def served(board: Board) -> Iterator[str]:
    """The dashboard on a port of its own."""
    port = free_port()
    config = uvicorn.Config(app_of(board, day=DAY), host="127.0.0.1", port=port, log_level="warning")
    config.timeout_graceful_shutdown = 3
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for("the dashboard", lambda: server.started, 30)
        yield f"http://127.0.0.1:{port}/"
    finally:
        board.closing = server.should_exit = True
        thread.join(10)


@contextmanager
def opened(browser: Any, url: str, **options: object) -> Iterator[Any]:
    """A page that has loaded and is live. It must not have complained."""
    context = browser.new_context(**options)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    page.wait_for_selector(LIVE)
    yield page
    context.close()
    assert said == []


def showing(home: Path, made: Callable[[], Tonight]) -> Board:
    """A board of nights that a test makes up."""
    board = Board(home, clock=lambda: at(13))
    board._look = lambda day, now: made()  # type: ignore[method-assign,assignment]
    return board


def a_night(states: dict[str, State] | None = None, **more: object) -> Tonight:
    runs = [run(name, at(12, 31)) for name in ("upcoming_player_game_context", "ml_feature_store", "predictions")]
    players = tuple(player(f"Player {n}", edge=e, predicted=20 + n) for n, e in enumerate((0.5, -3.0, 2.0)))
    made = tonight(night(at(13), states or {}, manifest=manifest(at(12, 41)), runs=runs, schedule=schedule()))
    return made.model_copy(
        update={"predictions": (*players, player("No Line", line=None, edge=None, predicted=30.0)), **more}
    )


def test_the_page_changes_by_itself_when_the_ledger_does_and_tells_a_screen_reader(
    browser: Any, tmp_path: Path
) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    expected = ExpectedOutputs(ledger)
    off = GameDay(game_day=DAY, games=0, seen_at=at(4))
    on = GameDay(game_day=DAY, games=2, first_tip_off=at(19), deadline=at(13, 30), seen_at=at(5))
    expected.seed([off], [])
    with served(Board(tmp_path, clock=lambda: at(14))) as url, opened(browser, url) as page:
        assert page.inner_text("h1").strip().endswith("No games")
        same_day = [item for item in owed([on], registry(), DAY) if item.mode == Mode.SAME_DAY]
        expected.seed([on], same_day)
        page.wait_for_selector(".verdict.failing", timeout=15_000)
        assert "injury_report is LATE" in page.inner_text("#wrong + ul")
        assert "Tonight is failing" in page.inner_text("#announce")
        assert page.title().startswith("FAILING")


@pytest.mark.parametrize(
    ("made", "level", "said"),
    [
        (lambda: a_night(), "fine", "49 minutes before the deadline"),
        (lambda: a_night({"ml_feature_store": State.DEGRADED}), "degraded", "ml_feature_store is DEGRADED"),
        (lambda: a_night({"predictions": State.FAILED}), "failing", "predictions is FAILED"),
        (
            lambda: tonight(
                night(
                    at(12, 31),
                    State.NOT_DUE,
                    stamps=[Stamp(who="precompute", what="worker of pool", release="a", expected="b", refused="role")],
                )
            ),
            "degraded",
            "Wrong code: worker of pool precompute",
        ),
    ],
)
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
def test_every_level_is_seen_at_once_and_nothing_hangs_over(
    browser: Any, tmp_path: Path, made: Callable[[], Tonight], level: str, said: str, viewport: dict[str, int]
) -> None:
    with served(showing(tmp_path, made)) as url, opened(browser, url, viewport=viewport) as page:
        box = page.locator(f".verdict.{level}").bounding_box()
        assert box is not None
        assert box["y"] < 120
        assert said in page.inner_text("main")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0


def test_predictions_are_sorted_and_filtered_and_stay_so_when_the_page_changes(browser: Any, tmp_path: Path) -> None:
    shown = [a_night()]
    board = showing(tmp_path, lambda: shown[0])
    with served(board) as url, opened(browser, url) as page:
        cells = "[...document.querySelectorAll('#players tbody tr:not([hidden]) th')]"
        names = f"{cells}.map((cell) => cell.dataset.value)"
        page.get_by_role("button", name="Edge").click()
        assert page.evaluate(names) == ["Player 0", "Player 2", "Player 1", "No Line"]
        page.get_by_role("button", name="Predicted").press("Enter")
        assert page.evaluate(names)[0] == "No Line"
        page.fill("#filter", "player")
        expected = ["Player 2", "Player 1", "Player 0"]
        assert page.evaluate(names) == expected
        shown[0] = a_night({"predictions": State.PARTIAL})
        board._seen.clear()
        page.wait_for_selector(".verdict.degraded", timeout=15_000)
        assert page.evaluate(names) == expected
        assert page.evaluate("document.activeElement.id") == "filter"


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
def test_graded_days_are_drawn_beside_the_line_and_can_be_read_as_numbers(
    browser: Any, tmp_path: Path, viewport: dict[str, int]
) -> None:
    graded(tmp_path)
    with served(Board(tmp_path, clock=lambda: at(14))) as url, opened(browser, url, viewport=viewport) as page:
        section = page.locator("section", has=page.locator("#accuracy"))
        even = sum((DAY - dt.timedelta(days=n)).day % 2 == 0 for n in range(31))
        mean = (5.2 * even + 5.0 * (31 - even)) / 31
        worse = sum((DAY - dt.timedelta(days=n)).day % 2 == 0 for n in range(1, 31))
        said = section.inner_text()
        assert f"ours {mean:.2f}, the line's 5.10; better than the line on {30 - worse} of 30 days" in said
        drawn = {name: page.get_attribute(f"polyline.{name}", "points").split() for name in ("ours", "line")}
        assert {name: len(points) for name, points in drawn.items()} == {"ours": 31, "line": 30}
        heights = {float(point.split(",")[1]) for point in drawn["ours"]}
        assert min(heights) < float(drawn["line"][0].split(",")[1]) < max(heights)
        page.locator("summary").press("Enter")
        assert section.locator("tbody tr").count() == 31
        assert section.locator("tbody tr").last.inner_text().split() == [str(DAY), "100", "5.00", "–"]
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_first_key_leads_past_the_header(browser: Any, tmp_path: Path) -> None:
    with served(showing(tmp_path, a_night)) as url, opened(browser, url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To tonight's verdict"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#night"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser: Any, tmp_path: Path, scheme: str) -> None:
    """At least 4.5 to 1, as WCAG AA asks, for every colour that words are written in, on what they are written on."""
    with served(showing(tmp_path, a_night)) as url, opened(browser, url, color_scheme=scheme) as page:
        named = "(name) => [name, style.getPropertyValue('--' + name).trim()]"
        style = "const style = getComputedStyle(document.documentElement)"
        colours = page.evaluate(f"(names) => {{ {style}; return Object.fromEntries(names.map({named})) }}", COLOURS)
    on = {
        "ink": ("page", "card", "good-soft", "warn-soft", "bad-soft"),
        "muted": ("page", "card", "rail"),
        "link": ("card",),
    }
    on |= {"good": ("card", "good-soft"), "warn": ("card", "warn-soft"), "bad": ("card", "bad-soft"), "busy": ("card",)}
    poor = {
        f"{text} on {back}": round(ratio, 2)
        for text, backs in on.items()
        for back in backs
        if (ratio := contrast(colours[text], colours[back])) < 4.5
    }
    assert poor == {}


def contrast(first: str, second: str) -> float:
    """The contrast of two colours as WCAG measures it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
