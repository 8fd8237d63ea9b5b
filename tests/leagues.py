"""Small synthetic leagues in the folder layout, for any test: rows to change a field of, a tiny simulated one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import settings

from blocks.warehouse import DayRange
from tasks.catalog import registry
from tasks.engine.plan import targets_frame
from tasks.engine.processor import Cleaned, Read
from tasks.sources.base import FILE, ROW, Kind, Source
from tasks.sources.league import League, LeagueConfig, generate_league
from tasks.sources.tabular import TabularSource

EASTERN = ZoneInfo("America/New_York")
DAY = dt.date(2025, 12, 29)
GAME_ID = "0022500447"
TIP_OFF = "2025-12-30T00:30:00Z"  # 7:30 PM Eastern on DAY

# Where each kind of table lies in a folder, without its suffix.
FILES: dict[Kind, str] = {
    Kind.SCHEDULE: "schedule/schedule",
    Kind.PLAYER_BOX_SCORES: "player_games/player_games",
    Kind.TEAM_BOX_SCORES: "team_games/team_games",
    Kind.ROSTERS: "rosters/rosters",
    Kind.INJURY_REPORT: "injuries/injuries",
    Kind.PROP_LINES: "lines/points_lines",
}
Tables = Mapping[Kind, pl.DataFrame]
Row = dict[str, str | None]


def steady(examples: int) -> settings:
    """Properties are held on this many examples, the same on every machine and however slow it is."""
    return settings(deadline=None, derandomize=True, max_examples=examples)


def game(**changes: str | None) -> Row:
    """A schedule row: Lakers at home to Boston on DAY, not played yet."""
    row: Row = {
        "season": "2025-26",
        "season_type": "regular",
        "game_id": GAME_ID,
        "game_date": str(DAY),
        "home": "LAL",
        "away": "BOS",
        "home_pts": None,
        "away_pts": None,
        "tip_utc": TIP_OFF,
    }
    return row | changes


def player_line(**changes: str | None) -> Row:
    """A player's box score: LeBron James, 24 points in 35:22 at home to Boston."""
    return {"player_id": "2544", "player_name": "LeBron James"} | _box(**({"pts": "24", "minutes": "35:22"} | changes))


def team_line(**changes: str | None) -> Row:
    """A team's box score: the Lakers, 108 points at home to Boston."""
    counts = {"fgm": "40", "fga": "88", "fg3m": "12", "fg3a": "35", "ftm": "16", "fta": "20"}
    return _box(**({"pts": "108", "minutes": "240"} | counts | changes))


def _box(**changes: str | None) -> Row:
    row: Row = {
        "season": "2025-26",
        "season_type": "regular",
        "game_id": GAME_ID,
        "game_date": str(DAY),
        "team": "LAL",
        "opponent": "BOS",
        "is_home": "true",
        "win": "true",
        "fgm": "9",
        "fga": "18",
        "fg3m": "2",
        "fg3a": "6",
        "ftm": "4",
        "fta": "5",
        "oreb": "1",
        "dreb": "7",
        "ast": "8",
        "stl": "1",
        "blk": "0",
        "tov": "3",
        "pf": "2",
        "plus_minus": "6",
    }
    return row | changes


def prop_line(**changes: str | None) -> Row:
    """A book's line as a source without ids writes it: LeBron James 24.5 at -110 on both sides, at 11 AM Eastern."""
    row: Row = {
        "game_date": str(DAY),
        "game_id": None,
        "player_id": None,
        "player": "LeBron James",
        "bookmaker": "harborline",
        "line": "24.5",
        "over_price": "-110",
        "under_price": "-110",
        "commence_time": TIP_OFF,
        "home_team": "Los Angeles Lakers",
        "away_team": "Boston Celtics",
        "snapshot": "2025-12-29T16:00:00Z",
    }
    return row | changes


def roster_row(**changes: str | None) -> Row:
    """LeBron James on the roster that the Lakers had the day before DAY."""
    row: Row = {"snapshot_date": "2025-12-28", "player_id": "2544", "player": "LeBron James", "team": "LAL"}
    return row | {"position": "F"} | changes


