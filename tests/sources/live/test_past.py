"""Downloading one's own history: what comes is a folder that every flow reads, whole or named where it is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from blocks.warehouse import DayRange
from tasks.sources.base import Kind, SourceError
from tasks.sources.folder import FolderSource
from tasks.sources.league import League, LeagueConfig, generate_league
from tasks.sources.live.past import download
from tasks.sources.live.web import Web
from tests.leagues import clean, served, tables_of, write
from tests.sources.live.sites import Answer, Sites, serving

SEASON = "2025-26"
AFTERWARDS = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
EVER = DayRange()


@pytest.fixture(scope="module")
def played() -> League:
    """A small league whose last game, a Cup final, stands in no game log."""
    league = generate_league(LeagueConfig(seed=3, seasons=(SEASON,), teams=4, games_per_team=20, worlds=1))
    last = league.schedule.filter(status="final").sort("game_date")["game_id"][-1]
    cup = {"game_id": pl.col("game_id").replace(last, "0062500001")}
    kind = {"season_type": pl.when(pl.col("game_id") == last).then(pl.lit("cup")).otherwise("season_type")}
    tables = {
        name: getattr(league, name).with_columns(**kind).with_columns(**cup)
        for name in ("schedule", "player_games", "team_games")
    }
    return replace(league, **tables)


def fetched(sites: Sites, folder: Path, **changes: object) -> tuple[object, list[str]]:
    said: list[str] = []
    web = Web(sites.settings(folder, **changes), sites.clock())
    return download(web, SEASON, folder, lambda what, state, _: said.append(f"{what}: {state}")), said


def test_what_is_downloaded_is_the_league_and_needs_no_second_call(played: League, tmp_path: Path) -> None:
    with serving(played, AFTERWARDS) as sites:
        summary, said = fetched(sites, tmp_path)
        assert said == [f"{SEASON} {what}: downloaded" for what in ("schedule", "player box scores", "team box scores")]
        assert sites.count("leaguegamelog") == 2
        assert sites.count("boxscoretraditionalv3") == 2  # the Cup final, for players and for teams
        calls = len(sites.requests)
        again, said = fetched(sites, tmp_path)
        assert said == [f"{SEASON} {what}: kept" for what in ("schedule", "player box scores", "team box scores")]
        assert (again, len(sites.requests)) == (summary, calls)
    folder = FolderSource(tmp_path)
    whole = FolderSource(write(tmp_path / "whole", tables_of(played), "parquet"))
    days = sorted(set(played.schedule["game_date"]))
    for kind in (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES):
        got, expected = (clean(kind, served(source, kind, EVER, AFTERWARDS), days) for source in (folder, whole))
        dropped = [name for name in ("started",) if name in got.rows.columns]
        key = [name for name in ("game_id", "team_id", "player_id") if name in got.rows.columns]
        rows = expected.rows.filter(pl.col("minutes") > 0) if kind == Kind.PLAYER_BOX_SCORES else expected.rows
        mine = got.rows.filter(pl.col("minutes") > 0) if kind == Kind.PLAYER_BOX_SCORES else got.rows
        assert mine.drop(dropped).sort(key).equals(rows.drop(dropped).sort(key)), kind
        assert got.refused.is_empty()


@pytest.mark.slow
def test_an_interrupted_download_keeps_what_came_and_goes_on(played: League, tmp_path: Path) -> None:
    with serving(played, AFTERWARDS) as sites:
        sites.break_("PlayerOrTeam=T", Answer(403, b"<html>no"))
        sites.break_("boxscoretraditionalv3", Answer(500, b""), times=None)
        with pytest.raises(SourceError, match="answered 403"):
            fetched(sites, tmp_path, attempts=1)
        sites.faults.clear()
        summary, said = fetched(sites, tmp_path)
        assert said[0].endswith("schedule: kept")
        assert said[-1].endswith("team box scores: downloaded")
        assert summary.whole  # type: ignore[attr-defined]
        assert sites.count("PlayerOrTeam=P") <= 2


def test_a_damaged_file_is_downloaded_anew(played: League, tmp_path: Path) -> None:
    with serving(played, AFTERWARDS) as sites:
        fetched(sites, tmp_path)
        damaged = tmp_path / "downloaded" / SEASON / "schedule.zip"
        damaged.write_bytes(damaged.read_bytes()[:500])
        summary, said = fetched(sites, tmp_path)
        assert said[:2] == [f"{SEASON} schedule: damaged", f"{SEASON} schedule: downloaded"]
        assert summary.whole  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_running_season_is_downloaded_anew_and_only_its_results_are_counted(played: League, tmp_path: Path) -> None:
    day = played.schedule["game_date"].sort()[len(played.schedule) // 2]
    for number in range(2):
        now = dt.datetime.combine(day + dt.timedelta(days=7 * number), dt.time(15), dt.UTC)
        with serving(played, now) as sites:
            summary, said = fetched(sites, tmp_path)
        over = played.schedule.filter((pl.col("game_date") < now.date()) & (pl.col("status") == "final"))
        assert summary.finished == over.height  # type: ignore[attr-defined]
        assert said == [f"{SEASON} {what}: downloaded" for what in ("schedule", "player box scores", "team box scores")]


@pytest.mark.slow
def test_games_that_cannot_be_had_are_named(played: League, tmp_path: Path) -> None:
    with serving(played, AFTERWARDS) as sites:
        sites.break_("boxscoretraditionalv3", Answer(404, b"{}"))
        summary, _ = fetched(sites, tmp_path, attempts=1)
    assert [note.rpartition(": ")[2] for note in summary.notes] == ["0062500001"] * 2  # type: ignore[attr-defined]
    assert FolderSource(tmp_path).covers().first == played.schedule["game_date"].min()
