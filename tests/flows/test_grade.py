"""Grading a range of game days after the results came in: every prediction accounted for, again and again the same."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from blocks.warehouse import LocalWarehouse
from flows.daily import daily
from flows.grade import cli
from flows.report import DayState
from flows.run import _workspace
from tasks.engine.processor import Mode
from tasks.grading.accuracy import POPULATIONS
from tasks.grading.prediction_grades import KEY
from tasks.predictions.predictions import SYSTEMS
from tests.flows.conftest import Finished, stored

pytestmark = pytest.mark.xdist_group("prefect")
TABLES = ("prediction_grades", "accuracy_daily")


def graded(finished: Finished, home: Path, first: dt.date, last: dt.date) -> Result:
    arguments = ["--start", str(first), "--end", str(last), "--data", str(finished.folder), "--home", str(home)]
    return CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(cli, arguments)


def test_a_finished_day_is_graded_row_by_row_and_a_second_time_the_same(
    finished: Finished, copied: Callable[[], Path]
) -> None:
    home, day = copied(), finished.game_day
    daily(Mode.OVERNIGHT, day, data=finished.folder, home=home)
    week = dt.timedelta(days=7)
    result = graded(finished, home, day - week, day + week)
    assert result.exit_code == 0, result.output

    predictions, grades = stored(home, "predictions", day), stored(home, "prediction_grades", day)
    assert predictions.select(KEY).sort(KEY).equals(grades.select(KEY).sort(KEY))
    points = stored(home, "player_game_summary", day).select("game_id", "player_id", "played", "points")
    checked = grades.join(points, on=["game_id", "player_id"], how="left", validate="m:1")
    played = checked.filter("played")
    assert played.height > 100
    assert (played["absolute_error"] == (played["predicted_points"] - played["points"]).abs()).all()
    sat = checked.filter(pl.col("played").ne_missing(other=True))
    assert set(sat["void_reason"]) <= {"DNP"}
    assert sat["absolute_error"].is_null().all()
    assert f"{grades.height:,} predictions: {played.height:,} graded, {sat.height:,} void" in result.output
    assert "…" not in result.output, "nothing is cut off on the narrowest terminal"

    measured = stored(home, "accuracy_daily", day)
    assert set(measured.select("system", "population").iter_rows()) == {
        (system.name, population) for system in SYSTEMS for population in POPULATIONS
    }
    for row in measured.filter(population="all").iter_rows(named=True):
        mine = played.filter("in_population", system=row["system"])
        assert (row["n"], row["mae"]) == (mine.height, pytest.approx(mine["absolute_error"].mean()))
        assert f"{row['mae']:.3f}" in result.output

    held = _shas(home)
    assert graded(finished, home, day, day).exit_code == 0
    assert _shas(home) == held


def test_a_day_without_results_waits_and_is_counted(finished: Finished, copied: Callable[[], Path]) -> None:
    home, day = copied(), finished.game_day
    result = graded(finished, home, day, day)
    assert result.exit_code == 0, result.output
    count = finished.read("predictions").height
    assert f"{count:,} predictions: 0 graded, 0 void, {count:,} without a result yet" in result.output
    assert f"waiting: {day}; `python -m flows.daily --mode overnight" in result.output
    assert day not in LocalWarehouse(folder=home / "warehouse").partitions("prediction_grades")


def test_what_cannot_be_graded_is_said_with_what_to_do(finished: Finished, tmp_path: Path) -> None:
    day = finished.game_day
    for first, last, home, says in (
        (day, day - dt.timedelta(days=1), finished.home, "give them the other way round"),
        (dt.date(2020, 1, 1), dt.date(2020, 1, 9), finished.home, f"there are predictions from {day} to {day}"),
        (day, day, tmp_path / "typo", "give the one that the predictions are in with --home"),
    ):
        result = graded(finished, home, first, last)
        assert result.exit_code == 2, result.output
        assert says in result.output
    assert not (tmp_path / "typo").exists()


def test_a_damaged_table_fails_the_grading_by_name(finished: Finished, copied: Callable[[], Path]) -> None:
    home, day = copied(), finished.game_day
    daily(Mode.OVERNIGHT, day, data=finished.folder, home=home)
    folder = home / "warehouse" / "tables" / "ml_feature_store" / f"game_day={day}"
    (file,) = folder.glob("*.parquet")
    body = file.read_bytes()
    file.unlink()  # it may be a second name of the file that other tests read
    file.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    _workspace.cache_clear()  # as in a process of its own, which has read nothing yet
    result = graded(finished, home, day, day)
    assert result.exit_code == 1, result.output
    assert "prediction_grades" in result.output
    assert "sha256 differs" in result.output


def _shas(home: Path) -> dict[tuple[str, dt.date], str]:
    warehouse = LocalWarehouse(folder=home / "warehouse")
    return {
        (table, day): partition.sha256 for table in TABLES for day, partition in warehouse.partitions(table).items()
    }


@pytest.mark.slow
def test_a_day_whose_games_were_all_called_off_is_graded_as_void(
    finished: Finished, copied: Callable[[], Path], tmp_path: Path
) -> None:
    """It ended at "no games" before its schedule was taken in, and its predictions waited for ever."""
    folder, home, day = tmp_path / "off", copied(), finished.game_day
    shutil.copytree(finished.folder, folder)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    path = folder / "schedule" / "schedule.parquet"
    schedule = pl.read_parquet(path)
    chosen = pl.col("game_date") == day
    late = pl.lit(finished.report.as_of + dt.timedelta(hours=2)).cast(schedule.schema["status_at"])
    schedule.with_columns(
        status=pl.when(chosen).then(pl.lit("postponed")).otherwise("status"),
        status_at=pl.when(chosen).then(late).otherwise("status_at"),
        home_pts=pl.when(~chosen).then("home_pts"),
        away_pts=pl.when(~chosen).then("away_pts"),
    ).write_parquet(path)
    report = daily(Mode.OVERNIGHT, day, data=folder, home=home)
    assert report.state == DayState.NO_GAMES
    assert "called off" in report.reasons[-1]
    grades = stored(home, "prediction_grades", day)
    assert grades.height == finished.read("predictions").height
    assert set(grades["void_reason"]) == {"POSTPONED"}
