"""A league of thirty teams with a day of eleven games, six books, its sites on a local server, and a history folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from blocks.landing import Landing
from blocks.objects import LocalObjects
from blocks.warehouse import DayRange
from tasks.sources.base import Kind
from tasks.sources.league import League, LeagueConfig, generate_league
from tasks.sources.live.source import LiveSource
from tests.leagues import eastern, tables_of, write
from tests.sources.live.sites import Sites, serving

TODAY = dt.date(2025, 12, 29)
HISTORY_ENDS = TODAY - dt.timedelta(days=3)
NOW = eastern(TODAY, 12, 20)
GAP = DayRange(HISTORY_ENDS + dt.timedelta(days=1), TODAY - dt.timedelta(days=1))


@cache
def big_league() -> League:
    """Thirty teams, a season, six books: eleven games on the day of the incident."""
    league = generate_league(LeagueConfig(seed=5, seasons=("2025-26",), teams=30, games_per_team=82, worlds=1))
    sixth = league.lines.filter(bookmaker="northgate").with_columns(
        bookmaker=pl.lit("eastgate"), line=pl.col("line") + 1
    )
    return replace(league, lines=pl.concat([league.lines, sixth]))


def history_of(league: League, folder: Path, last: dt.date) -> Path:
    """What `make history` would have downloaded on the morning after `last`: results and schedule, nothing else."""
    tables = tables_of(league)
    kinds = (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
    return write(folder, {kind: tables[kind].filter(pl.col("game_date") <= last) for kind in kinds}, "parquet")


@pytest.fixture(scope="session")
def league() -> League:
    return big_league()


@pytest.fixture(scope="session")
def history(league: League, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return history_of(league, tmp_path_factory.mktemp("history"), HISTORY_ENDS)


@pytest.fixture
def sites(league: League) -> Iterator[Sites]:
    with serving(league, NOW) as running:
        yield running


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(LocalObjects(folder=tmp_path / "landing"))


@pytest.fixture
def live(sites: Sites, history: Path, landing: Landing) -> Callable[..., LiveSource]:
    """A live source as a new process would have it; changes of its settings by name."""

    def make(**changes: object) -> LiveSource:
        return LiveSource(sites.settings(history, **changes), landing, sites.clock())

    return make
