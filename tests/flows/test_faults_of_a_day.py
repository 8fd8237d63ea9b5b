"""Faults put into real same-day runs: the state that is shown, who is told, what heals it.

The same scenes are played on a real game day by tests/flows/test_faults_of_a_real_day.py.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from blocks.warehouse import LocalWarehouse
from flows.clock import utc_now
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
from tests.flows.course import Course
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


def clockwork(finished: Finished, home: Path, minutes: Iterable[int], folder: Path | None = None) -> None:
    """What the schedules do, every five minutes: a watch and a self-heal at these minutes after noon."""
    for minute in minutes:
        with drill(finished.game_day, 12 + minute // 60, minute % 60):
            watch(data=folder or finished.folder, home=home)
            self_heal(data=folder or finished.folder, home=home)


def rows_of(home: Path, day: dt.date, *processors: str) -> list[dict[str, Any]]:
    return Ledger(f"sqlite:///{home}/ledger.sqlite").runs(game_day=day, processors=processors or None)


class Dropping:
    """A store that loses 90 in 158 players' predictions at the write, `times` times."""

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
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, course: Course
) -> None:
    home, day = at_noon(), finished.game_day
    Dropping(monkeypatch, times=1)
    report = same_day(finished, home, 12)
    assert report.state == DayState.COMPLETE
    assert report.rows == report.expected
    tried = rows_of(home, day, "predictions")[1:]
    assert [row["state"] for row in tried] == ["FAILED", "COMPLETE"]
    assert "rows were written and" in tried[0]["error_message"]
    course.began("the store loses 90 in 158 players' predictions at one write", tried[0]["started_at"])
    course.detected("the run itself, reading back", State.FAILED, tried[0]["ended_at"])
    course.complete("the task's next try", home, day)


