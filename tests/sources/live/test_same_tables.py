"""The same game day through the sites and through a folder of seasons gives the same tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from blocks.landing import Landing
from blocks.warehouse import DayRange
from tasks.engine.processor import Cleaned
from tasks.sources.base import Kind
from tasks.sources.folder import FolderSource
from tasks.sources.league import League
from tasks.sources.live.source import LiveSource
from tests.leagues import clean, served, tables_of, write
from tests.sources.live.conftest import GAP, NOW, TODAY
from tests.sources.live.sites import Sites

NOW_KINDS = (Kind.SCHEDULE, Kind.ROSTERS, Kind.INJURY_REPORT, Kind.PROP_LINES)
REPORT = NOW.replace(minute=0)


def _fetched(source: LiveSource, landing: Landing, kind: Kind, days: DayRange) -> pl.DataFrame:
    payload = source.fetch(kind, days, NOW, NOW)
    return source.parse(landing.get(landing.put(payload)), payload.name)


def _said_now(league: League) -> dict[Kind, pl.DataFrame]:
    """The league's tables as its sites tell them at NOW: the newest number of each book, the newest status of each."""
    tables = dict(tables_of(league))
    lines = tables[Kind.PROP_LINES].filter(game_date=TODAY)
    taken = pl.col("snapshot").str.to_datetime("%Y-%m-%dT%H:%MZ", time_zone="UTC")
    known = lines.filter(taken <= NOW)
    tables[Kind.PROP_LINES] = known.filter(pl.col("snapshot") == pl.col("snapshot").max().over("game_id", "bookmaker"))
    listed = tables[Kind.INJURY_REPORT].filter((pl.col("game_date") == TODAY) & (pl.col("reported_at") <= NOW))
    tables[Kind.INJURY_REPORT] = (
        listed.sort("reported_at")
        .unique("player_id", keep="last")
        .with_columns(reported_at=pl.lit(REPORT), reason="Injury/Illness - " + pl.col("reason"))
    )
    return tables


def _days(days: DayRange) -> list[dt.date]:
    assert days.first is not None
    assert days.last is not None
    return [days.first + dt.timedelta(days=n) for n in range((days.last - days.first).days + 1)]


def _tables(read: Callable[[Kind, DayRange], pl.DataFrame]) -> dict[Kind, Cleaned]:
    today, made = DayRange.on(TODAY), {}
    for kind in NOW_KINDS:
        made[kind] = clean(kind, read(kind, today), [TODAY], **{name.value: item.rows for name, item in made.items()})
    for kind in (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES):
        made[kind] = clean(kind, read(kind, GAP), _days(GAP))
    return made


@pytest.fixture(scope="module")
def folder_tables(league: League, tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Cleaned]:
    source = FolderSource(write(tmp_path_factory.mktemp("folder"), _said_now(league), "parquet"))
    return _tables(lambda kind, days: served(source, kind, days, NOW))


def test_the_same_day_through_the_sites_and_through_a_folder_gives_the_same_tables(
    live: Callable[..., LiveSource], landing: Landing, folder_tables: dict[Kind, Cleaned], sites: Sites
) -> None:
    source = live()
    found = _tables(lambda kind, days: _fetched(source, landing, kind, days))
    for kind, other in folder_tables.items():
        expected, got = other.rows, found[kind].rows
        if kind == Kind.PLAYER_BOX_SCORES:  # the log lists who played, and not who started
            expected = expected.filter(pl.col("minutes") > 0).with_columns(started=None)
        if kind == Kind.INJURY_REPORT:  # the report writes names without diacritics
            expected, got = expected.drop("player_name"), got.drop("player_name")
        key = [name for name in ("game_id", "player_id", "team", "bookmaker", "line") if name in expected.columns]
        assert got.sort(key).equals(expected.sort(key)), kind
        assert found[kind].refused.is_empty(), kind
    heights = {kind: item.rows.height for kind, item in found.items()}
    assert heights[Kind.SCHEDULE] == 11
    assert heights[Kind.ROSTERS] > 400
    assert found[Kind.ROSTERS].rows["team"].n_unique() == 30
    assert found[Kind.PROP_LINES].rows["bookmaker"].n_unique() == 6
    assert sites.count("/roster") == 0
    assert sites.count("espn/") == 30
