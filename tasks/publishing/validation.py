"""Checks of a day's predictions before people rely on them: pure, each a result that a person can read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import polars as pl

from tasks.engine.contracts import Contract, Severity
from tasks.engine.plan import NOT_PLAYED, Frozen
from tasks.engine.processor import Mode
from tasks.predictions.predictions import QUANTILE_NAMES, every_eligible_player_and_system

FEATURED = "ensemble"
COVERED, COMPLETE = 0.95, 1.0  # shares of eligible players below which a game fails, and warns
BIAS_WARNS, BIAS_FAILS = 1.0, 2.0  # points between mean prediction and mean line
ENOUGH_BETS = 10  # recommendations from which on both directions must be among them
QUALITY_WARNS, QUALITY_FAILS = 85.0, 70.0  # mean feature quality, 0-100
LINES_WANTED = 0.8  # share of games
LINES_AGE = dt.timedelta(hours=4)
NAMED = 4


class Verdict(StrEnum):
    """PASS: rely on it. WARN: rely on it, knowing this. FAIL: do not."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


class Check(Frozen):
    """One promise, what was found, and the verdict on it."""

    name: str
    verdict: Verdict
    found: str
    promised: str


@dataclass(frozen=True)
class Evidence:
    """What a validation looks at. `published` is None where nothing is; `stale` names tables behind the last game day.

    `schedule` is the newest that the source has; `runs` the ledger's last rows of the day's outputs.
    """

    predictions: pl.DataFrame
    features: pl.DataFrame
    schedule: pl.DataFrame
    published: pl.DataFrame | None
    stale: Collection[tuple[str, bool]]
    runs: Sequence[dict[str, Any]]
    contract: Contract
    now: dt.datetime


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The worst of them."""
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index, default=Verdict.PASS)


def validate(seen: Evidence) -> list[Check]:
    """Every check of a day with games, in the order in which to read them."""
    checks: tuple[Callable[[Evidence], Check], ...] = (
        _coverage,
        _teams,
        _duplicates,
        _publication,
        _schedule,
        _release,
        _freshness,
        _features,
        _quality,
        _lines,
        _bias,
        _directions,
        _intervals,
        _degraded,
    )
    return [check(seen) for check in checks]


def _coverage(seen: Evidence) -> Check:
    keys = ["game_id", "system"]
    expected = every_eligible_player_and_system({"ml_feature_store": _played(seen, seen.features)})
    there = expected.join(seen.predictions, on=["game_id", "player_id", "system"], how="semi").group_by(keys).len()
    shares = expected.group_by(keys).agg(pl.len().alias("of")).join(there, on=keys, how="left").fill_null(0).sort(keys)
    short = shares.filter(pl.col("len") < pl.col("of"))
    worst = min((row["len"] / row["of"] for row in shares.iter_rows(named=True)), default=0.0)
    names = _list(f"{row['game_id']} {row['system']} {row['len']}/{row['of']}" for row in short.iter_rows(named=True))
    total = f"{shares['len'].sum()} of {shares['of'].sum()}"
    verdict = Verdict.PASS if worst >= COMPLETE else Verdict.WARN if worst >= COVERED else Verdict.FAIL
    return _check("coverage", verdict, f"{total}{f'; short: {names}' if names else ''}", "every player by every system")


def _teams(seen: Evidence) -> Check:
    games = seen.schedule.filter(~pl.col("status").is_in(NOT_PLAYED))
    sides = pl.concat([games.select("game_id", team=name) for name in ("home_team", "away_team")])
    absent = sides.join(seen.predictions, on=["game_id", "team"], how="anti").sort("game_id", "team")
    found = _list(f"{row['team']} in {row['game_id']}" for row in absent.iter_rows(named=True))
    promised = "predictions for both teams of every game"
    return _check("teams", _fails(absent.height), found or f"{sides.height} teams", promised)


def _duplicates(seen: Evidence) -> Check:
    key = ["game_id", "player_id", "system"]
    repeated = seen.predictions.height - seen.predictions.select(key).n_unique()
    return _check(
        "duplicates", _fails(repeated), f"{repeated} rows repeat a key", "one row per player, game and system"
    )


def _publication(seen: Evidence) -> Check:
    promised = "what is in the store, and nothing else"
    if seen.published is None:
        return _check("publication", Verdict.FAIL, "nothing is published", promised)
    key = ["game_id", "player_id", "system", "predicted_points"]
    stored = _played(seen, seen.predictions)
    missing = stored.join(seen.published, on=key, how="anti").height
    strange = seen.published.join(stored, on=key, how="anti").height
    found = f"{seen.published.height} rows; {missing} of the store are missing, {strange} are not in the store"
    return _check("publication", _fails(missing + strange), found, promised)


def _schedule(seen: Evidence) -> Check:
    shown = seen.predictions if seen.published is None else seen.published
    off = seen.schedule.filter(pl.col("status").is_in(NOT_PLAYED))["game_id"].to_list()
    unknown = set(shown["game_id"]) - set(seen.schedule["game_id"])
    wrong = sorted((set(shown["game_id"]) & set(off)) | unknown)
    found = _list(wrong) or f"{shown['game_id'].n_unique()} games"
    return _check("schedule", _fails(len(wrong)), found, "games that take place by the newest schedule alone")


def _release(seen: Evidence) -> Check:
    stamps = {str(value) for value in seen.predictions["release"].unique()}
    stamps |= {str(row["fingerprint"]) for row in seen.runs if row["mode"] == Mode.SAME_DAY.value}
    return _check("release", _fails(len(stamps) > 1), _list(sorted(stamps)), "one release through all phases")


def _freshness(seen: Evidence) -> Check:
    critical = [name for name, needed in seen.stale if needed]
    verdict = Verdict.FAIL if critical else Verdict.WARN if seen.stale else Verdict.PASS
    found = _list(name for name, _ in seen.stale) or "none is behind"
    return _check("freshness", verdict, found, "tables that reach the last game day")


def _features(seen: Evidence) -> Check:
    broken = seen.contract.check(seen.features)
    blocking = [item for item in broken if item.severity == Severity.BLOCKS]
    empty = [name for name in seen.features.columns if seen.features[name].null_count() == seen.features.height]
    found = _list([*(str(item) for item in (blocking or broken)), *(f"{name} is null everywhere" for name in empty)])
    verdict = Verdict.FAIL if blocking else Verdict.WARN if broken or empty else Verdict.PASS
    return _check("features", verdict, found or f"{seen.features.width} columns", "null rates, ranges, variance")


def _quality(seen: Evidence) -> Check:
    mean = _mean(seen.predictions["feature_quality"])
    verdict = Verdict.FAIL if mean < QUALITY_FAILS else Verdict.WARN if mean < QUALITY_WARNS else Verdict.PASS
    return _check("quality", verdict, f"{mean:.0f} on average", f"at least {QUALITY_WARNS:.0f} ({QUALITY_FAILS:.0f})")


def _lines(seen: Evidence) -> Check:
    games = seen.predictions.group_by("game_id").agg(pl.col("line").is_not_null().any().alias("lined"))
    share = _mean(games["lined"].cast(pl.Float64))
    newest = seen.predictions["line_snapshot_at"].max()
    old = isinstance(newest, dt.datetime) and seen.now - newest > LINES_AGE
    at = f", the newest of {newest:%H:%M} UTC" if isinstance(newest, dt.datetime) else ""
    verdict = Verdict.WARN if share < LINES_WANTED or old else Verdict.PASS
    promised = f"lines for {LINES_WANTED:.0%} of the games, none older than {LINES_AGE.seconds // 3600} hours"
    return _check("lines", verdict, f"{share:.0%} of the games{at}", promised)


def _bias(seen: Evidence) -> Check:
    edges = _featured(seen)["edge"].drop_nulls()
    if edges.is_empty():
        return _check("bias", Verdict.WARN, "no line to hold it against", "mean prediction near the mean line")
    bias = _mean(edges)
    verdict = Verdict.FAIL if abs(bias) > BIAS_FAILS else Verdict.WARN if abs(bias) > BIAS_WARNS else Verdict.PASS
    return _check("bias", verdict, f"{bias:+.2f} points over {len(edges)} lines", f"within {BIAS_WARNS:g} point")


def _directions(seen: Evidence) -> Check:
    said = _featured(seen)["recommendation"]
    over, under = (len(said.filter(said == side)) for side in ("OVER", "UNDER"))
    one_sided = over + under >= ENOUGH_BETS and not (over and under)
    return _check("directions", _fails(one_sided), f"{over} OVER, {under} UNDER", "both, where there are many")


def _intervals(seen: Evidence) -> Check:
    levels = [pl.col(name) for name in QUANTILE_NAMES]
    crossing = pl.any_horizontal(low > high for low, high in pairwise(levels))
    outside = (pl.col("predicted_points") < levels[0]) | (pl.col("predicted_points") > levels[-1])
    flat = levels[0] == levels[-1]
    wrong = seen.predictions.filter(crossing | outside | flat).height
    return _check("intervals", _fails(wrong), f"{wrong} rows", "quantiles in order around the prediction")


def _degraded(seen: Evidence) -> Check:
    rows = seen.predictions.filter("degraded")
    reasons = rows["degraded_reasons"].drop_nulls().unique().sort().to_list()
    found = f"{rows.height} rows: {_list(reasons)}" if rows.height else "no row"
    return _check("degraded", Verdict.WARN if rows.height else Verdict.PASS, found, "made of everything it should be")


def _played(seen: Evidence, rows: pl.DataFrame) -> pl.DataFrame:
    off = seen.schedule.filter(pl.col("status").is_in(NOT_PLAYED))["game_id"]
    return rows.filter(~pl.col("game_id").is_in(off.implode()))


def _featured(seen: Evidence) -> pl.DataFrame:
    return seen.predictions.filter(pl.col("system") == FEATURED)


def _check(name: str, verdict: Verdict, found: str, promised: str) -> Check:
    return Check(name=name, verdict=verdict, found=found, promised=promised)


def _fails(wrong: int | bool) -> Verdict:
    return Verdict.FAIL if wrong else Verdict.PASS


def _mean(values: pl.Series) -> float:
    mean = values.mean()
    return float(mean) if isinstance(mean, (int, float)) else 0.0


def _list(items: Iterator[str] | Sequence[str]) -> str:
    every = list(items)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