def test_a_store_that_keeps_losing_rows_fails_the_day_is_told_and_healed_when_it_is_well(
    finished: Finished,
    at_noon: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
    told: Told,
    course: Course,
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
    clockwork(finished, home, (35, 40, 45))
    assert states(finished, home, 12, 50)["predictions"].state in (State.COMPLETE, State.DEGRADED)
    assert ("output-partial", "predictions", False) in told
    after = stored(home, "predictions", day)
    assert after.drop(RUN_COLUMNS).equals(finished.read("predictions").drop(RUN_COLUMNS))
    failed = [row for row in rows_of(home, day, "predictions") if row["state"] == "FAILED"]
    course.began(
        "the store loses 90 in 158 players' predictions at every write, until 12:35 PM", failed[0]["started_at"]
    )
    course.detected("the run itself, reading back", shown.state, failed[0]["ended_at"], told)
    course.complete("self-heal: the lost players alone", home, day)


def test_a_stopped_analytics_processor_is_named_told_and_healed(
    finished: Finished,
    at_noon: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
    told: Told,
    course: Course,
) -> None:
    home, day = at_noon(), finished.game_day
    for table in ("upcoming_player_game_context", "ml_feature_store", "predictions"):
        shutil.rmtree(home / "warehouse" / "tables" / table / f"game_day={day}")
    stopped: list[dt.datetime] = []
    there_again = False

    def run(processor: Processor, job: Job, shop: Shop) -> Outcome:
        def away(**_: object) -> pl.DataFrame:
            stopped.append(utc_now())
            raise ConnectionResetError("the worker went away")

        name, mine = processor.name, job.mode == Mode.SAME_DAY
        broken = not there_again and mine and name == "upcoming_player_game_context"
        return run_processor(replace(processor, transform=away) if broken else processor, job, shop)

    monkeypatch.setattr("flows.phases.run_processor", run)
    with pytest.raises(DayFailed, match="upcoming_player_game_context is FAILED"):
        same_day(finished, home, 12)
    shown = states(finished, home, 12, 35)["upcoming_player_game_context"]
    assert shown.state == State.FAILED
    assert told == [("output-failed", "analytics", True)]
    there_again = True
    clockwork(finished, home, (35, 40, 45))
    healed = states(finished, home, 12, 50)
    assert {item.state for item in healed.values()} <= {State.COMPLETE, State.DEGRADED}, healed
    assert told == [("output-failed", "analytics", True), ("output-failed", "analytics", False)]
    [failed, *_] = [row for row in rows_of(home, day, "upcoming_player_game_context") if row["state"] == "FAILED"]
    course.began("one analytics processor is stopped, until 12:35 PM", stopped[0])
    course.detected("the run, at its gate", shown.state, failed["ended_at"], told)
    course.complete("self-heal: it and what is made of it", home, day)


def with_lines_at(finished: Finished, folder: Path, hour: int, minute: int) -> Path:
    """The league whose books publish tonight's lines at this time and not before."""
    shutil.copytree(finished.folder, folder, copy_function=shutil.copyfile)
    for path in (folder / "lines").glob("points_lines*.parquet"):
        lines = pl.read_parquet(path)
        at = f"{eastern(finished.game_day, hour, minute):%Y-%m-%dT%H:%MZ}"
        tonight = pl.col("game_date") == finished.game_day
        lines = lines.with_columns(snapshot=pl.when(tonight).then(pl.lit(at)).otherwise("snapshot"))
        path.unlink()
        lines.write_parquet(path)
    return folder


def test_lines_that_come_fourteen_minutes_late_are_waited_for(
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path, told: Told, course: Course
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
    waited = [row for row in rows_of(home, day, "prop_lines") if row["state"] == "FAILED"]
    course.began("lines come at 12:44 PM, fourteen minutes after the run", eastern(day, 12, 30))
    course.detected("the run, counting games with lines", State.EXPECTED, waited[0]["ended_at"], told)
    course.complete("the run, asking every minute", home, day)


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
    finished: Finished, at_noon: Callable[[], Path], tmp_path: Path, told: Told, course: Course
) -> None:
    """Published in time without lines, then asked for every five minutes, and everything made again once."""
    home, day = at_noon(), finished.game_day
    folder = with_lines_at(finished, tmp_path / "later", 13, 5)
    (home / "ORIGIN").write_text(f"the folder {folder}")
    assert same_day(finished, home, 12, 30, folder).state == DayState.DEGRADED
    assert stored(home, "predictions", day)["line"].count() == 0
    before = len(rows_of(home, day))
    clockwork(finished, home, range(55, 85, 5), folder)
    assert stored(home, "predictions", day)["line"].count() > 0
    assert not stored(home, "predictions", day)["degraded"].any()
    ran = [row["processor"] for row in rows_of(home, day)[before:] if row["phase"] > Phase.INGEST]
    assert ran.count("prop_lines") == 2  # at 1:00 and 1:05 PM, and then no more
    assert {ran.count(name) for name in ("upcoming_player_game_context", "predictions", "publication")} == {1}
    shown = states(finished, home, 13, 25, folder)
    assert {item.state for item in shown.values()} <= {State.COMPLETE, State.EMPTY_OK}, shown
    assert told == [("output-failed", "raw", True), ("output-failed", "raw", False)]
    first = next(row for row in rows_of(home, day, "prop_lines") if row["state"] == "FAILED")
    course.began("lines come at 1:05 PM, when the day has gone on without", eastern(day, 12, 30))
    course.detected("the run, counting games with lines", State.DEGRADED, first["ended_at"], told)
    course.complete("self-heal, asking every five minutes: what is made of lines", home, day)


class RosterSource:
    """The roster source of the incident's night, which breaks with an error of its own code while it is `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        self.broken, self.asked, fetch_it = False, 0, FolderSource.fetch

        def fetch_or_break(source: FolderSource, kind: Kind, *more: Any) -> Any:
            self.asked += kind == Kind.ROSTERS
            if kind == Kind.ROSTERS and self.broken:
                raise error
            return fetch_it(source, kind, *more)

        monkeypatch.setattr(FolderSource, "fetch", fetch_or_break)


def with_rosters_of_the_day_before(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> tuple[Path, RosterSource]:
    """The workspace two days before its day, when rosters were fetched for the last time before the source broke."""
    home, before, source = at_noon(), finished.game_day - dt.timedelta(days=2), RosterSource(monkeypatch, error)
    with drill(before, 12, 30):
        run = observer(eastern(before, 12, 30), finished.folder, home).model_copy(update={"mode": Mode.BACKFILL})
        assert fetch(run, "rosters", before, before) is not None
    source.broken = True
    return home, source


def test_a_roster_source_that_is_broken_for_two_days_degrades_by_age_blocks_nothing_and_is_taken_in_when_it_is_back(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told, course: Course
) -> None:
    """The night of the incident: `NameError: storage` in the roster code. Two game days, then the source is back."""
    error = NameError("name 'storage' is not defined")
    home, source = with_rosters_of_the_day_before(finished, at_noon, monkeypatch, error)
    today, yesterday = finished.game_day, finished.game_day - dt.timedelta(days=1)
    for day in (yesterday, today):
        with drill(day, 12, 30):
            report = daily(Mode.SAME_DAY, day, data=finished.folder, home=home)
        assert report.state == DayState.DEGRADED
        taken = today - dt.timedelta(days=2)
        stands_in = f"the payload of {taken:%b} {taken.day}, 12:30 PM ET stands in"
        assert report.reasons == (f"rosters could not be fetched: {stands_in}",)
        assert report.rows == report.expected
        assert set(stored(home, "predictions", day)["degraded_reasons"]) == {"; ".join(report.reasons)}
        [failed] = [row for row in rows_of(home, day, "fetch_rosters") if row["state"] == "FAILED"]
        assert (failed["error_class"], failed["fault"]) == ("NameError", "permanent")
        last = {row["processor"]: row for row in rows_of(home, day) if row["run_id"] == report.run_id}
        late = {name for name, row in last.items() if State(row["state"]) not in (State.COMPLETE, State.EMPTY_OK)}
        assert late == {"fetch_rosters", "rosters", "predictions", "publication"}
        if day == yesterday:
            fault = "the roster source fails with an error of its own code, on two days, until 12:35 PM of the second"
            course.began(fault, failed["started_at"])
            course.detected("the run, fetching", State.DEGRADED, failed["ended_at"], told)
    shown = states(finished, home, 12, 34)
    assert {shown[name].state for name in ("rosters", "predictions", "publication")} == {State.DEGRADED}
    assert told == []
    source.broken = False
    clockwork(finished, home, (35, 40, 45))
    assert {item.state for item in states(finished, home, 12, 50).values()} <= {State.COMPLETE, State.EMPTY_OK}
    after = stored(home, "predictions", today)
    assert not after["degraded"].any()
    assert after.drop(RUN_COLUMNS).equals(finished.read("predictions").drop(RUN_COLUMNS))
    assert told == []
    course.complete("self-heal, once the source is back: rosters and what is made of them", home, today)


def test_a_roster_source_that_stays_broken_is_asked_for_no_more_than_three_times_and_nothing_is_made_again_for_it(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """And left alone while its breaker is open, without that costing one of the three times."""
    home, source = with_rosters_of_the_day_before(finished, at_noon, monkeypatch, ConnectionError("refused"))
    same_day(finished, home, 12)
    before, source.asked = len(rows_of(home, finished.game_day)), 0
    clockwork(finished, home, [*range(35, 80, 5), *range(90, 390, 30)])
    ran = [row for row in rows_of(home, finished.game_day)[before:] if row["phase"] > Phase.INGEST]
    assert [row["processor"] for row in ran].count("rosters") == 3
    assert {row["phase"] for row in ran} == {Phase.RAW}
    assert 3 <= source.asked <= 3 * 3  # a passing error is tried three times
    assert [edge for edge in told if edge[0] == "heal-exhausted"] == []


def test_a_label_of_what_stands_in_outlives_a_heal_of_something_else(
    finished: Finished, at_noon: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    home, _ = with_rosters_of_the_day_before(finished, at_noon, monkeypatch, ConnectionError("refused"))
    same_day(finished, home, 12)
    shutil.rmtree(home / "warehouse" / "tables" / "predictions" / f"game_day={finished.game_day}")
    clockwork(finished, home, (33,))
    after = stored(home, "predictions", finished.game_day)
    assert after.height == finished.read("predictions").height
    assert all("rosters could not be fetched" in reasons for reasons in after["degraded_reasons"])


def test_a_run_that_goes_on_over_midnight_keeps_its_day_and_mode(
    finished: Finished, at_noon: Callable[[], Path], course: Course
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
    course.began("the run begins two seconds before midnight", eastern(yesterday, 23, 59) + dt.timedelta(seconds=58))
    course.complete("nothing has to: day and mode are parameters", home, yesterday)


def test_two_modes_of_one_day_at_once_never_answer_for_each_other(
    finished: Finished, at_noon: Callable[[], Path], course: Course
) -> None:
    home, day = at_noon(), finished.game_day
    _source.cache_clear()
    began = utc_now()
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
    course.began("overnight and same_day run for one date at once", began)
    course.complete("nothing has to: states are kept by mode", home, day)


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
