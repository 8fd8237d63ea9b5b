"""The situation of both teams of every coming game: rest, load, streak, recent form, starters who sit."""

from __future__ import annotations

import polars as pl

from tasks.analytics.upcoming_player_game_context import SITTING, both_teams_of_every_game
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import is_played
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.sides import sides

FORM_MEMORY = 0.06  # weight of the newest game in a team's form
STARTERS = 5
STARTERS_BY_GAMES = 10

CONTRACT = Contract(
    table="upcoming_team_game_context",
    grain="a team in a coming game",
    key=("game_id", "team_id"),
    columns=(
        Column("game_day", pl.Date),
        Column("game_id", pl.String),
        Column("team_id", pl.Int64),
        Column("team", pl.String),
        Column("opponent_id", pl.Int64),
        Column("is_home", pl.Boolean),
        Column("team_game_number", pl.Int64, "games", "this one included, in the season", ge=1, le=130),
        Column("team_rest_days", pl.Int64, "days", "since the team's last game", max_null=None, ge=1),
        Column("team_back_to_back", pl.Boolean, says="the team played the day before"),
        Column("team_games_last_7_days", pl.Int64, "games", ge=0, le=6),
        Column(
            "streak",
            pl.Int64,
            "games",
            "positive: won in a row; negative: lost",
            max_null=None,
            ge=-60,
            le=60,
        ),
        Column("recent_offensive_rating", pl.Float64, "points per 100", max_null=None, ge=60, le=170),
        Column("recent_defensive_rating", pl.Float64, "points per 100", max_null=None, ge=60, le=170),
        Column("recent_pace", pl.Float64, "possessions per 48", max_null=None, ge=65, le=140),
        Column("starters_out", pl.Int64, "players", "of the five with most recent minutes", ge=0, le=5),
    ),
)


@processor(
    phase=Phase.ANALYTICS,
    writes=CONTRACT,
    reads={
        "schedule": Read("schedule", Span.ON),
        "upcoming_player_game_context": Read("upcoming_player_game_context", Span.ON),
        "player_game_summary": Read("player_game_summary", Span.BEFORE),
        "team_offense_game_summary": Read("team_offense_game_summary", Span.BEFORE),
        "team_defense_game_summary": Read("team_defense_game_summary", Span.BEFORE),
    },
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.OPTIONAL, Mode.BACKFILL: Need.REQUIRED},
    expects=both_teams_of_every_game,
)
def upcoming_team_game_context(
    schedule: pl.DataFrame,
    upcoming_player_game_context: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    team_offense_game_summary: pl.DataFrame,
    team_defense_game_summary: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """Two rows a game, from games of earlier days and the statuses in the players' context."""
    defense = team_defense_game_summary.select("game_id", "team_id", "defensive_rating")
    past = team_offense_game_summary.join(defense, on=["game_id", "team_id"]).sort("team_id", "game_day", "game_id")
    coming = sides(schedule.filter(is_played()))
    rows = _numbered(coming, past).sort("game_day")
    rows = rows.join_asof(
        _form(past).sort("game_day"),
        on="game_day",
        by="team_id",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    rows = rows.with_columns(team_rest_days=(pl.col("game_day") - pl.col("last_day")).dt.total_days())
    rows = _with_load(rows, past).join(
        _starters_out(upcoming_player_game_context, player_game_summary),
        on=["game_id", "team_id"],
        how="left",
    )
    return rows.with_columns(
        team_back_to_back=(pl.col("team_rest_days") == 1).fill_null(value=False),
        starters_out=pl.col("starters_out").fill_null(0),
    )


def _numbered(coming: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """The coming games with their number in the team's season."""
    games = pl.concat(frame.select("team_id", "season", "game_day", "game_id") for frame in (past, coming)).unique()
    number = pl.int_range(1, pl.len() + 1).over("team_id", "season")
    numbered = games.sort("team_id", "game_day", "game_id").with_columns(team_game_number=number)
    return coming.join(numbered.select("team_id", "game_id", "team_game_number"), on=["team_id", "game_id"])


def _form(past: pl.DataFrame) -> pl.DataFrame:
    """After each game: the running streak and exponentially weighted ratings and pace."""
    changed = (pl.col("won") != pl.col("won").shift(1)).fill_null(value=True).cast(pl.Int64).cum_sum().over("team_id")
    runs = past.with_columns(_run=changed)
    length = pl.int_range(1, pl.len() + 1).over("team_id", "_run")
    return runs.select(
        "team_id",
        "game_day",
        last_day="game_day",
        streak=pl.when("won").then(length).otherwise(-length),
        recent_offensive_rating=_remembered("offensive_rating"),
        recent_defensive_rating=_remembered("defensive_rating"),
        recent_pace=_remembered("pace"),
    )


def _remembered(name: str) -> pl.Expr:
    return pl.col(name).ewm_mean(alpha=FORM_MEMORY).over("team_id")


def _with_load(rows: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    totals = past.select("team_id", day="game_day", games=pl.int_range(1, pl.len() + 1).over("team_id")).sort("day")
    for days in (0, 7):
        rows = (
            rows.with_columns(day=pl.col("game_day") - pl.duration(days=days))
            .sort("day")
            .join_asof(
                totals.rename({"games": f"games_{days}"}),
                on="day",
                by="team_id",
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .with_columns(pl.col(f"games_{days}").fill_null(0))
            .drop("day")
        )
    return rows.with_columns(team_games_last_7_days=pl.col("games_0") - pl.col("games_7"))


def _starters_out(context: pl.DataFrame, player_game_summary: pl.DataFrame) -> pl.DataFrame:
    """How many of the five players with the most minutes over their last ten games are listed OUT or DOUBTFUL."""
    recent = (
        player_game_summary.filter("played")
        .sort("player_id", "game_day", "game_id")
        .select(
            "player_id",
            "game_day",
            minutes=pl.col("minutes").rolling_mean(STARTERS_BY_GAMES, min_samples=1).over("player_id"),
        )
        .sort("game_day")
    )
    rows = context.sort("game_day").join_asof(
        recent, on="game_day", by="player_id", allow_exact_matches=False, check_sortedness=False
    )
    rank = pl.col("minutes").rank("ordinal", descending=True).over("game_id", "team_id")
    return rows.group_by("game_id", "team_id").agg(
        starters_out=((rank <= STARTERS) & pl.col("status").is_in(SITTING)).sum().cast(pl.Int64)
    )
