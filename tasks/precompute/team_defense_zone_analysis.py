"""What each team allows by kind of shot and by role of the shooter, against the league's average and expectation."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract, Direction
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.precompute.state import with_state

WINDOW_GAMES = 15
ROLE_MEMORY = 0.05
ROLES = (0, 1, 2)
ROLE_NAMES = ("guards", "wings", "bigs")
EXPECTATION_NEEDS_GAMES = 5
_KINDS = {"two": "two_point_points", "three": "three_point_points", "free_throw": "free_throw_points"}

_MORE = Direction.MORE

CONTRACT = Contract(
    table="team_defense_zone_analysis",
    grain="a team after a day on which it played; valid until it plays again",
    key=("team_id", "game_day"),
    columns=(
        Column("game_day", pl.Date),
        Column("team_id", pl.Int64),
        *(
            Column(f"{kind}_allowed", pl.Float64, "points per 100 possessions", "last 15 games", ge=0, le=100)
            for kind in _KINDS
        ),
        *(
            Column(
                f"{kind}_allowance",
                pl.Float64,
                "share above the league's average",
                ge=-0.9,
                le=3,
                direction=_MORE,
            )
            for kind in _KINDS
        ),
        Column("defensive_rating_15", pl.Float64, "points per 100 possessions", ge=60, le=170, direction=_MORE),
        *(
            Column(
                f"{name}_allowance",
                pl.Float64,
                "share above expectation",
                max_null=None,
                ge=-1,
                le=5,
                direction=_MORE,
            )
            for name in ROLE_NAMES
        ),
        Column(
            "all_allowance",
            pl.Float64,
            "share above expectation",
            max_null=None,
            ge=-1,
            le=5,
            direction=_MORE,
        ),
    ),
)


def every_team_that_played(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every team with a game; the runner compares within the target days."""
    return inputs["team_defense_game_summary"].select("game_day", "team_id")


@processor(
    phase=Phase.PRECOMPUTE,
    writes=CONTRACT,
    reads={
        "team_defense_game_summary": Read("team_defense_game_summary", Span.THROUGH),
        "player_game_summary": Read("player_game_summary", Span.THROUGH),
        "player_daily_cache": Read("player_daily_cache", Span.BEFORE, optional=True),
        "player_shot_zone_analysis": Read("player_shot_zone_analysis", Span.BEFORE, optional=True),
    },
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.FRESH, Mode.BACKFILL: Need.REQUIRED},
    expects=every_team_that_played,
)
def team_defense_zone_analysis(
    team_defense_game_summary: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    player_daily_cache: pl.DataFrame,
    player_shot_zone_analysis: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per team and day on which it played.

    An allowance by kind is the team's points allowed per 100 possessions over its last 15 games, over the mean of all
    teams' latest values on that day, less 1. An allowance by role is what players of the role scored against the team
    over what their own earlier points per minute gave for the minutes that they played, less 1: 0.05 is five percent
    more than expected.
    """
    allowed = _by_kind(team_defense_game_summary)
    rows = allowed.join(_league(allowed), on="game_day").with_columns(
        (pl.col(f"{kind}_allowed") / pl.col(f"{kind}_league") - 1).alias(f"{kind}_allowance") for kind in _KINDS
    )
    roles = _by_role(player_game_summary, player_daily_cache, player_shot_zone_analysis)
    rows = rows.join(roles, on=["team_id", "game_day"], how="left")
    return rows.filter(pl.col("game_day").is_in(targets["game_day"].implode()))


def _by_kind(defense: pl.DataFrame) -> pl.DataFrame:
    games = defense.sort("team_id", "game_day", "game_id")
    possessions = pl.col("possessions").rolling_sum(WINDOW_GAMES, min_samples=1).over("team_id")

    def per_hundred(column: str) -> pl.Expr:
        return (
            100 * pl.col(column).cast(pl.Float64).rolling_sum(WINDOW_GAMES, min_samples=1).over("team_id") / possessions
        )

    return games.select(
        "team_id",
        "game_day",
        *(per_hundred(f"{column}_allowed").alias(f"{kind}_allowed") for kind, column in _KINDS.items()),
        defensive_rating_15=per_hundred("points_allowed"),
    ).unique(["team_id", "game_day"], keep="last", maintain_order=True)


def _league(allowed: pl.DataFrame) -> pl.DataFrame:
    """The mean over all teams' latest values on each day on which anybody played."""
    days, teams = allowed.select("game_day").unique(), allowed.select("team_id").unique()
    grid = days.join(teams, how="cross").sort("game_day")
    latest = grid.join_asof(allowed.sort("game_day"), on="game_day", by="team_id", check_sortedness=False)
    return latest.group_by("game_day").agg(pl.col(f"{kind}_allowed").mean().alias(f"{kind}_league") for kind in _KINDS)


def _by_role(games: pl.DataFrame, cache: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    state = cache.rename({"points_per_minute_ewm_03": "rate"})
    played = with_state(
        with_state(games.filter("played"), state, "player_id", ("games", "rate")), zones, "player_id", ("role",)
    ).filter(pl.col("games") >= EXPECTATION_NEEDS_GAMES)
    scored = played.group_by("opponent_id", "game_day", "role").agg(
        points=pl.col("points").sum().cast(pl.Float64), expected=(pl.col("rate") * pl.col("minutes")).sum()
    )
    grid = (
        scored.select("opponent_id", "game_day")
        .unique()
        .join(pl.DataFrame({"role": ROLES}, schema={"role": pl.Int8}), how="cross")
    )
    filled = (
        grid.join(scored, on=["opponent_id", "game_day", "role"], how="left")
        .with_columns(pl.col("points", "expected").fill_null(0.0))
        .sort("opponent_id", "role", "game_day")
    )
    ratio = _remembered("points", ["opponent_id", "role"]) / _remembered("expected", ["opponent_id", "role"])
    by_role = filled.with_columns(allowance=ratio - 1).pivot(
        "role", index=["opponent_id", "game_day"], values="allowance"
    )
    whole = (
        filled.group_by("opponent_id", "game_day")
        .agg(pl.col("points", "expected").sum())
        .sort("opponent_id", "game_day")
    )
    overall = whole.select(
        "opponent_id",
        "game_day",
        all_allowance=_remembered("points", ["opponent_id"]) / _remembered("expected", ["opponent_id"]) - 1,
    )
    names = {str(role): f"{name}_allowance" for role, name in zip(ROLES, ROLE_NAMES, strict=True)}
    absent = [pl.lit(None, dtype=pl.Float64).alias(role) for role in names if role not in by_role.columns]
    rows = by_role.with_columns(absent).rename(names).join(overall, on=["opponent_id", "game_day"])
    return rows.rename({"opponent_id": "team_id"})


def _remembered(column: str, by: list[str]) -> pl.Expr:
    weighted = pl.col(column).ewm_mean(alpha=ROLE_MEMORY).over(by)
    return weighted.clip(lower_bound=5.0) if column == "expected" else weighted
