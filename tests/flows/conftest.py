"""A Prefect API for the flow tests, a small league on disk, and one finished day that the tests look at."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from blocks.warehouse import LocalWarehouse
from flows import alarm
from flows.clock import DrillClock, at_time_of
from flows.daily import daily
from flows.report import DayReport
from tasks.catalog import registry
from tasks.engine.incidents import OPENED, RESOLVED, Incident
from tasks.engine.processor import Mode
from tasks.engine.schema import PROCESSOR_RUNS
from tasks.sources.league import LeagueConfig, generate_league
from tests.flows.course import Course
from tests.leagues import eastern
from tests.prefect_server import Api, wait_for

LEAGUE = LeagueConfig(seed=7, seasons=("2025-26",), teams=6, games_per_team=82, worlds=1)
TELLERS = ("flows.watch", "flows.self_heal", "flows.validate_day")
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


def difference(left: pl.DataFrame, right: pl.DataFrame) -> str:
    """How two frames that should be the same differ: their shapes, or the columns."""
    if left.shape != right.shape:
        return f"{left.shape} against {right.shape}"
    return ", ".join(name for name in left.columns if not left[name].equals(right[name], null_equal=True))


def game_days(league: Path) -> list[dt.date]:
    """The days late in the season with at least two games, the day before having games too."""
    schedule = pl.read_parquet(league / "schedule" / "schedule.parquet").filter(pl.col("status") == "final")
    games = dict(schedule.group_by("game_date").len().iter_rows())
    return [
        day
        for day in sorted(games)
        if day >= dt.date(2026, 3, 10) and games[day] >= 2 and day - dt.timedelta(days=1) in games
    ]


@pytest.fixture(scope="session", autouse=True)
def prefect_api() -> Iterator[None]:
    """Prefect's own ephemeral API with a throw-away database, without the heartbeat threads."""
    with (
        prefect_test_harness(server_startup_timeout=400),
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
    return game_days(league_folder)[0]


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


@pytest.fixture
def at_noon(finished: Finished, copied: Callable[[], Path]) -> Callable[[], Path]:
    """A copy of the finished workspace whose day was run at half past twelve of its day, by its ledger."""

    def copy() -> Path:
        home = copied()
        with sa.create_engine(f"sqlite:///{home}/ledger.sqlite").begin() as connection:
            runs = PROCESSOR_RUNS.c
            rows = connection.execute(sa.select(runs.id, runs.started_at, runs.ended_at)).all()
            later = eastern(finished.game_day, 12, 29) - max(row.started_at for row in rows)
            for row in rows:
                moved = {"started_at": row.started_at + later, "ended_at": row.ended_at + later}
                connection.execute(PROCESSOR_RUNS.update().where(runs.id == row.id).values(**moved))
        return home

    return copy


@contextmanager
def drill(day: dt.date, hour: int, minute: int = 0, second: int = 0) -> Iterator[DrillClock]:
    """Inside the block it is this time in New York, and runs on."""
    clock = DrillClock(eastern(day, hour, minute) + dt.timedelta(seconds=second))
    with at_time_of(clock):
        yield clock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """What is told of incidents instead of the server, in order: kind, subject, whether it opened."""
    edges: list[tuple[str, str, bool]] = []

    def tell(incident: Incident, opened: bool, occurred: dt.datetime) -> None:
        edges.append((incident.kind.value, incident.subject, opened))

    for module in TELLERS:
        monkeypatch.setattr(f"{module}.tell", tell)
    monkeypatch.setattr("flows.watch.send", lambda *_: None)
    return edges


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, bool]]]:
    """As `told`, but the server is told, and in the end it has exactly that, each edge once: read back over HTTP."""
    edges: list[tuple[str, str, bool]] = []

    def tell(incident: Incident, opened: bool, occurred: dt.datetime) -> None:
        alarm.tell(incident, opened, occurred)
        edges.append((incident.kind.value, incident.subject, opened))

    for module in TELLERS:
        monkeypatch.setattr(f"{module}.tell", tell)
    began = dt.datetime.now(dt.UTC)
    yield edges
    server = Api(PREFECT_API_URL.value())

    def received() -> list[dict[str, Any]]:
        """By the server's own clock, since the days of these tests are not today."""
        found = server.events(OPENED, RESOLVED, since=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        return [one for one in found if dt.datetime.fromisoformat(one["received"]) >= began]

    wait_for("every incident on the server", lambda: len(received()) >= len(edges), 60)
    found = [(one["resource"]["courtside.kind"], one["resource"]["courtside.subject"], one) for one in received()]
    assert sorted((kind, subject, one["event"] == OPENED) for kind, subject, one in found) == sorted(edges)
    assert len(set(edges)) == len(edges), "an incident was told twice"


@pytest.fixture
def course() -> Iterator[Course]:
    """The course of the fault that a test puts in, kept if somebody asked for it."""
    found = Course()
    yield found
    found.keep()


def _link_what_is_never_changed(source: str, target: str) -> None:
    """Table files are replaced, never changed in place: a second name for them is as good as a copy."""
    if "/warehouse/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
