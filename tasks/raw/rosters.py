"""Rosters: for each game day the last known snapshot of every team, with the day on which it was taken."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import is_played
from tasks.engine.processor import Cleaned, Landed, Mode, Need, Phase, Read, Span, processor
from tasks.identity import team_id
from tasks.raw.cleaning import Field, clean, team, text, whole
from tasks.sides import sides
from tasks.sources.base import APPEARED, ROSTER, Kind

OLDEST_DAYS = 3  # a roster older than this degrades what is made of it

CONTRACT = Contract(
    table="rosters",
    grain="a player on a team's roster as known on a game day",
    key=("game_day", "player_id"),
    columns=(
        Column("game_day", pl.Date),
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        Column("team_id", pl.Int64),
        Column("team", pl.String),
        Column("position", pl.String, max_null=None),
        Column("snapshot_day", pl.Date, says="when the roster was taken"),
        Column("evidence", pl.String, says="roster, or appeared: a box score stood in (backtests only)"),
        Column("age_days", pl.Int64, "days", "since it was taken", ge=0, degrades_above=OLDEST_DAYS),
    ),
)

FIELDS = (
    Field("player_id", "player_id", whole, ge=1, reason="is not an NBA player id"),
    Field("player", "player_name", text),
    Field("team", "team", team, reason="is not a team"),
    Field("position", "position", text, required=False),
    Field("evidence", "evidence", text),
    Field("snapshot_date", "snapshot_day", parsing.day, reason="is not a date (YYYY-MM-DD)"),
)


def every_team_that_plays(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Both teams of every game."""
    return sides(inputs["schedule"].filter(is_played())).select("game_day", "team_id")


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={"found": Landed(Kind.ROSTERS), "schedule": Read("schedule", Span.ON)},
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.OPTIONAL},
    expects=every_team_that_plays,
)
def rosters(found: pl.DataFrame, schedule: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
    """Every team's last snapshot at or before each target day. One team missing does not lose the other 29."""
    if "evidence" not in found.columns:
        found = found.with_columns(evidence=pl.lit(ROSTER))
    # Snapshots are about the days that follow them, so none is refused for its own date.
    days = targets.select("game_day")
    read = clean(
        found.with_columns(game_date=pl.lit(days["game_day"].max())),
        (*FIELDS, _ASKED),
        targets,
        unique=("player_id", "team", "snapshot_day"),
    )
    rows = read.rows.drop("game_day").with_columns(team_id=team_id(pl.col("team")))
    appeared = rows.filter(pl.col("evidence") == APPEARED).join(days, left_on="snapshot_day", right_on="game_day")
    known = pl.concat(
        [
            _latest(days, rows.filter(pl.col("evidence") == ROSTER)),
            appeared.with_columns(game_day=pl.col("snapshot_day")),
        ],
        how="diagonal",
    )
    # A player on two rosters (a trade between two snapshots) belongs to the one taken last.
    known = known.sort("snapshot_day", "team").unique(["game_day", "player_id"], keep="last", maintain_order=True)
    age = (pl.col("game_day") - pl.col("snapshot_day")).dt.total_days()
    return Cleaned(known.with_columns(age_days=age), read.refused)


def _latest(days: pl.DataFrame, snapshots: pl.DataFrame) -> pl.DataFrame:
    """For each day every team's last snapshot taken by then."""
    teams = snapshots.select("team", "snapshot_day").unique().sort("snapshot_day")
    wanted = days.join(teams.select("team").unique(), how="cross").sort("game_day")
    latest = wanted.join_asof(
        teams.with_columns(taken=pl.col("snapshot_day")),
        left_on="game_day",
        right_on="taken",
        by="team",
        strategy="backward",
        check_sortedness=False,
    ).drop_nulls("snapshot_day")
    return latest.select("game_day", "team", "snapshot_day").join(snapshots, on=["team", "snapshot_day"])


_ASKED = Field("game_date", "game_day", parsing.day)
