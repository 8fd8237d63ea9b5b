"""The expected active roster: what a player's minutes and share of the plays become beside those who should play.

Every sum is over teammates, weighted by the probability that each plays; the player himself counts as playing.
"""

from __future__ import annotations

import polars as pl

from tasks.precompute.player_composite_factors import TEAM_MINUTES

TEAM = ["game_id", "team_id"]
FEWEST_TEAM_MINUTES = 50.0  # below this a team's expected minutes say nothing: most of its players are unknown

# Feature name, unit, meaning. All are made from the minutes model's projection.
ACTIVE_FEATURES: dict[str, str] = {
    "projected_minutes": "minutes if he plays",
    "active_minutes": "minutes expected of his teammates",
    "active_plays": "plays used, expected of his teammates",
    "active_points": "points expected of his teammates",
    "active_role_minutes": "minutes expected of teammates of his role",
    "active_minutes_normalised": "his minutes, so that the team's come to 240",
    "active_minutes_scale": "240 over the team's expected minutes",
    "active_plays_per_minute": "of his expected teammates",
    "active_points_per_minute": "of his expected teammates",
    "active_plays_relative": "his plays per minute over theirs",
    "points_by_form": "projected minutes x points per minute of some ten games",
    "points_by_season": "projected minutes x points per minute of a season",
    "points_by_season_normalised": "the same with normalised minutes",
    "points_by_share": "his share of what his expected team should score",
    "points_by_plays": "his share of the plays x true shooting",
}


def with_active_roster(grid: pl.DataFrame) -> pl.DataFrame:
    """Add ACTIVE_FEATURES to feature rows of whole teams that carry `projected_minutes`."""
    expected = (pl.col("availability") * pl.col("projected_minutes")).fill_null(0.0)
    plays = pl.col("plays_per_minute_ewm_03")
    points = pl.col("points_per_minute_ewm_03")
    known_plays, known_points = plays.fill_null(0.0), points.fill_null(0.0)

    def others(amount: pl.Expr, *over: str) -> pl.Expr:
        return (amount.sum().over([*TEAM, *over]) - amount).clip(lower_bound=0.0)

    minutes = pl.col("projected_minutes")
    grid = grid.with_columns(
        active_minutes=others(expected),
        active_plays=others(expected * known_plays),
        active_points=others(expected * known_points),
        active_role_minutes=others(expected, "role"),
    )
    whole = pl.col("active_minutes") + minutes
    team = pl.col("active_minutes").clip(lower_bound=FEWEST_TEAM_MINUTES)
    grid = grid.with_columns(
        active_minutes_normalised=minutes * TEAM_MINUTES / whole,
        active_minutes_scale=TEAM_MINUTES / whole,
        active_plays_per_minute=pl.col("active_plays") / team,
        active_points_per_minute=pl.col("active_points") / team,
    )
    own_points = minutes * points
    team_points = (pl.col("active_points") + own_points).clip(lower_bound=1.0)
    team_plays = (pl.col("active_plays") + plays * minutes).clip(lower_bound=1.0)
    return grid.with_columns(
        active_plays_relative=plays / pl.col("active_plays_per_minute").clip(lower_bound=0.05),
        points_by_form=minutes * pl.col("points_per_minute_ewm_10"),
        points_by_season=own_points,
        points_by_season_normalised=pl.col("active_minutes_normalised") * points,
        points_by_share=pl.col("implied_team_points") * own_points / team_points,
        points_by_plays=minutes * plays * whole / team_plays * pl.col("true_shooting_ewm_03"),
    )
