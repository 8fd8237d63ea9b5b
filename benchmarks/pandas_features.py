"""A player's state features once more in pandas, to time the pipeline against: daily cache, shot zones, as-of join.

Vectorised throughout: grouped ewm, rolling and cumsum over several columns at once, merge_asof; nothing row by row.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import polars as pl
from pandas.core.groupby import DataFrameGroupBy

from tasks.precompute.player_daily_cache import CONTRACT as CACHE
from tasks.precompute.player_daily_cache import (
    LONG_BREAK_DAYS,
    REGULAR_SEASON,
    REGULAR_SEASON_STATE,
    SPREAD_NEEDS_GAMES,
)
from tasks.precompute.player_shot_zone_analysis import CONTRACT as ZONES
from tasks.precompute.player_shot_zone_analysis import (
    GUARD_BELOW,
    MEMORY,
    PER_MINUTE_AT_PACE_100,
    RECENT_GAMES,
    WING_BELOW,
)

KEY = ["player_id", "game_day"]
# The columns of player_game_summary from which the two tables are made.
GAME_COLUMNS = (
    *("player_id", "game_day", "game_id", "season", "team_id", "played", "minutes", "points", "team_points"),
    *("team_pace", "plus_minus", "minutes_rank", "plays_used", "usage_rate", "field_goals", "field_goal_attempts"),
    *("threes", "three_attempts", "free_throw_attempts", "two_point_points", "three_point_points"),
    *("free_throw_points", "assists", "offensive_rebounds", "defensive_rebounds", "blocks", "steals", "fouls"),
    *("turnovers", "season_type"),
)
_MEMORIES = {"03": 0.03, "10": 0.10, "25": 0.25}
_REMEMBERED = {"points": "points", "minutes": "minutes", "plays_used": "plays", "true_shots": "shots"}
_RATES = {
    "free_throw_attempts": "free_throw_attempts_rate",
    "free_throw_points": "free_throws_rate",
    "three_attempts": "three_attempts_rate",
    "three_point_points": "three_points_rate",
    "two_point_points": "two_points_rate",
    "assists": "assists_rate",
    "rebounds": "rebounds_rate",
    "offensive_rebounds": "offensive_rebounds_rate",
    "blocks": "blocks_rate",
    "steals": "steals_rate",
    "fouls": "fouls_rate",
    "turnovers": "turnovers_rate",
}


def as_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """The same rows for pandas: days as datetime64[s], missing numbers as NaN, text as ordered categories."""
    return pd.DataFrame({column.name: _values(column) for column in frame.iter_columns()})


def _values(column: pl.Series) -> np.ndarray | pd.Categorical:
    if column.dtype == pl.Date:
        return column.to_numpy().astype("datetime64[s]")
    if column.dtype == pl.String:
        return pd.Categorical(column.to_list(), categories=column.drop_nulls().unique().sort().to_list(), ordered=True)
    return column.to_numpy()


def player_daily_cache(games: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
    """The table of this name for the game days `days`, from GAME_COLUMNS of all games through the last of them."""
    games = _appearances(games)
    games["true_shots"] = games["field_goal_attempts"] + 0.44 * games["free_throw_attempts"]
    games["team_share"] = games["points"] / games["team_points"]
    games["top_five"] = (games["minutes_rank"] <= 5).astype("float64")
    by_player = games.groupby("player_id", sort=False)
    states = games[KEY].copy()
    for part in (_memories(games, by_player), _windows(games, by_player), _counts(games, by_player)):
        states[list(part)] = pd.DataFrame(part, index=states.index)
    _add_ratios(states)
    states[list(REGULAR_SEASON_STATE)] = _in_regular_seasons(games)
    return _of_days(states, days)[list(CACHE.names)]


def player_shot_zone_analysis(games: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
    """The table of this name for the game days `days`, from GAME_COLUMNS of all games through the last of them."""
    games = _appearances(games)
    games["rebounds"] = games["offensive_rebounds"] + games["defensive_rebounds"]
    games["possessions"] = games["minutes"] * games["team_pace"] / 48
    by_player = games.groupby("player_id", sort=False)
    remembered = _ewm(games, by_player, [*_RATES, "field_goal_attempts", "possessions"], MEMORY)
    recent = by_player[["field_goals", "threes", "field_goal_attempts"]].rolling(RECENT_GAMES, min_periods=1).sum()
    recent = recent.set_axis(games.index)
    rates = remembered[list(_RATES)].div(remembered["possessions"], axis=0) * PER_MINUTE_AT_PACE_100
    states = pd.concat([games[KEY], rates.rename(columns=_RATES)], axis=1)
    states["three_attempt_share"] = _ratio(remembered["three_attempts"], remembered["field_goal_attempts"])
    made = recent["field_goals"] + 0.5 * recent["threes"]
    states["effective_field_goal_20"] = _ratio(made, recent["field_goal_attempts"])
    scored = states["two_points_rate"] + states["three_points_rate"] + states["free_throws_rate"]
    for share, rate in (("two", "two_points"), ("three", "three_points"), ("free_throw", "free_throws")):
        states[f"{share}_share"] = _ratio(states[f"{rate}_rate"], scored)
    states["bigness"] = (
        states["rebounds_rate"]
        + 2 * states["blocks_rate"]
        - states["assists_rate"]
        - 0.5 * states["three_attempts_rate"]
    )
    states["role"] = np.select([states["bigness"] < GUARD_BELOW, states["bigness"] < WING_BELOW], [0, 1], 2)
    return _of_days(states, days)[list(ZONES.names)]


def with_state(rows: pd.DataFrame, state: pd.DataFrame, by: str, columns: Iterable[str]) -> pd.DataFrame:
    """`rows` with `columns` of the newest `state` row of the same `by` from a game day strictly before their own."""
    newest = state[["game_day", by, *columns]].sort_values("game_day")
    return pd.merge_asof(rows.sort_values("game_day"), newest, on="game_day", by=by, allow_exact_matches=False)


def _appearances(games: pd.DataFrame) -> pd.DataFrame:
    return games.loc[games["played"]].sort_values([*KEY, "game_id"], ignore_index=True)


def _of_days(states: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
    return states[states["game_day"].isin(days)].drop_duplicates(KEY, keep="last")


def _ewm(games: pd.DataFrame, by_player: DataFrameGroupBy, columns: list[str], weight: float) -> pd.DataFrame:
    """Adjusted means of the known values so far. Games lie in order of players, so grouped results line up."""
    means = by_player[columns].ewm(alpha=weight, ignore_na=True).mean()
    return means.set_axis(games.index)


def _memories(games: pd.DataFrame, by_player: DataFrameGroupBy) -> dict[str, pd.Series]:
    found: dict[str, pd.Series] = {}
    for memory, weight in _MEMORIES.items():
        means = _ewm(games, by_player, list(_REMEMBERED), weight)
        found |= {f"{name}_ewm_{memory}": means[column] for column, name in _REMEMBERED.items()}
    slow = _ewm(games, by_player, ["usage_rate", "team_share", "plus_minus", "top_five"], 0.05)
    found["usage_rate_ewm_05"] = slow["usage_rate"]
    found["team_points_share_ewm_05"] = slow["team_share"]
    found["plus_minus_ewm_05"] = slow["plus_minus"]
    found["top_five_ewm_05"] = slow["top_five"]
    faster = _ewm(games, by_player, ["minutes_rank", "top_five"], 0.15)
    return found | {"minutes_rank_ewm_15": faster["minutes_rank"], "top_five_ewm_15": faster["top_five"]}


def _windows(games: pd.DataFrame, by_player: DataFrameGroupBy) -> dict[str, pd.Series]:
    found: dict[str, pd.Series] = {}
    both = by_player[["points", "minutes"]]
    for window in (3, 5, 10, 20):
        means = both.rolling(window, min_periods=1).mean().set_axis(games.index)
        found |= {f"{name}_last_{window}": means[name] for name in ("points", "minutes")}
    spread = both.rolling(10, min_periods=SPREAD_NEEDS_GAMES).std().set_axis(games.index)
    found |= {"points_sd_10": spread["points"], "minutes_sd_10": spread["minutes"]}
    points, minutes = by_player["points"], by_player["minutes"]
    alone = {
        "points_sd_20": points.rolling(20, min_periods=SPREAD_NEEDS_GAMES).std(),
        "points_median_10": points.rolling(10, min_periods=1).median(),
        "minutes_median_5": minutes.rolling(5, min_periods=1).median(),
        "minutes_max_10": minutes.rolling(10, min_periods=1).max(),
    }
    found |= {name: values.set_axis(games.index) for name, values in alone.items()}
    found |= {"minutes_1_ago": games["minutes"], "minutes_2_ago": minutes.shift(1), "minutes_3_ago": minutes.shift(2)}
    found |= {"points_1_ago": games["points"], "plays_1_ago": games["plays_used"], "fouls_1_ago": games["fouls"]}
    return found | {"minutes_rank_1_ago": games["minutes_rank"]}


def _in_regular_seasons(games: pd.DataFrame) -> pd.DataFrame:
    """REGULAR_SEASON_STATE after every game: other games leave it as it was."""
    counted = games[games["season_type"] == REGULAR_SEASON]
    by_player = counted.groupby("player_id", sort=False)
    minutes = by_player["minutes"].rolling(10, min_periods=1).mean()
    state = {
        "games_regular_season": by_player.cumcount() + 1.0,
        "minutes_last_10_regular_season": minutes.set_axis(counted.index),
        "points_ewm_10_regular_season": _ewm(counted, by_player, ["points"], 0.10)["points"],
    }
    return pd.DataFrame(state).reindex(games.index).groupby(games["player_id"], sort=False).ffill()


def _counts(games: pd.DataFrame, by_player: DataFrameGroupBy) -> dict[str, pd.Series]:
    by_season = games.groupby(["player_id", "season"], sort=False, observed=True)
    by_team = games.groupby(["player_id", "season", "team_id"], sort=False, observed=True)
    career, season = by_player[["points", "minutes"]].cumsum(), by_season[["points", "minutes"]].cumsum()
    number, of_season = by_player.cumcount() + 1, by_season.cumcount() + 1
    long_break = by_season["game_day"].diff() > pd.Timedelta(days=LONG_BREAK_DAYS)
    breaks = long_break.groupby([games["player_id"], games["season"]], sort=False, observed=True).cumsum()
    since = games.groupby([games["player_id"], games["season"], breaks], sort=False, observed=True).cumcount() + 1
    return {
        "games": number,
        "games_season": of_season,
        "games_with_team": by_team.cumcount() + 1,
        "points_season": season["points"] / of_season,
        "minutes_season": season["minutes"] / of_season,
        "points_career": career["points"] / number,
        "points_per_minute_career": career["points"] / career["minutes"],
        "games_since_break": since,
    }


def _add_ratios(states: pd.DataFrame) -> None:
    for what, memories in (("points", ("03", "10", "25")), ("plays", ("03", "10"))):
        for memory in memories:
            rate = states[f"{what}_ewm_{memory}"] / states[f"minutes_ewm_{memory}"]
            states[f"{what}_per_minute_ewm_{memory}"] = rate
    for memory in ("03", "10"):
        points, shots = states[f"points_ewm_{memory}"], states[f"shots_ewm_{memory}"]
        states[f"true_shooting_ewm_{memory}"] = (points / (2 * shots.clip(lower=0.5))).where(shots > 0)


def _ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    return (part / whole).where(whole > 0)
