"""How accurate each system was on graded predictions: errors, intervals, hit rates, calibration, each with its n.

Every measure is taken in the population of `prediction_grades.in_population`. What is too good to be true is said in
`suspicion`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.grading.prediction_grades import BASELINE
from tasks.predictions.distribution import NINE_LEVELS

ALL, WITH_LINE = "all", "with_line"
POPULATIONS = (ALL, WITH_LINE)
MONTH = "month"  # may be asked for in `by`: the first day of the game day's month
EDGES = (1.0, 1.5, 2.0, 3.0, 4.0)  # points between prediction and line; a bucket holds its upper end
DECILES = 10
Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
_ORDER = ("game_day", "game_id", "player_id", "system")


def accuracy(grades: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """One row per group of `by` (columns of `grades`, or "month"), system and population that has graded rows.

    Populations: "all", and "with_line" for those of them with a line. Errors in points, shares from 0 to 1; bias is
    predicted - actual. `line_mae` and `ewm_mae` are null unless every row of the group has a line, or the average:
    they are measured on the same rows or not at all. Bets are WIN and LOSS; hit_low and hit_high are the 95 % interval
    of the hit rate (`wilson`). Columns: *by, system, population, n, mae, rmse, bias, pinball, coverage_80, width_80,
    line_mae, ewm_mae, bets, wins, pushes, hit_rate, hit_low, hit_high.
    """
    rows = _measured(grades)
    both = [
        rows.with_columns(population=pl.lit(ALL)),
        rows.filter("has_line").with_columns(population=pl.lit(WITH_LINE)),
    ]
    keys = [*by, "system", "population"]
    return (
        pl.concat(both)
        .group_by(keys, maintain_order=True)
        .agg(
            n=pl.len().cast(pl.Int64),
            mae=pl.col("absolute_error").mean(),
            rmse=(pl.col("error") ** 2).mean().sqrt(),
            bias=pl.col("error").mean(),
            pinball=pl.col("pinball").mean(),
            coverage_80=pl.col("covered_80").mean(),
            width_80=(pl.col("points_q90") - pl.col("points_q10")).mean(),
            line_mae=_mae_on_same_rows("line"),
            ewm_mae=_mae_on_same_rows(BASELINE),
            bets=pl.col("outcome").is_in(["WIN", "LOSS"]).sum().cast(pl.Int64),
            wins=(pl.col("outcome") == "WIN").sum().cast(pl.Int64),
            pushes=(pl.col("outcome") == "PUSH").sum().cast(pl.Int64),
        )
        .with_columns(_rate("hit_rate", "wins", "bets"), *wilson("wins", "bets", "hit_low", "hit_high"))
        .sort(keys)
    )


def by_edge(grades: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """One row per group, system and bucket of the distance between prediction and line, for players with a line.

    A row says how often the points fell on the prediction's side of the line, also where it was too near to recommend
    a bet; pushes and predictions on the line itself are on no side. Columns: *by, system, bucket (as "1-1.5"),
    edge_above and edge_up_to (points; null: no upper end), n, mae, line_mae, decided, right, hit_rate, hit_low,
    hit_high.
    """
    away, side = pl.col("edge").abs(), pl.col("edge").sign()
    happened = (pl.col("actual_points") - pl.col("line")).sign()
    keys = [*by, "system", "edge_above"]
    return (
        _measured(grades)
        .filter("has_line")
        .with_columns(
            edge_above=pl.max_horizontal(pl.when(away > edge).then(edge).otherwise(0.0) for edge in EDGES),
            sided=(side != 0) & (happened != 0),
            right=(side == happened) & (side != 0),
        )
        .group_by(keys, maintain_order=True)
        .agg(
            n=pl.len().cast(pl.Int64),
            mae=pl.col("absolute_error").mean(),
            line_mae=_mae_on_same_rows("line"),
            decided=pl.col("sided").sum().cast(pl.Int64),
            right=pl.col("right").sum().cast(pl.Int64),
        )
        .with_columns(_rate("hit_rate", "right", "decided"), *wilson("right", "decided", "hit_low", "hit_high"))
        .join(_buckets(), on="edge_above", how="left")
        .sort(keys)
        .select(
            *(*by, "system", "bucket", "edge_above", "edge_up_to", "n", "mae", "line_mae"),
            *("decided", "right", "hit_rate", "hit_low", "hit_high"),
        )
    )


def calibration(grades: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """One row per group, system and decile (ten equally many rows each) of the stated probability of over.

    The probability is of those that do not push, so pushes are left out. Columns: *by, system, decile (1 to 10), n,
    said (mean stated probability), overs, came (share that went over), gap (came - said), came_low, came_high.
    """
    group = [*by, "system"]
    keys = [*group, "decile"]
    rows = _measured(grades).filter(
        pl.col("over_probability").is_not_null(), pl.col("over_result").is_in(["OVER", "UNDER"])
    )
    rank = pl.col("over_probability").rank("ordinal").over(group) - 1
    return (
        rows.with_columns(decile=(rank * DECILES // pl.len().over(group) + 1).cast(pl.Int64))
        .group_by(keys, maintain_order=True)
        .agg(
            n=pl.len().cast(pl.Int64),
            said=pl.col("over_probability").mean(),
            overs=(pl.col("over_result") == "OVER").sum().cast(pl.Int64),
        )
        .with_columns(_rate("came", "overs", "n"), *wilson("overs", "n", "came_low", "came_high"))
        .with_columns(gap=pl.col("came") - pl.col("said"))
        .sort(keys)
        .select(*keys, "n", "said", "overs", "came", "gap", "came_low", "came_high")
    )


def levels(grades: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """One row per group, system and quantile level: how often the points ended above that quantile.

    A quantile is a line that every player of the population has, so this is the probability of over at nine lines of
    different heights; where the lowest is 0 points it is none, since nobody can stay under it. Columns: *by, system,
    level (0.1 to 0.9), n, said (1 - level), came, gap (came - said), se (the gap's standard error, players of one game
    counted as independent).
    """
    keys = [*by, "system", "level"]
    rows = _measured(grades).filter(pl.col("quantiles_passed").is_not_null())
    each = [
        rows.filter((at > 0) | (pl.col("points_q10") > 0)).select(
            *by, "system", level=pl.lit(level), over=pl.col("quantiles_passed") > at
        )
        for at, level in enumerate(NINE_LEVELS)
    ]
    return (
        pl.concat(each)
        .group_by(keys, maintain_order=True)
        .agg(n=pl.len().cast(pl.Int64), came=pl.col("over").mean())
        .with_columns(said=1 - pl.col("level"))
        .with_columns(
            gap=pl.col("came") - pl.col("said"), se=(pl.col("came") * (1 - pl.col("came")) / pl.col("n")).sqrt()
        )
        .sort(keys)
        .select(*keys, "n", "said", "came", "gap", "se")
    )


def wilson(hits: str, of: str, low: str, high: str) -> tuple[pl.Expr, pl.Expr]:
    """The ends of the 95 % interval of hits / of as columns `low` and `high`; null where `of` is 0 (Wilson, 1927)."""
    n = pl.col(of)
    share = pl.col(hits) / n
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * (share * (1 - share) / n + Z_95**2 / (4 * n**2)).sqrt()
    some = pl.when(n > 0)
    # At 0 of n and n of n the ends are exactly 0 and 1, which rounding may miss by a hair.
    return (
        some.then((middle - half).clip(0.0, 1.0)).alias(low),
        some.then((middle + half).clip(0.0, 1.0)).alias(high),
    )


def _measured(grades: pl.DataFrame) -> pl.DataFrame:
    """The graded rows of the population, in an order that makes sums the same on every run."""
    rows = grades.filter(pl.col("in_population") & pl.col("absolute_error").is_not_null()).sort(_ORDER)
    return rows if MONTH in rows.columns else rows.with_columns(pl.col("game_day").dt.truncate("1mo").alias(MONTH))


def _mae_on_same_rows(column: str) -> pl.Expr:
    error = (pl.col(column) - pl.col("actual_points")).abs()
    return pl.when(pl.col(column).null_count() == 0).then(error.mean())


def _rate(name: str, hits: str, of: str) -> pl.Expr:
    return pl.when(pl.col(of) > 0).then(pl.col(hits) / pl.col(of)).alias(name)


def _buckets() -> pl.DataFrame:
    ends: list[float | None] = [*EDGES, None]
    starts = [0.0, *EDGES]
    names = [f"over {low:g}" if high is None else f"{low:g}-{high:g}" for low, high in zip(starts, ends, strict=True)]
    return pl.DataFrame(
        {"edge_above": starts, "edge_up_to": ends, "bucket": names},
        schema={"edge_above": pl.Float64, "edge_up_to": pl.Float64, "bucket": pl.String},
    )
