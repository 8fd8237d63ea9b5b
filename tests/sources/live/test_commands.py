"""The commands about live sources: what each says, and with which code it exits."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import download, sources
from flows.choice import live_settings
from tasks.sources.named import absolute, is_live, name_of
from tests.sources.live.conftest import NOW, big_league
from tests.sources.live.sites import BALLDONTLIE_KEY, ODDS_KEY, SITES, Answer, Sites, serving

SOURCES = (
    *("NBA schedule", "NBA game log", "NBA box score", "NBA player index"),
    *("ESPN rosters", "NBA injury report", "Odds API", "BallDontLie"),
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sites]:
    """The sites of the big league, and an environment that points every live setting at them."""
    with serving(big_league(), NOW) as running:
        for name in SITES:
            monkeypatch.setenv(f"COURTSIDE_{name.upper()}__URL", f"{running.url}/{name}")
            monkeypatch.setenv(f"COURTSIDE_{name.upper()}__PER_SECOND", "50")
        monkeypatch.setenv("COURTSIDE_ODDS_KEY", ODDS_KEY)
        monkeypatch.setenv("COURTSIDE_BALLDONTLIE_KEY", BALLDONTLIE_KEY)
        monkeypatch.setenv("COURTSIDE_ATTEMPTS", "1")
        monkeypatch.setenv("COLUMNS", "220")
        monkeypatch.chdir(tmp_path)
        for module in (sources, download):
            monkeypatch.setattr(module, "utc_now", lambda: NOW)
        yield running


def checked() -> tuple[int, str]:
    result = CliRunner().invoke(sources.cli, ["check"])
    return result.exit_code, result.output


def row_of(output: str, source: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.lstrip("│ ").startswith(source) and "│" in line)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_check_shows_for_each_source_whether_it_answers_how_fast_with_what_and_what_is_left(here: Sites) -> None:
    code, output = checked()
    assert code == 0, output
    for source in SOURCES:
        name, reachable, latency, rows, _, schema, _ = row_of(output, source)
        assert (name, reachable, schema) == (source, "yes", "as documented")
        assert latency.endswith(" ms")
        assert int(rows.replace(",", "")) > 0
    assert row_of(output, "NBA injury report")[4] == "2025-12-29 12:00 PM ET"
    assert row_of(output, "ESPN rosters")[4] == "30 of 30 teams"
    assert row_of(output, "Odds API")[6] == "399 left, 101 used"
    assert here.count("/odds?") == 1


def test_without_the_internet_each_source_says_so_for_itself_and_the_check_exits_1(
    here: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for name in SITES:
        monkeypatch.setenv(f"COURTSIDE_{name.upper()}__URL", f"http://127.0.0.1:{port}")
    code, output = checked()
    assert code == 1
    for source in SOURCES:
        assert row_of(output, source)[1] == "no"
    assert f"127.0.0.1:{port} cannot be reached (ConnectError" in output


@pytest.mark.slow
def test_one_source_that_fails_is_named_and_costs_no_other_its_check(here: Sites) -> None:
    here.break_("injuries/", Answer(403, b"<html>"))
    here.break_("/odds?", Answer(200, b"<!DOCTYPE html>"))
    code, output = checked()
    assert code == 1
    states = {source: row_of(output, source)[1] for source in SOURCES}
    assert states == {source: "no" if source in ("NBA injury report", "Odds API") else "yes" for source in SOURCES}
    assert "NBA injury report: no address of the last 6 hours holds one" in output
    assert "a page, not data" in output


@pytest.mark.slow
def test_a_source_without_a_key_is_not_set_up_and_no_fault(here: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURTSIDE_BALLDONTLIE_KEY")
    code, output = checked()
    assert code == 0
    assert row_of(output, "BallDontLie")[1] == "-"
    assert "BallDontLie: no key" in output


def test_a_setting_that_is_no_such_thing_is_named(here: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURTSIDE_ESPN__URL", "not an address")
    code, output = checked()
    assert code == 2
    assert "COURTSIDE_ESPN__URL" in output


@pytest.mark.slow
def test_a_wrong_key_is_named_and_never_shown(here: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURTSIDE_ODDS_KEY", "wrong-key-42")
    code, output = checked()
    assert code == 1
    assert "answered 401 (its key is missing or not accepted" in output
    assert "wrong-key-42" not in output


@pytest.mark.slow
def test_history_is_downloaded_with_a_summary_and_says_how_to_run_on_it(here: Sites, tmp_path: Path) -> None:
    here.now = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    result = CliRunner().invoke(download.cli, ["--seasons", "2025-26", "--folder", str(tmp_path / "mine")])
    assert result.exit_code == 0, result.output
    assert row_of(result.output, "2025-26")[1:3] == ["1,232", "1,230"]
    assert f"run it with make run DATA={tmp_path / 'mine'}" in result.output
    assert (tmp_path / "mine" / "player_games" / "player_games_2025-26.csv").exists()


@pytest.mark.parametrize("seasons", ["2025", "2025-27", "", "last"])
def test_what_is_no_season_is_refused_before_anything_is_asked(here: Sites, seasons: str) -> None:
    result = CliRunner().invoke(download.cli, ["--seasons", seasons])
    assert result.exit_code == 2
    assert "write seasons as 2023-24" in result.output
    assert here.requests == []


@pytest.mark.slow
def test_a_season_that_cannot_be_had_is_told_and_the_others_stay(here: Sites, tmp_path: Path) -> None:
    here.break_("Season=2024-25", Answer(403, b"<html>"))
    result = CliRunner().invoke(download.cli, ["--seasons", "2024-25 2025-26", "--folder", str(tmp_path / "mine")])
    assert result.exit_code == 1
    assert "2024-25: NBA schedule 2024-25: 127.0.0.1" in result.output
    assert (tmp_path / "mine" / "team_games" / "team_games_2025-26.csv").exists()


def test_live_is_told_from_a_folder_by_how_it_is_written(here: Sites) -> None:
    assert [is_live(path) for path in (None, Path("live"), Path("live:"), Path("live:tonight"))] == [
        *(False, False),
        *(True, True),
    ]
    assert [name_of(path) for path in (Path("live:"), Path("live:tonight"))] == ["live", "live-tonight"]
    assert (absolute(Path("live:")), absolute(Path("x"))) == (Path("live:"), Path("x").resolve())
    settings = live_settings(Path("live:"))
    assert settings.odds_key is not None
    assert ODDS_KEY not in repr(settings)
