"""The interface of every source, and the columns in which all of them hand their rows on."""

from __future__ import annotations

import abc
import datetime as dt
from enum import StrEnum

import polars as pl

from blocks.landing import Payload
from blocks.warehouse import DayRange


class SourceError(Exception):
    """A source that cannot give what it should: names the file or address, the field, and what to do."""


class Kind(StrEnum):
    """The kinds of facts that a source can give."""

    SCHEDULE = "schedule"
    PLAYER_BOX_SCORES = "player_box_scores"
    TEAM_BOX_SCORES = "team_box_scores"
    ROSTERS = "rosters"
    INJURY_REPORT = "injury_report"
    PROP_LINES = "prop_lines"


# What each kind's rows must have, by the names of the folder layout (docs/data.md); further columns are welcome.
BOX_COLUMNS = (
    *("season", "season_type", "game_id", "game_date", "team", "opponent", "is_home", "win", "minutes"),
    *("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "ast", "stl", "blk", "tov", "pf", "pts"),
    "plus_minus",
)
REQUIRED_COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.SCHEDULE: (
        "season",
        "season_type",
        "game_id",
        "game_date",
        "home",
        "away",
        "home_pts",
        "away_pts",
        "tip_utc",
    ),
    Kind.PLAYER_BOX_SCORES: (*BOX_COLUMNS, "player_id", "player_name"),
    Kind.TEAM_BOX_SCORES: BOX_COLUMNS,
    Kind.ROSTERS: ("snapshot_date", "player_id", "player", "team", "position"),
    Kind.INJURY_REPORT: ("game_date", "player_id", "player", "team", "status", "reason", "reported_at"),
    Kind.PROP_LINES: (
        *("game_date", "game_id", "player_id", "player", "bookmaker", "line", "over_price", "under_price"),
        *("commence_time", "home_team", "away_team", "snapshot"),
    ),
}
# How old a payload may be that stands in while its source cannot answer; other kinds have no stand-in.
STANDS_IN_FOR: dict[Kind, dt.timedelta] = {
    Kind.ROSTERS: dt.timedelta(days=3),
    Kind.INJURY_REPORT: dt.timedelta(hours=6),
    Kind.PROP_LINES: dt.timedelta(hours=6),
}
# What says that a player belonged to a team: a roster, or in backtests without one that he appeared for it.
ROSTER, APPEARED = "roster", "appeared"
# Where a found row came from; added by `parse` and carried into quarantine.
FILE, ROW = "_file", "_row"
# What a line of text holds beyond its header's columns: its values may be out of step, so it is refused.
SURPLUS = "_surplus"


class Source(abc.ABC):
    """Gives payloads that hold only what was known at a given time, and reads its own payloads."""

    name: str

    @abc.abstractmethod
    def covers(self) -> DayRange:
        """The game days about which this source knows anything. Raises SourceError if it knows nothing."""

    def known_at(self, now: dt.datetime, usual: dt.datetime, first_tip_off: dt.datetime | None) -> dt.datetime:
        """The as_of of a run that starts `now` and is given none. Of a source that holds the past: the usual hour."""
        return usual

    @abc.abstractmethod
    def fetch(self, kind: Kind, days: DayRange, as_of: dt.datetime, now: dt.datetime) -> Payload:
        """Fetch the facts of one kind about `days` as known at `as_of`; `now` stamps the payload.

        No result of a game before it was played, no line snapshot or report after `as_of`. Raises SourceError.
        """

    @abc.abstractmethod
    def parse(self, body: bytes, file: str) -> pl.DataFrame:
        """The payload's rows as found: untyped where the source is, with `_file` and `_row`. Raises SourceError."""
