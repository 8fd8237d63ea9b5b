"""Nothing of the future in a feature or a prediction, neither of a daily run nor of a backfill."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl

from flows.daily import daily
from flows.history import build_tables
from flows.report import DayState
from tasks.engine.processor import Mode
from tests.flows.conftest import RUN_COLUMNS, Finished, difference, stored


def test_altering_every_result_and_line_of_the_future_changes_not_one_value(finished: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "another-future"
    shutil.copytree(finished.folder, folder)
    _alter_the_future(folder, finished.game_day, finished.report.as_of)
    report = daily(Mode.SAME_DAY, finished.game_day, data=folder, home=tmp_path / "home")
    assert report.state == DayState.COMPLETE
    for table in ("ml_feature_store", "upcoming_player_game_context", "player_composite_factors"):
        assert stored(tmp_path / "home", table, finished.game_day).equals(finished.read(table)), table
    ours, theirs = (
        frame.drop(RUN_COLUMNS)
        for frame in (finished.read("predictions"), stored(tmp_path / "home", "predictions", finished.game_day))
    )
    assert ours.equals(theirs)


def test_no_feature_of_a_backfilled_day_knows_its_own_result(finished: Finished, tmp_path: Path) -> None:
    """The backfill computes many days at once: the last day's results are there, and must not be seen."""
    folder = tmp_path / "another-last-day"
    shutil.copytree(finished.folder, folder)
    _alter_results(folder, finished.game_day)
    first = finished.game_day - dt.timedelta(days=45)
    frames = []
    for number, source in enumerate((finished.folder, folder)):
        home = tmp_path / f"home-{number}"
        build_tables(first, finished.game_day, source, home)
        frames.append(stored(home, "ml_feature_store", finished.game_day))
    assert frames[0].equals(frames[1]), difference(*frames)
    assert frames[0].height > 25


def _alter_the_future(folder: Path, day: dt.date, as_of: dt.datetime) -> None:
    _alter_results(folder, day)
    lines = folder / "lines" / "points_lines.parquet"
    frame = pl.read_parquet(lines)
    later = pl.col("snapshot").str.slice(0, 16) > as_of.strftime("%Y-%m-%dT%H:%M")
    changed = frame.with_columns(line=pl.when(later).then(pl.col("line") + 7).otherwise("line"))
    assert not changed.equals(frame)
    changed.write_parquet(lines)
    injuries = folder / "injuries" / "injuries.parquet"
    frame = pl.read_parquet(injuries)
    changed = frame.with_columns(status=pl.when(pl.col("reported_at") > as_of).then(pl.lit("OUT")).otherwise("status"))
    assert not changed.equals(frame)
    changed.write_parquet(injuries)


def _alter_results(folder: Path, day: dt.date) -> None:
    """Another outcome for every game from `day` on: more free throws for everybody, and the winners turned round."""
    for kind in ("player_games", "team_games"):
        for path in (folder / kind).glob("*.parquet"):
            frame = pl.read_parquet(path)
            later = pl.col("game_date") >= day
            frame.with_columns(
                *(
                    (pl.col(name) + pl.when(later).then(5).otherwise(0)).cast(frame.schema[name]).alias(name)
                    for name in ("ftm", "fta", "pts")
                ),
                win=pl.when(later).then(~pl.col("win")).otherwise("win"),
                **(
                    {"minutes": pl.when(later).then(pl.col("minutes") / 2).otherwise("minutes")}
                    if kind == "player_games"
                    else {}
                ),
            ).write_parquet(path)
    path = folder / "schedule" / "schedule.parquet"
    frame = pl.read_parquet(path)
    later = pl.col("game_date") >= day
    frame.with_columns(
        (pl.col(name) + pl.when(later).then(9).otherwise(0)).cast(frame.schema[name]).alias(name)
        for name in ("home_pts", "away_pts")
    ).write_parquet(path)
