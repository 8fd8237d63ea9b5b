"""Real seasons, where REAL_DATA_DIR points to them: all is read, and what is refused is counted and explained."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from blocks.warehouse import DayRange
from tasks.engine.processor import Cleaned
from tasks.identity import resolve_players, team_code
from tasks.raw.prop_lines import _directory
from tasks.sources.base import Kind
from tasks.sources.folder import FolderSource
from tests.leagues import eastern, raw_tables

pytestmark = pytest.mark.real_data
LATE = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
INCIDENT = dt.date(2025, 12, 29)


Raw = dict[Kind, Cleaned]


@pytest.fixture(scope="module")
def source(real_data: Path) -> FolderSource:
    return FolderSource(real_data)


@pytest.fixture(scope="module")
def raw(source: FolderSource) -> Raw:
    return raw_tables(source, source.covers(), LATE)


@pytest.mark.parametrize("kind", [Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES, Kind.ROSTERS])
def test_no_real_row_of_schedule_box_scores_and_rosters_is_refused(raw: Raw, kind: Kind) -> None:
    assert raw[kind].refused.is_empty()


def test_refused_real_lines_are_few_and_of_four_kinds(raw: Raw) -> None:
    """Measured: 18 names of players who had just changed teams or with another first name, 911 lines without a game
    (455 of them with a match-up such as "LAC vs. NOP" for a team), 43 taken during the game."""
    lines = raw[Kind.PROP_LINES]
    counts = dict(lines.refused.group_by("reason").len().iter_rows())
    assert counts.pop("is not a known player of either team (unresolved name)") <= 28
    assert counts.pop("is at or after tip-off: not a line but leakage") == 43
    no_game = {"is a game that is not on this day's schedule", "is not a team"}
    assert set(counts) == no_game
    assert sum(counts.values()) <= 950
    assert lines.rows.height + lines.refused.height == 106_857


def test_every_real_game_and_box_score_is_there(source: FolderSource, raw: Raw) -> None:
    schedule, players, teams = (
        raw[kind].rows for kind in (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
    )
    # 13,290 games on the schedule, and the older playoffs that only the box scores know.
    only_in_box_scores = players.join(
        pl.read_parquet(source.folder / "schedule/schedule.parquet"), on="game_id", how="anti"
    )["game_id"].n_unique()
    assert schedule.height == 13_290 + only_in_box_scores
    assert players.join(schedule, on=["game_day", "game_id"], how="anti").is_empty()
    regular = players.filter(pl.col("season_type") == "regular").group_by("season").agg(pl.col("game_id").n_unique())
    games = dict(regular.iter_rows())
    assert (games["2019-20"], games["2020-21"]) == (1_059, 1_080)
    assert all(games[f"20{year}-{year + 1}"] == 1_230 for year in (15, 16, 17, 18, 21, 22, 23, 24))
    whole = players.filter(pl.col("season_type") == "regular", pl.col("season") != "2025-26").group_by("season").len()
    short = {"2019-20", "2020-21"}
    assert all(25_500 <= rows <= 27_500 for season, rows in whole.iter_rows() if season not in short)
    assert teams.group_by("game_id").len()["len"].unique().to_list() == [2]


def test_players_points_come_to_their_teams_points_in_every_real_game(raw: Raw) -> None:
    players, teams = raw[Kind.PLAYER_BOX_SCORES].rows, raw[Kind.TEAM_BOX_SCORES].rows
    summed = players.group_by("game_id", "team").agg(pl.col("points").sum().alias("sum"))
    assert teams.join(summed, on=["game_id", "team"]).filter(pl.col("points") != pl.col("sum")).is_empty()


def test_the_day_of_the_incident_is_whole(raw: Raw) -> None:
    on = pl.col("game_day") == INCIDENT
    schedule = raw[Kind.SCHEDULE].rows.filter(on)
    assert (schedule.height, schedule["tip_off"].null_count()) == (11, 0)
    assert raw[Kind.PLAYER_BOX_SCORES].rows.filter(on).height == 250


def test_on_the_morning_of_the_incident_nothing_of_its_games_is_known(source: FolderSource) -> None:
    morning = eastern(INCIDENT, 12, 30)
    made = raw_tables(source, DayRange.on(INCIDENT), morning)
    schedule = made[Kind.SCHEDULE].rows
    assert schedule["status"].unique().to_list() == ["scheduled"]
    assert schedule["home_points"].null_count() == 11
    assert made[Kind.PLAYER_BOX_SCORES].rows.is_empty()
    assert made[Kind.TEAM_BOX_SCORES].rows.is_empty()
    assert made[Kind.PROP_LINES].rows.filter(pl.col("snapshot_at") > morning).is_empty()
    assert made[Kind.PROP_LINES].rows["player_id"].n_unique() > 100


def test_names_alone_lead_to_the_same_players_as_the_ids_of_the_real_lines(source: FolderSource, raw: Raw) -> None:
    """Every spelling of every book, resolved without its id: never another player, and hardly ever nobody."""
    lines = pl.read_parquet(source.folder / "lines/points_lines.parquet")
    named = (
        lines.select("game_date", "player", "player_id", "home_team", "away_team")
        .unique(maintain_order=True)
        .select(
            "player",
            pl.col("game_date").alias("game_day"),
            pl.col("player_id").alias("true_id"),
            team_code(pl.col("home_team")).alias("home_team"),
            team_code(pl.col("away_team")).alias("away_team"),
        )
        .drop_nulls()
    )
    assert named.height > 20_000
    directory = _directory(raw[Kind.ROSTERS].rows, raw[Kind.PLAYER_BOX_SCORES].rows)
    found = resolve_players(named, directory)
    wrong = found.filter(pl.col("player_id") != pl.col("true_id"))
    assert wrong.select("player", "true_id", "player_id").is_empty()
    assert found["player_id"].null_count() / found.height < 0.01
