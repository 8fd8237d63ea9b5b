"""Faults put into real same-day runs: the state that is shown, who is told, what heals it."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from blocks.warehouse import LocalWarehouse
from flows.daily import daily
from flows.day import DayFailed
from flows.fetching import RETRIES, fetch
from flows.look import look, observer
from flows.report import DayReport, DayState
from flows.run import _source
from flows.self_heal import self_heal
from flows.watch import watch
from tasks.engine.expected import Judged
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode, Phase, Processor
from tasks.engine.runner import Job, Outcome, Shop, run_processor
from tasks.sources.base import Kind
from tasks.sources.folder import FolderSource
from tests.flows.conftest import RUN_COLUMNS, Finished, drill, stored
from tests.leagues import eastern

pytestmark = pytest.mark.slow
Told = list[tuple[str, str, bool]]


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RETRIES, "retry_delay_seconds", 0)


def same_day(finished: Finished, home: Path, hour: int, minute: int = 30, folder: Path | None = None) -> DayReport:
    with drill(finished.game_day, hour, minute):
        return daily(Mode.SAME_DAY, finished.game_day, data=folder or finished.folder, home=home)


def states(finished: Finished, home: Path, hour: int, minute: int, folder: Path | None = None) -> dict[str, Judged]:
    """What the watch shows of the day at this time of it."""
    with drill(finished.game_day, hour, minute):
        report = watch(data=folder or finished.folder, home=home)
    mine = [item for item in report.outputs if item.owed.game_day == finished.game_day]
    return {item.owed.output: item for item in mine if item.owed.mode == Mode.SAME_DAY}


def rows_of(home: Path, day: dt.date, *processors: str) -> list[dict[str, Any]]:
    return Ledger(f"sqlite:///{home}/ledger.sqlite").runs(game_day=day, processors=processors or None)


class Dropping:
    """A store that loses 90 of 158 players' predictions at the write, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left, whole = times, LocalWarehouse.replace

        def replace_some(store: LocalWarehouse, table: Any, day: dt.date, frame: pl.DataFrame) -> Any:
            if table.name == "predictions" and self.left:
                self.left -= 1
                players = frame["player_id"].unique().sort()
                frame = frame.filter(pl.col("player_id").is_in(players[: len(players) * 68 // 158].implode()))
            return whole(store, table, day, frame)

        monkeypatch.setattr(LocalWarehouse, "replace", replace_some)


def test_rows_lost_at_the_write_are_noticed_by_the_run_itself_and_written_again(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, day = at_noon(), finished.game_day
    Dropping(monkeypatch, times=1)
    report = same_day(finished, home, 12)
    assert report.state == DayState.COMPLETE
    assert report.rows == report.expected
    assert [row["state"] for row in rows_of(home, day, "predictions")] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert "rows were written and" in rows_of(home, day, "predictions")[1]["error_message"]


def test_a_store_that_keeps_losing_rows_fails_the_day_is_told_and_healed_when_it_is_well(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    home, day = at_noon(), finished.game_day
    store = Dropping(monkeypatch, times=99)
    with pytest.raises(DayFailed):
        same_day(finished, home, 12)
    shown = states(finished, home, 12, 35)["predictions"]
    assert shown.state == State.PARTIAL
    assert shown.counted_rows is not None
    assert shown.expected_rows is not None
    assert shown.counted_rows < shown.expected_rows / 2
    assert ("output-partial", "predictions", True) in told
    store.left = 0
    with drill(day, 12, 45):
        self_heal(data=finished.folder, home=home)
    assert states(finished, home, 12, 50)["predictions"].state in (State.COMPLETE, State.DEGRADED)
    assert ("output-partial", "predictions", False) in told
    after = stored(home, "predictions", day)
    assert after.drop(RUN_COLUMNS).equals(finished.read("predictions").drop(RUN_COLUMNS))


def test_a_stopped_analytics_processor_is_named_told_and_healed(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    home, day = at_noon(), finished.game_day
    for table in ("upcoming_player_game_context", "ml_feature_store", "predictions"):
        shutil.rmtree(home / "warehouse" / "tables" / table / f"game_day={day}")
    stopped = True

    def run(processor: Processor, job: Job, shop: Shop) -> Outcome:
        def away(**_: object) -> pl.DataFrame:
            raise ConnectionResetError("the worker went away")

        broken = stopped and processor.name == "upcoming_player_game_context" and job.mode == Mode.SAME_DAY
        return run_processor(replace(processor, transform=away) if broken else processor, job, shop)

    monkeypatch.setattr("flows.phases.run_processor", run)
    with pytest.raises(DayFailed, match="upcoming_player_game_context is FAILED"):
        same_day(finished, home, 12)
    assert states(finished, home, 12, 35)["upcoming_player_game_context"].state == State.FAILED
    assert told == [("output-failed", "analytics", True)]
    stopped = False
    with drill(day, 12, 45):
        self_heal(data=finished.folder, home=home)
    shown = states(finished, home, 12, 50)
    assert {item.state for item in shown.values()} <= {State.COMPLETE, State.DEGRADED}, shown
    assert told == [("output-failed", "analytics", True), ("output-failed", "analytics", False)]


def with_lines_at(finished: Finished, folder: Path, hour: int, minute: int) -> Path:
    """The league whose books publish tonight's lines at this time and not before."""
    shutil.copytree(finished.folder, folder)
    for path in (folder / "lines").glob("*.parquet"):
        lines = pl.read_parquet(path)
        at = pl.lit(eastern(finished.game_day, hour, minute)).cast(lines.schema["snapshot"])
        tonight = pl.col("game_date") == finished.game_day
        lines.with_columns(snapshot=pl.when(tonight).then(at).otherwise("snapshot")).write_parquet(path)
    return folder


def test_lines_that_come_fourteen_minutes_late_are_waited_for(
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path
) -> None:
    """The original built its features before the lines had arrived: 108 predictions, all NO_LINE."""
    home, day = at_noon(), finished.game_day
    folder = with_lines_at(finished, tmp_path / "late", 12, 44)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    report = same_day(finished, home, 12, 30, folder)
    assert report.state == DayState.COMPLETE, report.reasons
    assert report.as_of >= eastern(day, 12, 44)
    assert report.as_of < eastern(day, 12, 50)
    lined = stored(home, "predictions", day)["line"]
    assert lined.count() > lined.len() / 4


def test_lines_that_never_come_degrade_the_day_in_time_and_with_a_label(
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path
) -> None:
    home, day = at_noon(), finished.game_day
    folder = with_lines_at(finished, tmp_path / "never", 18, 0)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    report = same_day(finished, home, 12, 30, folder)
    assert report.state == DayState.DEGRADED
    assert report.deadline is not None
    assert report.as_of <= eastern(day, 12, 55) < report.deadline
    assert any("prop_lines" in reason for reason in report.reasons)
    predictions = stored(home, "predictions", day)
    assert report.rows == report.expected == predictions.height
    assert set(predictions["recommendation"]) == {"NO_LINE"}
    assert all("prop_lines" in reasons for reasons in predictions["degraded_reasons"])


def test_lines_that_come_after_the_day_went_on_without_them_are_taken_in_before_the_deadline(
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path, told: Told
) -> None:
    """Published in time without lines, then asked for every five minutes, and everything made again once."""
    home, day = at_noon(), finished.game_day
    folder = with_lines_at(finished, tmp_path / "later", 13, 5)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    assert same_day(finished, home, 12, 30, folder).state == DayState.DEGRADED
    assert stored(home, "predictions", day)["line"].count() == 0
    before = len(rows_of(home, day))
    for minute in range(55, 85, 5):
        with drill(day, 12 + minute // 60, minute % 60):
            watch(data=folder, home=home)
            self_heal(data=folder, home=home)
    assert stored(home, "predictions", day)["line"].count() > 0
    assert not stored(home, "predictions", day)["degraded"].any()
    ran = [row["processor"] for row in rows_of(home, day)[before:] if row["phase"] > Phase.INGEST]
    assert ran.count("prop_lines") == 2  # at 1:00 and 1:05 PM, and then no more
    assert {ran.count(name) for name in ("upcoming_player_game_context", "predictions", "publication")} == {1}
    shown = states(finished, home, 13, 25, folder)
    assert {item.state for item in shown.values()} <= {State.COMPLETE, State.EMPTY_OK}, shown
    assert told == [("output-failed", "raw", True), ("output-failed", "raw", False)]


def test_a_roster_source_that_is_broken_for_two_days_degrades_by_age_and_blocks_nothing(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """The night of the incident: `NameError: storage` in the roster code."""
    home, day = at_noon(), finished.game_day
    before = day - dt.timedelta(days=2)
    with drill(before, 12, 30):
        run = observer(eastern(before, 12, 30), finished.folder, home)
        assert fetch(run, "rosters", before, before) is not None
    real = FolderSource.fetch

    def broken(source: FolderSource, kind: Kind, *more: Any) -> Any:
        if kind == Kind.ROSTERS:
            raise NameError("name 'storage' is not defined")
        return real(source, kind, *more)

    monkeypatch.setattr(FolderSource, "fetch", broken)
    report = same_day(finished, home, 12)
    assert report.state == DayState.DEGRADED
    assert any(reason.startswith("rosters could not be fetched: the payload of") for reason in report.reasons)
    assert report.rows == report.expected
    assert stored(home, "predictions", day)["degraded"].all()
    [failed] = [row for row in rows_of(home, day, "fetch_rosters") if row["state"] == "FAILED"]
    assert (failed["error_class"], failed["fault"]) == ("NameError", "permanent")
    assert states(finished, home, 12, 35)["publication"].state == State.DEGRADED


def test_a_run_that_goes_on_over_midnight_keeps_its_day_and_mode(
    finished: Finished, at_noon: Callable[[], Path]
) -> None:
    """The original guessed the mode from the clock, and flipped at midnight."""
    home, day = at_noon(), finished.game_day
    yesterday = day - dt.timedelta(days=1)
    with drill(yesterday, 23, 59, 58) as clock:
        report = daily(Mode.SAME_DAY, yesterday, data=finished.folder, home=home)
        assert clock.now() > eastern(day, 0)
    assert (report.mode, report.game_day, report.rows) == ("same_day", yesterday, report.expected)
    mine = [row for row in rows_of(home, yesterday) if row["run_id"] == report.run_id]
    assert {(row["mode"], row["first_game_day"]) for row in mine} == {("same_day", yesterday)}
    assert set(stored(home, "predictions", yesterday)["game_day"]) == {yesterday}
    assert stored(home, "predictions", day).equals(finished.read("predictions"))


def test_two_modes_of_one_day_at_once_never_answer_for_each_other(
    finished: Finished, at_noon: Callable[[], Path]
) -> None:
    home, day = at_noon(), finished.game_day
    _source.cache_clear()
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(daily, mode, day, data=finished.folder, home=home) for mode in (Mode.OVERNIGHT, Mode.SAME_DAY)
        ]
        overnight, tonight = (job.result() for job in both)
    assert {overnight.state, tonight.state} <= {DayState.COMPLETE, DayState.DEGRADED}
    for report in (overnight, tonight):
        mine = [row for row in rows_of(home, day) if row["run_id"] == report.run_id]
        assert {row["mode"] for row in mine} == {report.mode}
        assert State.RUNNING.value not in {row["state"] for row in mine}
    assert tonight.rows == tonight.expected
    now = eastern(day + dt.timedelta(days=1), 7)
    seen = look(observer(now, finished.folder, home), now)
    mine = {(item.owed.mode, item.owed.output): item for item in seen.outputs if item.owed.game_day == day}
    assert mine[Mode.OVERNIGHT, "player_game_summary"].state == State.COMPLETE
    assert mine[Mode.SAME_DAY, "predictions"].state in (State.COMPLETE, State.DEGRADED)


def test_a_second_run_of_the_day_takes_in_what_came_since_the_first(
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path
) -> None:
    home, day = at_noon(), finished.game_day
    folder = with_lines_at(finished, tmp_path / "noon", 12, 0)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    with drill(day, 10, 30):
        first = daily(Mode.SAME_DAY, day, data=folder, home=home)
    assert first.state == DayState.DEGRADED
    second = same_day(finished, home, 12, 30, folder)
    assert second.state == DayState.COMPLETE, second.reasons
    assert stored(home, "predictions", day)["line"].count()
