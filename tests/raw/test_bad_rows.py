"""A bad field refuses its row, by file, row, field, value and reason, and nothing else; every row ends up somewhere."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

import polars as pl
import pytest

from tasks.raw.cleaning import REFUSED_SCHEMA
from tasks.sources.base import FILE, ROW, Kind
from tests.leagues import DAY, GAME_ID, ROWS, Row, clean, game, prop_line, roster_row, table

# One bad value of each field of each table, and the reason for which its row is refused.
NOT_A_DATE = "is not a date (YYYY-MM-DD), or is missing"
NOT_A_TEAM = "is not a team, or is missing"
NOT_A_FLAG = "is neither true nor false, or is missing"
NOT_AN_INSTANT = "is not an instant (ISO 8601)"
NOT_AN_ID = "is not an NBA player id, or is missing (at least 1)"
MISSING = "is not a value of this field, or is missing"
COUNTED = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "ast", "stl", "blk", "tov", "pf")
NOT_A_COUNT = "is not a value of this field (at least 0, at most {})"
NO_ODDS = "is not American odds (-100 or less, or 100 or more)"

SCHEDULE_FAULTS = [
    ("game_id", "", MISSING),
    ("game_date", "29/12/2025", NOT_A_DATE),
    ("season", None, MISSING),
    ("season_type", " ", MISSING),
    ("home", "SEA", NOT_A_TEAM),
    ("away", "", NOT_A_TEAM),
    ("away", "Lakers", NOT_A_TEAM),
    ("away", "LAL", "is the home team too"),
    ("tip_utc", "7:30 pm", NOT_AN_INSTANT),
    ("home_pts", "108.5", "is not a value of this field (at least 40, at most 250)"),
    ("away_pts", "8", "is not a value of this field (at least 40, at most 250)"),
]
BOX_FAULTS = [
    ("game_date", "yesterday", NOT_A_DATE),
    ("team", "XXX", NOT_A_TEAM),
    ("opponent", None, NOT_A_TEAM),
    ("is_home", "perhaps", NOT_A_FLAG),
    ("win", "OT", NOT_A_FLAG),
]
PLAYER_FAULTS = [
    *BOX_FAULTS,
    *((name, value, NOT_A_COUNT.format(120)) for name in COUNTED for value in ("3.5", "-1", "121")),
    ("player_id", "LeBron", NOT_AN_ID),
    ("player_id", "0", NOT_AN_ID),
    ("player_name", "", MISSING),
    ("minutes", "35 min", "is not a time played (at least 0, at most 70)"),
    ("minutes", "71:00", "is not a time played (at least 0, at most 70)"),
    ("pts", "24.5", "is not a value of this field (at least 0, at most 120)"),
    ("pts", "25", "is not 2 x field goals + threes + free throws"),
    ("pts", None, "is missing for a player who played"),
    ("opponent", "LAL", "is the player's own team"),
    ("plus_minus", "101", "is not a value of this field (at least -100, at most 100)"),
]
TEAM_FAULTS = [
    *BOX_FAULTS,
    *((name, value, NOT_A_COUNT.format(260)) for name in COUNTED for value in ("3.5", "-1", "261")),
    ("minutes", "35:22", "is not a team's time played (at least 200, at most 400)"),
    ("pts", "109", "is not 2 x field goals + threes + free throws"),
    ("pts", None, "is not a value of this field, or is missing (at least 40, at most 260)"),
    ("opponent", "LAL", "is the team itself"),
]
ROSTER_FAULTS = [
    ("player_id", "x", NOT_AN_ID),
    ("player", None, MISSING),
    ("team", "LA", NOT_A_TEAM),
    ("snapshot_date", "12-28", NOT_A_DATE),
]
INJURY_FAULTS = [
    ("player_id", "-1", NOT_AN_ID),
    ("player", "", MISSING),
    ("game_date", "today", NOT_A_DATE),
    ("team", "NBA", NOT_A_TEAM),
    ("status", "Game Time Decision", "is none of OUT, DOUBTFUL, QUESTIONABLE, PROBABLE, AVAILABLE"),
    ("status", None, MISSING),
    ("reported_at", "2025-12-29", f"{NOT_AN_INSTANT}, or is missing"),
    ("reported_at", None, f"{NOT_AN_INSTANT}, or is missing"),
]
LINE_FAULTS = [
    ("player", "", MISSING),
    ("player", "Nobody Atall", "is not a known player of either team (unresolved name)"),
    ("game_date", "tonight", NOT_A_DATE),
    ("bookmaker", None, MISSING),
    ("line", "24,5", "is not a points line, or is missing (at least 0.5, at most 80)"),
    ("line", "0", "is not a points line, or is missing (at least 0.5, at most 80)"),
    ("line", "nan", "is not a points line, or is missing (at least 0.5, at most 80)"),
    ("over_price", "evens", NO_ODDS),
    ("over_price", "nan", NO_ODDS),
    ("under_price", "1.91", NO_ODDS),
    ("under_price", "0", NO_ODDS),
    ("snapshot", "noon", f"{NOT_AN_INSTANT}, or is missing"),
    ("commence_time", "late", NOT_AN_INSTANT),
    ("player_id", "LeBron", "is not an NBA player id (at least 1)"),
    ("home_team", "Seattle SuperSonics", "is not a team"),
    ("away_team", "BST", "is not a team"),
]
FAULTS = [
    (kind, *fault)
    for kind, faults in {
        Kind.SCHEDULE: SCHEDULE_FAULTS,
        Kind.PLAYER_BOX_SCORES: PLAYER_FAULTS,
        Kind.TEAM_BOX_SCORES: TEAM_FAULTS,
        Kind.ROSTERS: ROSTER_FAULTS,
        Kind.INJURY_REPORT: INJURY_FAULTS,
        Kind.PROP_LINES: LINE_FAULTS,
    }.items()
    for fault in faults
]
# A field of each key that makes good rows different from one another.
DISTINCT: dict[Kind, tuple[str, Sequence[str]]] = {
    Kind.SCHEDULE: ("game_id", ("0022500001", "0022500002")),
    Kind.PLAYER_BOX_SCORES: ("player_id", ("11", "12")),
    Kind.TEAM_BOX_SCORES: ("game_id", ("0022500001", "0022500002")),
    Kind.ROSTERS: ("player_id", ("11", "12")),
    Kind.INJURY_REPORT: ("player_id", ("11", "12")),
    Kind.PROP_LINES: ("bookmaker", ("book one", "book two")),
}


def _context(kind: Kind) -> dict[str, pl.DataFrame]:
    """The tables that lines are resolved with."""
    if kind != Kind.PROP_LINES:
        return {}
    return {
        "schedule": clean(Kind.SCHEDULE, table([game()])).rows,
        "rosters": clean(Kind.ROSTERS, table([roster_row()])).rows,
    }


@pytest.mark.parametrize(("kind", "field", "value", "reason"), FAULTS)
def test_a_bad_field_refuses_its_row_alone_and_says_why(kind: Kind, field: str, value: str | None, reason: str) -> None:
    name, (first, second) = DISTINCT[kind]
    row = ROWS[kind]
    good, bad, other = row(**{name: first}), row(**{field: value}), row(**{name: second})
    made = clean(kind, table([good, bad, other]), **_context(kind))
    assert made.rows.height == 2
    assert made.refused.rows(named=True) == [
        {"game_day": DAY, "file": "found.csv", "row": 1, "field": field, "value": value, "reason": reason}
    ]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_good_row_is_not_refused(kind: Kind) -> None:
    made = clean(kind, table([ROWS[kind]()]), **_context(kind))
    assert made.rows.height == 1
    assert made.refused.is_empty()
    assert made.refused.schema == REFUSED_SCHEMA


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        (Kind.SCHEDULE, "game_id"),
        (Kind.PLAYER_BOX_SCORES, "game_id, player_id"),
        (Kind.TEAM_BOX_SCORES, "game_id, team"),
        (Kind.ROSTERS, "player_id, team, snapshot_day"),
        (Kind.INJURY_REPORT, "game_day, player_id, reported_at"),
        (Kind.PROP_LINES, "game_id, player_id, bookmaker, line, snapshot_at"),
    ],
)
def test_a_repeated_row_is_refused_and_the_first_one_stays(kind: Kind, same: str) -> None:
    made = clean(kind, table([ROWS[kind]()] * 3), **_context(kind))
    assert made.rows.height == 1
    assert made.refused["row"].to_list() == [1, 2]
    assert made.refused["reason"].unique().to_list() == [f"repeats a row with the same {same}"]


def test_a_refused_row_does_not_take_its_good_twin_with_it() -> None:
    """A source repeats a box score after correcting it: only the broken one goes."""
    row = ROWS[Kind.PLAYER_BOX_SCORES]
    made = clean(Kind.PLAYER_BOX_SCORES, table([row(pts="99"), row(), row()]))
    assert made.rows["points"].to_list() == [24]
    assert made.refused["field"].to_list() == ["pts", "player_id"]


def test_a_row_of_another_day_than_asked_for_is_refused_and_filed_under_the_day_that_was() -> None:
    made = clean(Kind.SCHEDULE, table([game(game_date="2025-12-28", tip_utc=None), game()]))
    assert made.rows["game_id"].to_list() == [GAME_ID]
    assert made.refused.select("game_day", "field", "value", "reason").row(0) == (
        DAY,
        "game_date",
        "2025-12-28",
        "is not a game day that was asked for",
    )


def test_a_refused_row_of_several_days_is_filed_under_its_own() -> None:
    days = [DAY - dt.timedelta(days=1), DAY]
    rows = [game(game_date=str(days[0]), tip_utc=None, home="?"), game(home="?"), game(game_date="?")]
    assert clean(Kind.SCHEDULE, table(rows), days).refused["game_day"].to_list() == [*days, DAY]


def test_a_nan_in_a_column_of_numbers_is_a_missing_value() -> None:
    """How numpy and pandas write that a player did not play or a book quoted one side only."""
    odds = table([prop_line()]).with_columns(over_price=pl.lit(math.nan), under_price=pl.lit(-110.0))
    made = clean(Kind.PROP_LINES, odds, **_context(Kind.PROP_LINES))
    assert made.rows.select("over_price", "under_price").row(0) == (None, -110.0)
    lines = table([ROWS[Kind.PLAYER_BOX_SCORES](pts="0", fgm="0", fg3m="0", ftm="0")]).with_columns(
        minutes=pl.lit(math.nan)
    )
    assert clean(Kind.PLAYER_BOX_SCORES, lines).rows["minutes"].to_list() == [None]


def test_columns_that_nobody_asked_for_are_left_alone() -> None:
    more = table([game()]).with_columns(arena=pl.lit("Causeway Hall"), odds=pl.lit([1, 2]))
    assert clean(Kind.SCHEDULE, more).rows.height == 1


def test_an_empty_payload_gives_an_empty_table() -> None:
    for kind in Kind:
        made = clean(kind, table([ROWS[kind]()]).clear(), **_context(kind))
        assert made.rows.is_empty()
        assert made.refused.is_empty()


def test_files_and_rows_are_told_apart() -> None:
    rows: list[Row] = [game(home="?"), game(home="??")]
    found = table(rows).with_columns(pl.Series(FILE, ["a.csv", "b.csv"]), pl.Series(ROW, [7, 7]))
    refused = clean(Kind.SCHEDULE, found).refused
    assert refused.select("file", "row", "value").rows() == [("a.csv", 7, "?"), ("b.csv", 7, "??")]