def injury_row(**changes: str | None) -> Row:
    """LeBron James listed as questionable, reported at 11 AM Eastern."""
    row: Row = {"game_date": str(DAY), "player_id": "2544", "player": "LeBron James", "team": "LAL"}
    return row | {"status": "Questionable", "reason": "Rest", "reported_at": "2025-12-29T16:00:00Z"} | changes


ROWS = {
    Kind.SCHEDULE: game,
    Kind.PLAYER_BOX_SCORES: player_line,
    Kind.TEAM_BOX_SCORES: team_line,
    Kind.ROSTERS: roster_row,
    Kind.INJURY_REPORT: injury_row,
    Kind.PROP_LINES: prop_line,
}


def table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of text, as a CSV file gives it."""
    rows = list(rows)
    return pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String))


def write(folder: Path, tables: Tables, suffix: str = "csv") -> Path:
    """Write tables in the folder layout and return the folder."""
    for kind, frame in tables.items():
        path = folder / f"{FILES[kind]}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path)
    return folder


def one_game(**others: pl.DataFrame) -> dict[Kind, pl.DataFrame]:
    """The smallest league that runs: one game, one line of each box score, and any other kinds by name."""
    kinds = {Kind(name): frame for name, frame in others.items()}
    least = (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
    return {kind: table([ROWS[kind]()]) for kind in least} | kinds


def empty(name: str) -> pl.DataFrame:
    """A pipeline table without rows."""
    return pl.DataFrame(schema=registry()[name].writes.spec.polars_schema)


def clean(kind: Kind, found: pl.DataFrame, days: Sequence[dt.date] = (DAY,), **inputs: pl.DataFrame) -> Cleaned:
    """What phase 2 makes of found rows for these game days. Inputs that are not given are empty tables.

    The good rows hold the contract of their table, or this raises ContractError.
    """
    processor = registry()[kind.value]
    if FILE not in found.columns:
        found = found.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.Int64), pl.lit("found.csv").alias(FILE))
    given = {
        name: inputs.get(name, empty(read.table)) for name, read in processor.reads.items() if isinstance(read, Read)
    }
    late = dt.datetime.combine(max(days) + dt.timedelta(days=2), dt.time(), dt.UTC)
    made = processor(found=found, targets=targets_frame((day, late) for day in days), **given)
    assert isinstance(made, Cleaned)
    return Cleaned(processor.writes.conform(made.rows), made.refused.sort("file", "row"))


def served(source: Source, kind: Kind, days: DayRange, as_of: dt.datetime) -> pl.DataFrame:
    """The rows of a payload, read back from its bytes."""
    payload = source.fetch(kind, days, as_of, now=as_of)
    return source.parse(payload.body, payload.name)


def raw_tables(source: TabularSource, days: DayRange, as_of: dt.datetime) -> dict[Kind, Cleaned]:
    """Every raw table that the source's payloads about `days` come to, without the kinds that it lacks."""
    assert days.first is not None
    assert days.last is not None
    wanted = [days.first + dt.timedelta(days=n) for n in range((days.last - days.first).days + 1)]
    made: dict[Kind, Cleaned] = {}
    for kind in Kind:  # the schedule first, and the lines last, which read the others
        if source.table(kind) is None:
            continue
        rows = {other.value: cleaned.rows for other, cleaned in made.items()}
        made[kind] = clean(kind, served(source, kind, days, as_of), wanted, **rows)
    return made


@cache
def tiny_league() -> League:
    """Four teams with 20 games each in 2025-26, two of them postponed: made once a session, in 0.1 s."""
    return generate_league(LeagueConfig(seed=3, seasons=("2025-26",), teams=4, games_per_team=20, worlds=1))


def tables_of(league: League) -> dict[Kind, pl.DataFrame]:
    """A league's tables by kind."""
    return {
        Kind.SCHEDULE: league.schedule,
        Kind.PLAYER_BOX_SCORES: league.player_games,
        Kind.TEAM_BOX_SCORES: league.team_games,
        Kind.ROSTERS: league.rosters,
        Kind.INJURY_REPORT: league.injuries,
        Kind.PROP_LINES: league.lines,
    }


def eastern(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    """An Eastern wall-clock time as an instant in UTC."""
    return dt.datetime.combine(day, dt.time(hour, minute), EASTERN).astimezone(dt.UTC)
