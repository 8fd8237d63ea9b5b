"""The backfill: the daily run's own predictions for past days, by a model that saw only games before them, graded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.backfill import RECIPE, Refit, backfill, cli, periods
from tasks.engine.plan import default_as_of, targets_frame
from tasks.engine.processor import Mode
from tests.flows.conftest import RUN_COLUMNS, Finished, stored


@pytest.fixture
def unpredicted(copied: Callable[[], Path]) -> Path:
    """The finished workspace without its predictions: what a backfill of that day begins with."""
    home = copied()
    for folder in (home / "warehouse" / "tables" / "predictions").iterdir():
        _remove(folder)
    return home


def test_a_backfilled_day_is_what_the_daily_run_gave_and_a_second_time_is_left_alone(
    finished: Finished, unpredicted: Path, tmp_path: Path
) -> None:
    home, day, out = unpredicted, finished.game_day, tmp_path / "accuracy.json"
    given = ["--start", str(day), "--end", str(day), "--data", str(finished.folder), "--home", str(home)]
    result = CliRunner().invoke(cli, [*given, "--refit", "monthly", "--workers", "1", "--json", str(out)])
    assert result.exit_code == 0, result.output
    theirs = stored(home, "predictions", day).drop(*RUN_COLUMNS, "release")
    ours = finished.read("predictions").drop(*RUN_COLUMNS, "release")
    # The days before were built by the same history, so the model is the same too.
    assert theirs.equals(ours)
    assert {row["system"] for row in json.loads(out.read_text())} == set(ours["system"])

    again = backfill(day, day, Refit.MONTHLY, finished.folder, home, workers=1)
    assert again.predictions == ours.height
    assert stored(home, "predictions", day)["run_id"].n_unique() == 1
    assert again.run_id not in stored(home, "predictions", day)["run_id"]


@pytest.mark.parametrize(
    ("mark", "said"),
    [(None, "holds predictions of a daily run"), ("weekly refits of other code", "holds predictions of weekly refits")],
    ids=["published by a daily run", "by another recipe"],
)
def test_predictions_made_otherwise_are_never_mixed_in(
    finished: Finished, copied: Callable[[], Path], mark: str | None, said: str
) -> None:
    home, day = copied(), finished.game_day
    if mark is not None:
        (home / "models" / RECIPE).write_text(mark)
    given = ["--start", str(day), "--end", str(day), "--data", str(finished.folder), "--home", str(home)]
    result = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"}).invoke(cli, given)
    assert result.exit_code == 2
    assert said in result.output
    assert stored(home, "predictions", day).equals(finished.read("predictions"))


def test_a_range_or_a_folder_that_cannot_be_meant_is_refused_before_a_workspace_is_made(
    finished: Finished, tmp_path: Path
) -> None:
    home, day = tmp_path / "home", finished.game_day
    for end, data, said in (
        (day - dt.timedelta(days=1), finished.folder, "give them the other way round"),
        (day, tmp_path / "typo", "is not a folder; --data takes a folder in the layout of docs/data.md"),
    ):
        given = ["--start", str(day), "--end", str(end), "--data", str(data), "--home", str(home)]
        result = CliRunner(env={"COLUMNS": "400", "TERM": "dumb"}).invoke(cli, given)
        assert result.exit_code == 2, result.output
        assert said in result.output
        assert not home.exists()


def test_days_share_a_model_by_calendar_week(finished: Finished) -> None:
    first = finished.game_day - dt.timedelta(days=20)
    days = [first + dt.timedelta(days=offset) for offset in range(21)]
    targets = targets_frame((day, default_as_of(Mode.BACKFILL, day, None)) for day in days)
    groups = periods(targets, Refit.WEEKLY)
    assert [day for group in groups for day, _ in group] == days
    assert all(len({day.isocalendar()[:2] for day, _ in group}) == 1 for group in groups)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
