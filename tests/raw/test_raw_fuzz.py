"""Text of any kind in any field: no raw processor raises, every row ends up once, and no value is made up."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sources.base import Kind
from tests.leagues import (
    ROWS,
    Row,
    clean,
    game,
    roster_row,
    steady,
    table,
)

# Near misses are likelier than noise to slip through.
AWKWARD = st.sampled_from(
    [
        *(
            None,
            "",
            " ",
            "0",
            "-1",
            "1",
            "3.5",
            "3.0",
            "1e3",
            "nan",
            "inf",
            "-inf",
            "NaN",
            "1,5",
            "999999999999999999999",
        ),
        *("2025-12-29", "2025-12-28", "2025-12-29T00:30:00Z", "2025-12-30T00:30:00+25:00", "0000-00-00", "29.12.2025"),
        *("LAL", "GS", "LAL ", "la lakers", "XXX", "true", "W", "2", "35:22", "PT35M22.00S", "99:99", "LeBron James"),
        *("lebron james jr", "l james", "İ", "\x00", "\ud7ff", "🏀", "é" * 200, "NULL", "None", "-110", "0022500447"),
    ]
)
ANYTHING = st.one_of(AWKWARD, st.text(max_size=12))


@st.composite
def faulty_rows(draw: st.DrawFn, kind: Kind) -> list[Row]:
    """Good rows of a kind with any text in some of their fields."""
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row = ROWS[kind]()
        for field in draw(st.lists(st.sampled_from(sorted(row)), max_size=3)):
            row[field] = draw(ANYTHING)
        rows.append(row)
    return rows


def _context() -> dict[str, pl.DataFrame]:
    return {
        "schedule": clean(Kind.SCHEDULE, table([game()])).rows,
        "rosters": clean(Kind.ROSTERS, table([roster_row()])).rows,
    }


# What each output column is read from, for the columns that hold a source's number.
NUMBERS = {
    Kind.SCHEDULE: {"home_points": "home_pts", "away_points": "away_pts"},
    Kind.PLAYER_BOX_SCORES: {"player_id": "player_id", "points": "pts", "assists": "ast", "field_goals": "fgm"},
    Kind.TEAM_BOX_SCORES: {"points": "pts", "assists": "ast", "field_goals": "fgm"},
    Kind.ROSTERS: {"player_id": "player_id"},
    Kind.INJURY_REPORT: {"player_id": "player_id"},
    Kind.PROP_LINES: {"line": "line", "over_price": "over_price", "under_price": "under_price"},
}


def _worth(text: Any) -> float | None:
    """What a person reads a text as: by Python's own reading of numbers, not by the parser under test."""
    try:
        value = float(text) if text is not None and text.strip() else None
    except ValueError:
        return None
    return value if value is None or math.isfinite(value) else None


@pytest.mark.parametrize("kind", list(Kind))
def test_any_text_in_any_field_is_read_or_refused_once_and_nothing_is_made_up(kind: Kind) -> None:
    context = _context() if kind == Kind.PROP_LINES else {}

    @steady(60)
    @given(faulty_rows(kind))
    def hold(rows: list[Row]) -> None:
        found = table(rows)
        made = clean(kind, found, **context)  # conforms to the table's contract, or raises
        refused = made.refused["row"].to_list()
        assert len(set(refused)) == len(refused)
        assert set(refused) <= set(range(len(rows)))
        assert made.refused["reason"].null_count() == made.refused["field"].null_count() == 0
        good = [row for n, row in enumerate(rows) if n not in refused]
        if kind == Kind.ROSTERS:
            # Of the good snapshots only the last one of a team speaks, and a player has one team.
            assert made.rows.height <= len(good)
            assert bool(good) == (made.rows.height > 0) or _all_later(good)
        else:
            assert made.rows.height == len(good)
        for row in made.refused.iter_rows(named=True):
            assert row["value"] == rows[row["row"]].get(row["field"])
        for column, source in NUMBERS[kind].items():
            given_values = [_worth(row[source]) for row in good]
            for value in made.rows[column].to_list():
                assert value in given_values, (column, value)

    hold()


def _all_later(rows: list[Row]) -> bool:
    """Snapshots of days to come say nothing about the day."""
    return all(dt.date.fromisoformat((row["snapshot_date"] or "").strip()[:10]) > dt.date(2025, 12, 29) for row in rows)


@steady(40)
@given(st.data())
def test_any_type_of_column_is_read_or_refused(data: st.DataObject) -> None:
    """Parquet files bring types that no text has: dates where numbers belong, booleans, durations, categories."""
    kind = data.draw(st.sampled_from(list(Kind)))
    row = ROWS[kind]()
    column = data.draw(st.sampled_from(sorted(row)))
    odd = data.draw(
        st.sampled_from(
            [
                pl.Series([True], dtype=pl.Boolean),
                pl.Series([dt.date(2025, 12, 29)]),
                pl.Series([dt.datetime(2025, 12, 30, 0, 30, tzinfo=dt.UTC)]),
                pl.Series([dt.time(12, 0)]),
                pl.Series([math.nan]),
                pl.Series([math.inf]),
                pl.Series([20251229]),
                pl.Series([2**63], dtype=pl.UInt64),
                pl.Series([-1.5], dtype=pl.Float32),
                pl.Series([None], dtype=pl.Null),
                pl.Series(["LAL"], dtype=pl.Categorical),
            ]
        )
    )
    context = _context() if kind == Kind.PROP_LINES else {}
    made = clean(kind, table([row]).with_columns(odd.alias(column)), **context)
    assert made.rows.height + made.refused.height == 1
