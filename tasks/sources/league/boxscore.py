"""Box-score frames of a played season: what is counted beside the shots, plus-minus, team totals as sums."""

from __future__ import annotations

import numpy as np
import polars as pl

from .players import FIRST_PLAYER_ID, Players
from .season import Played, Setting
from .teams import Team

SHOTS = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta")
COUNTS = (*SHOTS, "oreb", "dreb", "reb", "ast", "stl", "blk", "tov", "pf", "pts")
# Per player and minute, for a league-average player.
RATES = {
    "oreb": 0.0417,
    "dreb": 0.1268,
    "ast": 0.1028,
    "stl": 0.0326,
    "blk": 0.0208,
    "tov": 0.0520,
    "pf": 0.0777,
}


def player_lines(
    rng: np.random.Generator, setting: Setting, played: Played, players: Players, clubs: tuple[Team, ...]
) -> pl.DataFrame:
    """One row per player who was on court, columns and types of `player_games`."""
    row, slot = np.nonzero(played.on_court)
    who = setting.roster[row, slot]
    minutes = played.minutes[row, slot]
    shots = {k: v[row, slot] for k, v in vars(played.shots).items()}
    stats = _other_statistics(rng, players, who, minutes)
    stats["fg3m"] = shots["three_made"]
    stats["fgm"] = shots["two_made"] + shots["three_made"]
    stats["fg3a"] = shots["three_made"] + shots["three_missed"]
    stats["fga"] = stats["fgm"] + shots["two_missed"] + shots["three_missed"]
    stats["ftm"] = shots["free_made"]
    stats["fta"] = shots["free_made"] + shots["free_missed"]
    stats["pts"] = played.shots.points[row, slot]
    score = played.shots.points.sum(1)
    margin = (score - score.reshape(-1, 2)[:, ::-1].ravel())[row]
    spread = rng.normal(0.0, 9.0, len(row)) * np.sqrt(np.clip(minutes, 1, 48) / 48) * (1 - minutes / 65)
    codes = np.array([c.code for c in clubs])
    other = setting.club.reshape(-1, 2)[:, ::-1].ravel()
    starters = np.zeros_like(played.on_court)
    top = np.argsort(-np.where(played.on_court, played.plan, -1.0), axis=1, kind="stable")[:, :5]
    np.put_along_axis(starters, top, True, axis=1)
    games = setting.games
    frame = pl.DataFrame(
        {
            "game_id": _gather([g.game_id for g in games], row // 2),
            "game_date": pl.Series([g.day for g in games]).gather(row // 2),
            "player_id": who + FIRST_PLAYER_ID,
            "player_name": _gather(players.name, who),
            "team_id": np.array([c.team_id for c in clubs])[setting.club[row]],
            "team": _gather(codes.tolist(), setting.club[row]),
            "opponent": _gather(codes.tolist(), other[row]),
            "is_home": row % 2 == 0,
            "win": margin > 0,
            "minutes": minutes.astype(np.float32),
            **{c: stats[c].astype(np.int16) for c in COUNTS},
            "plus_minus": np.round(margin * np.minimum(minutes / 48, 1.0) + spread).astype(np.int16),
            "started": starters[row, slot],
        }
    )
    return frame.select(
        pl.lit(setting.season).alias("season"),
        pl.lit("regular").alias("season_type"),
        pl.all(),
        pl.lit(None, dtype=pl.String).alias("dnp_comment"),
    )


def _gather(values: list[str], index: np.ndarray) -> pl.Series:
    return pl.Series(values, dtype=pl.String).gather(index)


def _other_statistics(
    rng: np.random.Generator, players: Players, who: np.ndarray, minutes: np.ndarray
) -> dict[str, np.ndarray]:
    """Rebounds, assists, steals, blocks, turnovers and fouls: Poisson around a rate per minute."""
    on = np.maximum(minutes, 0.3)
    boards, passing = players.rebounding[who], players.passing[who]
    ease = {
        "oreb": boards**1.6 / 1.02,
        "dreb": boards / 0.955,
        "ast": passing / 1.08,
        "stl": np.ones_like(boards),
        "blk": boards**1.5 / 1.0,
        "tov": np.sqrt(passing) / 1.0,
        "pf": 1.25 - on / 110.0,
    }
    out = {}
    for name, rate in RATES.items():
        lively = rng.gamma(8.0, 1.0 / 8.0, len(who))
        out[name] = rng.poisson(rate * on * ease[name] * lively)
    out["pf"] = np.minimum(out["pf"], 6)
    out["reb"] = out["oreb"] + out["dreb"]
    return out


def team_lines(player_games: pl.DataFrame, overtimes: pl.DataFrame) -> pl.DataFrame:
    """Two rows a game: sums of the players' lines, minutes 240 plus 25 per overtime.

    overtimes: columns game_id, overtimes.
    """
    keys = ["season", "season_type", "game_id", "game_date", "team_id", "team", "opponent", "is_home", "win"]
    summed = player_games.group_by(keys, maintain_order=True).agg(
        [pl.col(c).cast(pl.Int64).sum().cast(pl.Int16) for c in COUNTS]
    )
    allowed = pl.col("pts").sum().over("game_id") - pl.col("pts")
    return (
        summed.join(overtimes, on="game_id", how="left", maintain_order="left")
        .with_columns(
            minutes=(240 + 25 * pl.col("overtimes")).cast(pl.Int16),
            plus_minus=(pl.col("pts") - allowed).cast(pl.Int16),
        )
        .select(*keys, "minutes", *COUNTS, "plus_minus")
    )
