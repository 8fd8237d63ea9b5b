"""A Prefect API for the flow tests, a small league on disk, and one finished day that the tests look at."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from blocks.warehouse import LocalWarehouse
from flows.daily import daily
from flows.report import DayReport
from tasks.catalog import registry
from tasks.engine.processor import Mode
from tasks.sources.league import LeagueConfig, generate_league

LEAGUE = LeagueConfig(seed=7, seasons=("2025-26",), teams=6, games_per_team=82, worlds=1)
RUN_COLUMNS = ("run_id", "created_at")


@dataclass(frozen=True)
class Finished:
    """A same-day run that has come to its end."""

    report: DayReport
    folder: Path
    home: Path
    game_day: dt.date

    def read(self, table: str, day: dt.date | None = None) -> pl.DataFrame:
        """The table's partition of the run's game day."""
        return stored(self.home, table, day or self.game_day)


def stored(home: Path, table: str, day: dt.date) -> pl.DataFrame:
    """What is in the store."""
    return LocalWarehouse(folder=home / "warehouse").read(registry()[table].writes.spec, [day])


@pytest.fixture(scope="session", autouse=True)
def prefect_api() -> Iterator[None]:
    """Prefect's own ephemeral API with a throw-away database, without the heartbeat threads."""
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture(scope="session")
def league_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A league of six teams and a season, as a folder of seasons."""
    folder = tmp_path_factory.mktemp("league")
    generate_league(LEAGUE).write(folder)
    return folder


@pytest.fixture(scope="session")
def game_day(league_folder: Path) -> dt.date:
    """A day late in the season with at least two games, the day before having games too."""
    schedule = pl.read_parquet(league_folder / "schedule" / "schedule.parquet").filter(pl.col("status") == "final")
    games = dict(schedule.group_by("game_date").len().iter_rows())
    return next(
        day
        for day in sorted(games)
        if day >= dt.date(2026, 3, 10) and games[day] >= 2 and day - dt.timedelta(days=1) in games
    )


@pytest.fixture(scope="session")
def finished(league_folder: Path, game_day: dt.date, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same-day run from nothing: history, model, predictions, publication. Look, but do not touch."""
    home = tmp_path_factory.mktemp("workspace") / "home"
    return Finished(daily(Mode.SAME_DAY, game_day, data=league_folder, home=home), league_folder, home, game_day)


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Callable[[], Path]:
    """A copy of the finished workspace that a test may change."""

    def copy() -> Path:
        home = tmp_path / "home"
        shutil.copytree(finished.home, home, symlinks=True, copy_function=_link_what_is_never_changed)
        return home

    return copy


def _link_what_is_never_changed(source: str, target: str) -> None:
    """Table files are replaced, never changed in place: a second name for them is as good as a copy."""
    if "/warehouse/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
