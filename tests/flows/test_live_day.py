"""A whole day over HTTP: history from a folder, tonight and then the night's results from the sites."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from flows import run as run_module
from flows.clock import DrillClock, at_time_of
from flows.daily import daily
from flows.report import DayReport, DayState
from flows.terminal import listening
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode
from tests.flows.conftest import stored
from tests.sources.live.conftest import HISTORY_ENDS, NOW, TODAY, big_league, history_of
from tests.sources.live.sites import BALLDONTLIE_KEY, ODDS_KEY, SITES, Answer, Sites, serving

pytestmark = pytest.mark.slow
LIVE = Path("live:")
MORNING = NOW - dt.timedelta(minutes=25)
Told = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Evening:
    """The sites and one workspace; every run is as in a new process: it remembers nothing but what was written."""

    sites: Sites
    home: Path

    def run(self, mode: Mode, day: dt.date) -> tuple[DayReport, Told]:
        """The report, and everything that was told on the way."""
        run_module._source.cache_clear()
        told: Told = []
        with listening(lambda *said: told.append(said)), at_time_of(DrillClock(self.sites.now)):
            report = daily(mode, day, data=LIVE, home=self.home)
        return report, told


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """The sites, and the environment that points at them."""
    history = history_of(big_league(), tmp_path_factory.mktemp("history"), HISTORY_ENDS)
    with serving(big_league(), MORNING) as running, pytest.MonkeyPatch.context() as patch:
        for name in SITES:
            patch.setenv(f"COURTSIDE_{name.upper()}__URL", f"{running.url}/{name}")
            patch.setenv(f"COURTSIDE_{name.upper()}__PER_SECOND", "50")
        patch.setenv("COURTSIDE_ODDS_KEY", ODDS_KEY)
        patch.setenv("COURTSIDE_BALLDONTLIE_KEY", BALLDONTLIE_KEY)
        patch.setenv("COURTSIDE_HISTORY", str(history))
        patch.setenv("COURTSIDE_ATTEMPTS", "1")
        yield running
        run_module._source.cache_clear()


@pytest.fixture(scope="module")
def first(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evening, DayReport, Told, list[str]]:
    """The first run of the day, from nothing: history, model, tonight. With the requests that it made."""
    evening = Evening(sites, tmp_path_factory.mktemp("workspace") / "home")
    report, told = evening.run(Mode.SAME_DAY, TODAY)
    return evening, report, told, list(sites.requests)


@pytest.fixture
def evening(first: tuple[Evening, DayReport, Told, list[str]], tmp_path: Path) -> Evening:
    """A copy of the workspace after the first run, and whole sites at the time of that run."""
    original = first[0]
    original.sites.faults.clear()
    original.sites.now = MORNING
    shutil.copytree(original.home, tmp_path / "home", symlinks=True)
    return Evening(original.sites, tmp_path / "home")


def ledger_of(home: Path) -> Ledger:
    """The ledger of a workspace."""
    return Ledger(f"sqlite:///{home / 'ledger.sqlite'}")


def test_a_day_goes_over_http_from_an_empty_workspace_to_every_prediction(
    first: tuple[Evening, DayReport, Told, list[str]],
) -> None:
    evening, report, told, requests = first
    assert report.state == DayState.COMPLETE, report.reasons
    assert len(report.games) == 11
    assert report.rows == report.expected > 500
    missed = [
        detail for what, state, detail in told if what.startswith("fetch") and state in ("noted", "not available")
    ]
    assert all(detail.endswith("and the history has none") for detail in missed), missed  # of the days before
    assert stored(evening.home, "prop_lines", TODAY)["bookmaker"].n_unique() == 6
    assert stored(evening.home, "rosters", TODAY)["team"].n_unique() == 30
    assert sum("espn/" in request for request in requests) == 30
    fetched = {row["processor"]: row for row in ledger_of(evening.home).runs(game_day=TODAY) if row["phase"] == 1}
    assert fetched["fetch_rosters"]["rows_in"] | {"rows": 0, "players": 0} == {
        "rows": 0,
        "teams": 30,
        "players": 0,
        "newest": str(TODAY),
    }
    assert fetched["fetch_prop_lines"]["rows_in"]["games"] == 11
    assert fetched["fetch_prop_lines"]["rows_in"]["books"] == 6
    assert fetched["fetch_prop_lines"]["rows_in"]["newest"].startswith(f"{TODAY}T16:")
    assert sum("/odds?" in request for request in requests) == 11


def test_a_later_run_adds_newer_numbers_to_the_first_which_are_the_opening_lines(evening: Evening) -> None:
    lines = stored(evening.home, "prop_lines", TODAY)
    evening.sites.now = NOW
    report, _ = evening.run(Mode.SAME_DAY, TODAY)
    assert report.state == DayState.COMPLETE, report.reasons
    newer = stored(evening.home, "prop_lines", TODAY)
    assert newer["snapshot_at"].min() == lines["snapshot_at"].min()
    assert newer["snapshot_at"].max() > lines["snapshot_at"].max()  # type: ignore[operator]


def test_a_night_without_nbas_statistics_has_the_second_sources_results_and_the_evenings_facts(
    evening: Evening,
) -> None:
    evening.sites.now = dt.datetime.combine(TODAY + dt.timedelta(days=1), dt.time(10), dt.UTC)
    evening.sites.break_("leaguegamelog", Answer(500, b""))
    evening.sites.break_("stats/boxscore", Answer(500, b""))
    lines = stored(evening.home, "prop_lines", TODAY)
    report, told = evening.run(Mode.OVERNIGHT, TODAY)
    assert report.state == DayState.COMPLETE, report.reasons
    noted = [detail for _, state, detail in told if state == "noted"]
    assert any("BallDontLie box scores stand in for 11 games" in note for note in noted)
    results = stored(evening.home, "player_box_scores", TODAY)
    assert results.filter(pl.col("minutes") > 0)["game_id"].n_unique() == 11
    assert stored(evening.home, "prop_lines", TODAY).equals(lines)


def test_a_day_with_broken_sites_is_made_of_the_rest_and_says_what_is_missing(evening: Evening) -> None:
    shutil.rmtree(evening.home / "landing")
    gone = evening.sites._games()["game_id"][0]
    evening.sites.break_("teams/mia", Answer(500, b""))
    evening.sites.break_("injuries/", Answer(403, b"<html>Access Denied</html>"))
    evening.sites.break_(f"event{gone}", Answer(500, b""))
    report, told = evening.run(Mode.SAME_DAY, TODAY)
    assert report.state == DayState.DEGRADED
    said = " | ".join(f"{what} {state} {detail}" for what, state, detail in told)
    assert "fetch rosters noted ESPN roster MIA" in said
    assert "fetch injury_report not available NBA injury report: no address of the last 6 hours holds one" in said
    assert "fetch prop_lines noted Odds API" in said
    assert stored(evening.home, "prop_lines", TODAY)["game_id"].n_unique() == 10
    assert stored(evening.home, "rosters", TODAY)["team"].n_unique() >= 21
    assert any("injury_report" in reason for reason in report.reasons)
    failed = ledger_of(evening.home).runs(run_id=report.run_id, processors=["fetch_injury_report"])[0]
    assert (failed["state"], failed["dependency"]) == (State.FAILED, "live injury_report")
    partial = ledger_of(evening.home).runs(run_id=report.run_id, processors=["fetch_rosters"])[0]
    assert "ESPN roster MIA" in partial["degraded_reasons"][0]
    assert report.rows == report.expected
