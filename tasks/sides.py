"""A schedule seen from both sides: one row per team and game, with the opponent and who is at home."""

from __future__ import annotations

import polars as pl


def sides(schedule: pl.DataFrame) -> pl.DataFrame:
    """Two rows a game: the game's columns, then team_id, team, opponent_id, opponent and is_home."""
    common = ("game_day", "game_id", "season", "season_type", "tip_off")
    home = schedule.select(
        *common,
        team_id="home_team_id",
        team="home_team",
        opponent_id="away_team_id",
        opponent="away_team",
        is_home=pl.lit(value=True),
    )
    away = schedule.select(
        *common,
        team_id="away_team_id",
        team="away_team",
        opponent_id="home_team_id",
        opponent="home_team",
        is_home=pl.lit(value=False),
    )
    return pl.concat([home, away])
