"""The daily run on a small league: complete, counted in the store, published, idempotent, honest about what lacks."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from blocks.warehouse import LocalWarehouse
from flows.daily import DayFailed, cli, daily
from flows.exclusive import TakenOver
from flows.report import DayState
from tasks.catalog import registry
from tasks.engine.processor import Mode
from tasks.predictions import similarity
from tasks.predictions.predictions import QUANTILE_NAMES, SYSTEMS
from tests.flows.conftest import RUN_COLUMNS, Finished, stored


def test_same_day_writes_the_whole_grid_of_eligible_players_and_systems(finished: Finished) -> None:
    assert finished.report.state == DayState.COMPLETE, finished.report.reasons
    eligible = finished.read("ml_feature_store").filter("eligible")
    predictions = finished.read("predictions")
    assert eligible.height > 25
    assert predictions.height == eligible.height * len(SYSTEMS) == finished.report.rows == finished.report.expected
    assert predictions.select("game_id", "player_id", "system").is_duplicated().sum() == 0
    games = {game.game_id for game in finished.report.games}
    assert set(predictions["game_id"]) == games
    assert len(games) >= 2


def test_every_prediction_says_where_it_comes_from(finished: Finished) -> None:
    row = finished.read("predictions").row(0, named=True)
    assert row["run_id"] == finished.report.run_id
    assert row["model_id"] == finished.report.model_id
    assert row["release"].startswith("unreleased sha256:")
    assert row["model_hash"][:12] == row["model_id"][-12:]


def test_quantiles_do_not_cross_and_probabilities_follow_the_line(finished: Finished) -> None:
    predictions = finished.read("predictions")
    quantiles = predictions.select(QUANTILE_NAMES).to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    lined = predictions.filter(pl.col("line").is_not_null())
    assert lined.height
    assert predictions.filter(pl.col("line").is_null())["recommendation"].unique().to_list() in (["NO_LINE"], [])
    clear = lined.filter(pl.col("edge") > 3)
    assert (clear["over_probability"] > 0.5).all()


def test_the_publication_is_what_is_in_the_store(finished: Finished) -> None:
    path = finished.home / "publications" / finished.game_day.isoformat()
    manifest = json.loads((path / "manifest.json").read_bytes())
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == sha256
    rows = pl.read_parquet(path / "predictions.parquet")
    assert rows.equals(finished.read("predictions"))
    assert len(json.loads((path / "predictions.json").read_bytes())) == rows.height == manifest["rows"]
    assert manifest["expected_rows"] == manifest["rows"]
    assert manifest["missing"] == []
    assert len(manifest["games"]) == len(finished.report.games)
    assert manifest["systems"] == [system.name for system in SYSTEMS]


def test_a_second_run_changes_nothing_but_run_ids_and_times(finished: Finished, copied: Callable[[], Path]) -> None:
    home = copied()
    before = _shas(home)
    again = daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=home)
    assert again.state == DayState.COMPLETE
    after = _shas(home)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {("predictions", finished.game_day)}
    old, new = (
        frame.drop(RUN_COLUMNS)
        for frame in (finished.read("predictions"), stored(home, "predictions", finished.game_day))
    )
    assert old.equals(new)


def test_a_run_whose_day_was_taken_over_leaves_the_successors_predictions_and_publication_as_they_are(
    finished: Finished, copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied()
    published = home / "publications" / finished.game_day.isoformat() / "manifest.json"
    before = (_shas(home), published.read_bytes())
    monkeypatch.setattr("blocks.locks.FileLock.still_mine", lambda _: False)
    with pytest.raises(TakenOver):
        daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=home)
    assert (_shas(home), published.read_bytes()) == before


def test_a_day_without_games_is_an_outcome_not_a_silence(finished: Finished) -> None:
    report = daily(Mode.SAME_DAY, dt.date(2025, 12, 24), data=finished.folder, home=finished.home)
    assert report.state == DayState.NO_GAMES
    assert "No games on 2025-12-24" in report.reasons[0]
    assert report.publication is None


def test_a_missing_report_degrades_the_day_and_the_label_travels_to_every_row(
    finished: Finished, copied: Callable[[], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "without-report"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("injuries"))
    home = copied()
    (home / "ORIGIN").write_text(f"the folder {folder}")
    shutil.rmtree(home / "warehouse" / "tables" / "injury_report" / f"game_day={finished.game_day}")
    report = daily(Mode.SAME_DAY, finished.game_day, data=folder, home=home)
    assert report.state == DayState.DEGRADED
    predictions = stored(home, "predictions", finished.game_day)
    assert predictions["degraded"].all()
    assert all("injury_report" in reasons for reasons in predictions["degraded_reasons"])
    assert (predictions["feature_quality"] < 100).all()
    manifest = json.loads((home / "publications" / finished.game_day.isoformat() / "manifest.json").read_bytes())
    assert manifest["degraded"]
    assert any("injury_report" in reason for reason in manifest["reasons"])


def test_what_a_system_cannot_say_is_missing_by_name(
    finished: Finished, copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = replace(similarity.SYSTEM, points=lambda night: _silent_on_first(similarity.SYSTEM.points(night)))
    systems = tuple(silent if system.name == "similarity" else system for system in SYSTEMS)
    monkeypatch.setattr("tasks.predictions.predictions.SYSTEMS", systems)
    home = copied()
    report = daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=home)
    assert report.state == DayState.DEGRADED
    assert report.rows == report.expected - 1
    first = finished.read("ml_feature_store").filter("eligible").sort("game_id", "player_id").row(0, named=True)
    manifest = json.loads((home / "publications" / finished.game_day.isoformat() / "manifest.json").read_bytes())
    assert manifest["missing"] == [f"{first['game_id']} / {first['player_id']} / similarity"]


def test_a_game_postponed_after_the_predictions_is_not_published(
    finished: Finished, copied: Callable[[], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "postponed"
    shutil.copytree(finished.folder, folder)
    path = folder / "schedule" / "schedule.parquet"
    schedule = pl.read_parquet(path)
    gone = finished.report.games[0]
    at_noon = pl.lit(finished.report.as_of + dt.timedelta(minutes=30)).cast(schedule.schema["status_at"])
    chosen = pl.col("game_id") == gone.game_id
    schedule.with_columns(
        status=pl.when(chosen).then(pl.lit("postponed")).otherwise("status"),
        status_at=pl.when(chosen).then(at_noon).otherwise("status_at"),
    ).write_parquet(path)
    home = copied()
    (home / "ORIGIN").write_text(f"the folder {folder}")
    daily(Mode.SAME_DAY, finished.game_day, data=folder, home=home)
    published = home / "publications" / finished.game_day.isoformat()
    manifest = json.loads((published / "manifest.json").read_bytes())
    assert manifest["dropped_games"] == [gone.game_id]
    assert gone.game_id not in set(pl.read_parquet(published / "predictions.parquet")["game_id"])
    assert manifest["rows"] == manifest["expected_rows"]


def test_results_that_are_not_in_fail_the_overnight_run_by_name(
    finished: Finished, copied: Callable[[], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "no-results"
    shutil.copytree(finished.folder, folder)
    for kind in ("player_games", "team_games"):
        for path in (folder / kind).glob("*.parquet"):
            frame = pl.read_parquet(path)
            frame.filter(pl.col("game_date") != finished.game_day).write_parquet(path)
    home = copied()
    (home / "ORIGIN").write_text(f"the folder {folder}")
    with pytest.raises(DayFailed) as failed:
        daily(Mode.OVERNIGHT, finished.game_day, data=folder, home=home)
    assert failed.value.report.state == DayState.FAILED
    assert any(reason.startswith("player_box_scores is FAILED") for reason in failed.value.report.reasons)
    assert finished.game_day not in LocalWarehouse(folder=home / "warehouse").partitions("player_game_summary")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (
            ["--mode", "same_day", "--game-day", "2030-01-01"],
            2,
            "2030-01-01 is outside of what the source folder knows",
        ),
        (["--mode", "sameday", "--game-day", "2025-12-29"], 2, "not one of"),
        (["--mode", "backfill", "--game-day", "2025-12-29"], 2, "python -m flows.backfill"),
        (["--mode", "same_day", "--game-day", "29.12.2025"], 2, "29.12.2025"),
        (["--mode", "same_day", "--game-day", "2025-12-24"], 0, "No games on 2025-12-24"),
        (["--help"], 0, "Use only facts known by then"),
    ],
)
def test_the_command_line_answers_with_a_sentence_and_the_right_exit_code(
    finished: Finished, arguments: list[str], code: int, says: str
) -> None:
    if arguments != ["--help"]:
        arguments = [*arguments, "--data", str(finished.folder), "--home", str(finished.home)]
    result = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(cli, arguments)
    assert result.exit_code == code, result.output
    assert says in " ".join(result.output.split())


def test_simulated_and_real_results_never_share_a_workspace(finished: Finished, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished.folder, other)
    result = CliRunner(env={"COLUMNS": "300"}).invoke(
        cli, ["--mode", "same_day", "--game-day", "2025-12-29", "--data", str(other), "--home", str(finished.home)]
    )
    assert result.exit_code == 2
    assert "holds results from" in result.output


def _silent_on_first(points: np.ndarray) -> np.ndarray:
    points = points.copy()
    points[0] = np.nan
    return points


def _shas(home: Path) -> dict[tuple[str, dt.date], str]:
    warehouse = LocalWarehouse(folder=home / "warehouse")
    return {
        (item.table, day): partition.sha256
        for item in registry()
        for day, partition in warehouse.partitions(item.table).items()
    }


def test_a_stale_critical_table_fails_the_day_by_name(
    finished: Finished, copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied()
    yesterday = finished.game_day - dt.timedelta(days=1)
    shutil.rmtree(home / "warehouse" / "tables" / "player_daily_cache" / f"game_day={yesterday}")
    # The history that would heal it finds nothing to do.
    monkeypatch.setattr("flows.daily.build_history", lambda run, seasons: None)
    with pytest.raises(DayFailed) as failed:
        daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=home)
    assert failed.value.report.reasons == (
        f"player_daily_cache is stale: run overnight for {yesterday}, which it lacks",
    )
