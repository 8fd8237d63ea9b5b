"""Points prop lines: every book's number for a player with its snapshot time, never one taken at or after tip-off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import is_played
from tasks.engine.processor import Cleaned, Landed, Mode, Need, Phase, Read, Span, processor
from tasks.identity import resolve_players, team_code
from tasks.raw.cleaning import Field, Rule, clean, game, real, text, whole
from tasks.sources.base import Kind

# American odds say what 100 wins or what must be staked to win 100: a number between stands for nothing.
EVEN = 100
NO_ODDS = f"is not American odds (-{EVEN} or less, or {EVEN} or more)"

CONTRACT = Contract(
    table="prop_lines",
    grain="one book's line for a player in one snapshot; ladders have several",
    key=("game_id", "player_id", "bookmaker", "line", "snapshot_at"),
    columns=(
        Column("game_day", pl.Date),
        Column("game_id", pl.String),
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        Column("bookmaker", pl.String),
        Column("line", pl.Float64, "points", ge=0.5, le=80),
        Column("over_price", pl.Float64, "American odds", max_null=None),
        Column("under_price", pl.Float64, "American odds", max_null=None),
        Column("snapshot_at", parsing.UTC_INSTANT),
        Column("snapshot_assumed", pl.Boolean, says="the source gave no time; late morning was assumed"),
    ),
)

FIELDS = (
    Field("player", "player", text),
    Field("game_date", "game_day", parsing.day, reason="is not a date (YYYY-MM-DD)"),
    Field("bookmaker", "bookmaker", text),
    Field("line", "line", real, ge=0.5, le=80, reason="is not a points line"),
    Field("over_price", "over_price", real, required=False, reason=NO_ODDS),
    Field("under_price", "under_price", real, required=False, reason=NO_ODDS),
    Field("snapshot", "snapshot_at", parsing.instant, reason="is not an instant (ISO 8601)"),
    Field("snapshot_assumed", "snapshot_assumed", parsing.flag),
    Field(
        "commence_time",
        "commence_time",
        parsing.instant,
        required=False,
        reason="is not an instant (ISO 8601)",
    ),
    Field("game_id", "stated_game_id", game, required=False),
    Field("player_id", "stated_player_id", whole, required=False, ge=1, reason="is not an NBA player id"),
    Field("home_team", "stated_home", text, required=False),
    Field("away_team", "stated_away", text, required=False),
)


def every_game(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every game that takes place should have lines; a few without are usual."""
    return inputs["schedule"].filter(is_played()).select("game_day", "game_id")


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={
        "found": Landed(Kind.PROP_LINES),
        "schedule": Read("schedule", Span.ON),
        "rosters": Read("rosters", Span.ON, optional=True),
        "player_box_scores": Read("player_box_scores", Span.BEFORE, optional=True),
    },
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.OPTIONAL},
    expects=every_game,
    complete_at=0.8,
    patience=dt.timedelta(minutes=20),  # books open late on some days; a run of today waits for them, then goes on
)
def prop_lines(
    found: pl.DataFrame,
    schedule: pl.DataFrame,
    rosters: pl.DataFrame,
    player_box_scores: pl.DataFrame,
    targets: pl.DataFrame,
) -> Cleaned:
    """One row per player, book, line and snapshot. Names meet ids here; who is not found is refused by name."""
    if "snapshot_assumed" not in found.columns:
        found = found.with_columns(snapshot_assumed=pl.lit(value=False))
    directory = _directory(rosters, player_box_scores)
    nowhere = pl.col("game_id").is_null()
    rules = (
        Rule(
            "home_team", nowhere & pl.col("stated_home").is_not_null() & pl.col("home_code").is_null(), "is not a team"
        ),
        Rule(
            "away_team", nowhere & pl.col("stated_away").is_not_null() & pl.col("away_code").is_null(), "is not a team"
        ),
        Rule("game_id", nowhere, "is a game that is not on this day's schedule"),
        Rule("player", pl.col("player_id").is_null(), "is not a known player of either team (unresolved name)"),
        *(Rule(price, pl.col(price).abs() < EVEN, NO_ODDS) for price in ("over_price", "under_price")),
        Rule(
            "snapshot",
            pl.col("snapshot_at") >= pl.col("tip_off"),
            "is at or after tip-off: not a line but leakage",
        ),
    )
    return clean(
        found,
        FIELDS,
        targets,
        rules,
        unique=("game_id", "player_id", "bookmaker", "line", "snapshot_at"),
        derive=lambda rows: _resolve(rows, schedule, directory),
    )


def _directory(rosters: pl.DataFrame, box_scores: pl.DataFrame) -> pl.DataFrame:
    """Every player under every team he is or was known at, and the first game day on which he is known there."""
    columns = ("player_id", "player_name", "team")
    seen = pl.concat(
        [
            rosters.select(*columns, known_from="game_day"),
            # A box score makes a player known from the day after the game.
            box_scores.select(*columns, known_from=pl.col("game_day").dt.offset_by("1d")),
        ]
    )
    return seen.group_by(columns).agg(pl.col("known_from").min())


def _resolve(rows: pl.DataFrame, schedule: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    games = schedule.select("game_day", "game_id", "home_team", "away_team", "tip_off")
    by_id = games.select("game_day", stated_game_id="game_id", by_id="game_id")
    # Two games of the same teams on one day, such as one called off and its make-up, are not told apart by teams.
    by_teams = games.select("game_day", home_code="home_team", away_code="away_team", by_teams="game_id").unique(
        ["game_day", "home_code", "away_code"], keep="none"
    )
    rows = (
        rows.with_columns(home_code=team_code(pl.col("stated_home")), away_code=team_code(pl.col("stated_away")))
        .join(by_id, on=["game_day", "stated_game_id"], how="left", maintain_order="left")
        .join(by_teams, on=["game_day", "home_code", "away_code"], how="left", maintain_order="left")
        .with_columns(game_id=pl.coalesce("by_id", "by_teams"))
        .join(games, on=["game_day", "game_id"], how="left", maintain_order="left")
    )
    named = resolve_players(rows, directory)
    return named.with_columns(
        player_id=pl.coalesce("stated_player_id", "player_id"),
        player_name=pl.col("player"),
        # The schedule's tip-off is the truth; the book's own start time serves where the schedule has none.
        tip_off=pl.coalesce("tip_off", "commence_time"),
    )
