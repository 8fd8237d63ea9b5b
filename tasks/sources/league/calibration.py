"""The quantities by which the simulated league is held to real basketball, measured on any box-score frame.

Knows nothing of the generator: the benchmark calls it on simulated and on real seasons alike.
"""

from __future__ import annotations

import polars as pl

MIN_EARLIER_GAMES = 5
MIN_MINUTES_LAST_10 = 10.0  # the population on which forecasts are judged
REGULAR_MINUTES = 15.0  # a regular: this many minutes a game over his last ten
FORGOTTEN_AFTER_GAMES = 15  # a player unseen for longer than this many team games no longer counts as a regular
LEVELS = ((0.0, 5.0), (5.0, 10.0), (10.0, 15.0), (15.0, 20.0), (20.0, 40.0))


def box_score_quantities(player_games: pl.DataFrame) -> dict[str, float]:
    """Shape of the box scores of one or more seasons: quantiles, spread, persistence, home advantage, rest.

    Expects the columns of `player_games`, one row per player who played. Points and minutes are per game.
    """
    rows = player_games.with_columns(pl.col("minutes").cast(pl.Float64), pl.col("pts").cast(pl.Float64))
    out: dict[str, float] = {}
    for column in ("pts", "minutes"):
        values = rows[column]
        out[f"{column} mean"] = _number(values.mean())
        out[f"{column} std"] = _number(values.std())
        for q in (0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
            out[f"{column} q{round(q * 100)}"] = _number(values.quantile(q, "linear"))
    out["share of 0 points"] = _number((rows["pts"] == 0).mean())
    out["share of 0 minutes"] = _number((rows["minutes"] < 0.5).mean())
    out["share under 5 minutes"] = _number((rows["minutes"] < 5).mean())
    out["share under 10 minutes"] = _number((rows["minutes"] < 10).mean())
    out["share 30+ minutes"] = _number((rows["minutes"] >= 30).mean())
    out |= _spread_quantities(rows)
    out |= _team_quantities(rows)
    return out


def _spread_quantities(rows: pl.DataFrame) -> dict[str, float]:
    """Spread and persistence of points and minutes around the player's own season mean (20+ games)."""
    by = ["season", "player_id"]
    dated = rows.sort("player_id", "game_date").with_columns(
        level=pl.col("pts").mean().over(by),
        residual=pl.col("pts") - pl.col("pts").mean().over(by),
        minutes_residual=pl.col("minutes") - pl.col("minutes").mean().over(by),
        minutes_level=pl.col("minutes").mean().over(by),
        games=pl.len().over(by),
    )
    kept = dated.filter(pl.col("games") >= 20).with_columns(
        before=pl.col("residual").shift(1).over(by),
        minutes_before=pl.col("minutes_residual").shift(1).over(by),
    )
    out = {
        "points lag-1 autocorrelation": _number(
            kept.filter(pl.col("level") >= 5).select(pl.corr("residual", "before")).item()
        ),
        "minutes lag-1 autocorrelation": _number(
            kept.filter(pl.col("level") >= 5).select(pl.corr("minutes_residual", "minutes_before")).item()
        ),
        "minutes std around 15+ minute mean": _number(
            kept.filter(pl.col("minutes_level") >= 15)["minutes_residual"].std()
        ),
    }
    for low, high in LEVELS:
        inside = kept.filter((pl.col("level") >= low) & (pl.col("level") < high))
        out[f"points std at level {low:.0f}-{high:.0f}"] = _number(inside["residual"].std())
    seasons = kept.unique(by)
    for q in (0.5, 0.75, 0.9, 0.98):
        out[f"player-season mean points q{round(q * 100)}"] = _number(seasons["level"].quantile(q, "linear"))
    per_season = dated.filter(pl.col("games") >= 20).unique(by).group_by("season").len()["len"]
    out["players with 20+ games a season"] = _number(per_season.mean())
    return out


def _team_quantities(rows: pl.DataFrame) -> dict[str, float]:
    """Team points, margin, home advantage, players used, overtime and back-to-backs."""
    stats = ("fga", "fg3a", "fta", "fg3m", "reb", "ast", "tov", "pf")
    teams = rows.group_by("season", "game_id", "game_date", "team", "is_home").agg(
        pl.col("pts").sum(),
        pl.col("minutes").sum(),
        pl.len().alias("used"),
        *[pl.col(s).cast(pl.Float64).sum() for s in stats],
    )
    home = teams.filter("is_home").select("game_id", home_pts="pts")
    away = teams.filter(~pl.col("is_home")).select("game_id", away_pts="pts")
    margin = home.join(away, on="game_id").select(m=pl.col("home_pts") - pl.col("away_pts"))["m"]
    rest = (
        teams.sort("team", "game_date")
        .with_columns(rest=(pl.col("game_date") - pl.col("game_date").shift(1).over("season", "team")).dt.total_days())
        .drop_nulls("rest")["rest"]
    )
    season_points = teams.group_by("season", "team").agg(pl.col("pts").mean())
    out = {
        "players used per team-game": _number(teams["used"].mean()),
        "team points mean": _number(teams["pts"].mean()),
        "team points std": _number(teams["pts"].std()),
        "team-season points std": _number(season_points["pts"].std()),
        "home advantage, points": _number(margin.mean()),
        "margin std": _number(margin.std()),
        "share of margins over 15": _number((margin.abs() > 15).mean()),
        "share of overtime": _number((teams["minutes"] > 255).mean()),
        "share of back-to-backs": _number((rest == 1).mean()),
        "share of two days' rest": _number((rest == 2).mean()),
    }
    return out | {f"team {s} mean": _number(teams[s].mean()) for s in stats}


def absence_quantities(player_games: pl.DataFrame) -> dict[str, float]:
    """How often regulars are missing, from box scores alone.

    A regular of a team at a game: at least five earlier games in the season, 15+ minutes over his last ten,
    last seen with this team at most 15 team games ago.
    """
    missing, present, regular_games, team_games = 0, 0, 0, 0
    first = 0
    by = ["season", "player_id"]
    seen = (
        player_games.with_columns(pl.col("minutes").cast(pl.Float64))
        .sort("player_id", "game_date")
        .with_columns(
            last10=pl.col("minutes").rolling_mean(10, min_samples=MIN_EARLIER_GAMES).over(by),
        )
    )
    games = (
        player_games.select("season", "team", "game_id", "game_date")
        .unique()
        .sort("season", "team", "game_date")
        .with_columns(number=pl.int_range(pl.len()).over("season", "team"))
    )
    team_games = games.height
    seen = (
        seen.join(games.select("game_id", "team", "number"), on=["game_id", "team"])
        .sort("player_id", "game_date")
        .with_columns(next_number=pl.col("number").shift(-1).over(by), next_team=pl.col("team").shift(-1).over(by))
    )
    last_number = games.group_by("season", "team").agg(pl.col("number").max().alias("last_number"))
    spans = (
        seen.filter(pl.col("last10") >= REGULAR_MINUTES)
        .join(last_number, on=["season", "team"])
        .filter(pl.col("number") < pl.col("last_number"))
        .filter(pl.col("next_team").is_null() | (pl.col("next_team") == pl.col("team")))
        .with_columns(
            gap=(pl.col("next_number").fill_null(pl.col("last_number") + 1) - pl.col("number") - 1).clip(
                0, FORGOTTEN_AFTER_GAMES
            )
        )
    )
    regular_games = spans.height
    missing = int(spans["gap"].sum())
    first = int((spans["gap"] > 0).sum())
    present = regular_games
    return {
        "regular who played misses the next": first / present,
        "regulars out per team-game": missing / team_games,
        "share of absences that are first-game": first / max(missing, 1),
    }


def naive_forecasts(player_games: pl.DataFrame) -> pl.DataFrame:
    """Season average, last ten and exponentially weighted (alpha 0.1) points before each game.

    Keeps the population of the anchors: minutes > 0, at least five earlier games, mean minutes over the last
    ten at least 10. Last ten and exponential mean reach back into earlier seasons; the season average is the
    last ten on a player's first game of a season.
    """
    pts, minutes = pl.col("pts").cast(pl.Float64), pl.col("minutes").cast(pl.Float64)
    this_season = ["season", "player_id"]
    before = pl.int_range(pl.len()).over(this_season)
    return (
        player_games.sort("player_id", "game_date", "game_id")
        .with_columns(
            earlier=pl.int_range(pl.len()).over("player_id"),
            last_10=pts.shift(1).rolling_mean(10, min_samples=1).over("player_id"),
            ewm=pts.ewm_mean(alpha=0.1).shift(1).over("player_id"),
            minutes_10=minutes.shift(1).rolling_mean(10, min_samples=1).over("player_id"),
        )
        .with_columns(
            season_average=pl.when(before > 0)
            .then((pts.cum_sum().over(this_season) - pts) / before)
            .otherwise("last_10")
        )
        .filter(
            (minutes > 0) & (pl.col("earlier") >= MIN_EARLIER_GAMES) & (pl.col("minutes_10") >= MIN_MINUTES_LAST_10)
        )
    )


def forecast_quantities(forecasts: pl.DataFrame) -> dict[str, float]:
    """Mean absolute error in points of `naive_forecasts`, and the population's size a season."""
    return {
        "forecast population a season": forecasts.height / forecasts["season"].n_unique(),
        **{f"MAE {name}": mean_error(forecasts, name) for name in ("season_average", "last_10", "ewm")},
        "MAE on level 15+ of ewm": mean_error(forecasts.filter(pl.col("ewm") >= 15), "ewm"),
    }


def mean_error(rows: pl.DataFrame, name: str) -> float:
    """Mean absolute error of the forecast in column `name` against `pts`."""
    return _number((rows["pts"].cast(pl.Float64) - rows[name]).abs().mean())


def truth_quantities(forecasts: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """How well the best possible forecast does on the rows of `naive_forecasts`."""
    rows = forecasts.join(truth.drop("season"), on=["game_id", "player_id"])
    pts = rows["pts"].cast(pl.Float64)
    return {
        "MAE of the truth's median": mean_error(rows, "q50"),
        "MAE of the truth's mean": mean_error(rows, "expected_points"),
        "truth: error mean": _number((pts - rows["expected_points"]).mean()),
        "truth: minutes error mean": _number((rows["minutes"].cast(pl.Float64) - rows["expected_minutes"]).mean()),
        "truth: MAE of minutes": _number((rows["minutes"].cast(pl.Float64) - rows["expected_minutes"]).abs().mean()),
        "truth: 80 % interval holds": _number(((pts >= rows["q10"]) & (pts <= rows["q90"])).mean()),
        "truth: share under q50": _number((pts < rows["q50"]).mean()),
    }


def consensus(lines: pl.DataFrame, hour_utc: str = "17:30") -> pl.DataFrame:
    """Median over books of the last line seen from 16:00 to `hour_utc` (HH:MM UTC) of the game day."""
    stamp = pl.col("game_date").dt.strftime("%Y-%m-%d") + f"T{hour_utc}Z"
    fresh = pl.col("game_date").dt.strftime("%Y-%m-%d") + "T16:00Z"
    return (
        lines.filter(
            (pl.col("snapshot") <= stamp)
            & (pl.col("snapshot") > fresh)
            & (pl.col("snapshot") < pl.col("commence_time"))
        )
        .sort("snapshot")
        .group_by("season", "game_date", "player_id", "bookmaker")
        .agg(pl.col("line").last())
        .group_by("season", "game_date", "player_id")
        .agg(pl.col("line").median())
    )


def line_quantities(player_games: pl.DataFrame, forecasts: pl.DataFrame, lines: pl.DataFrame) -> dict[str, float]:
    """Error of a consensus line (columns game_date, player_id, line) on the players who played.

    forecasts: of `naive_forecasts`, for the comparison on the same players. Rows without a game are void.
    """
    lines = lines.select("game_date", "player_id", "line")
    rows = player_games.filter(pl.col("minutes") > 0).join(lines, on=["game_date", "player_id"], how="inner")
    error = rows["pts"].cast(pl.Float64) - rows["line"]
    same = forecasts.join(lines, on=["game_date", "player_id"], how="inner")
    return {
        "line MAE": _number(error.abs().mean()),
        "line error mean": _number(error.mean()),
        "line error std": _number(error.std()),
        "line mean": _number(rows["line"].mean()),
        "line std": _number(rows["line"].std()),
        "share over the line": _number((error > 0).mean()),
        "lined players per team-game": rows.height / rows.select("game_id", "team").n_unique(),
        "lined players who sat": 1.0 - rows.height / lines.height,
        "MAE of ewm on lined players": mean_error(same, "ewm"),
        "MAE of line on the same": mean_error(same, "line"),
    }


def _number(value: object) -> float:
    return float("nan") if value is None else float(str(value))
