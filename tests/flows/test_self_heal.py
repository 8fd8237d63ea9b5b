"""Self-heal on a finished day: what is missing is made again and nothing else, counted, and at most three times."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from blocks.warehouse import LocalWarehouse
from flows.clock import DrillClock, at_time_of, utc_now
from flows.daily import daily
from flows.exclusive import alone
from flows.look import observer
from flows.self_heal import Healed, self_heal
from flows.watch import watch
from tasks.catalog import registry
from tasks.engine.expected import ExpectedOutputs
from tasks.engine.faults import Fault
from tasks.engine.healing import Action
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode
from tasks.predictions.models import ModelError
from tests.flows.conftest import RUN_COLUMNS, Finished, drill, stored
from tests.leagues import eastern

Told = list[tuple[str, str, bool]]
MINUTE = dt.timedelta(minutes=1)


def ledger_of(home: Path) -> Ledger:
    return Ledger(f"sqlite:///{home}/ledger.sqlite")


def healed(finished: Finished, home: Path, hour: int, minute: int = 0) -> Healed:
    """What self-heal did about the game day at this time of it."""
    with drill(finished.game_day, hour, minute):
        results = self_heal(data=finished.folder, home=home)
    [mine] = [item for item in results if (item.mode, item.game_day) == (Mode.SAME_DAY, finished.game_day)]
    return mine


def begun(home: Path, output: str, day: dt.date) -> str:
    """Open a row as a run does that is about to make this output."""
    processor = registry()[output]
    return ledger_of(home).started(
        run_id="same_day-killed",
        processor=output,
        phase=processor.phase,
        mode=Mode.SAME_DAY,
        first_game_day=day,
        game_day=day,
        at=utc_now(),
    )


def test_the_players_that_were_lost_are_predicted_again_and_only_they(
    finished: Finished, at_noon: Callable[[], Path], told: Told
) -> None:
    """68 of 158 were written, and success was reported: here the others are found by counting, and made."""
    home, day = at_noon(), finished.game_day
    rows = finished.read("predictions")
    players = rows["player_id"].unique().sort()
    kept = rows.filter(pl.col("player_id").is_in(players[: len(players) * 68 // 158].implode()))
    LocalWarehouse(folder=home / "warehouse").replace(registry()["predictions"].writes.spec, day, kept)
    began = len(ledger_of(home).runs(game_day=day))
    mine = healed(finished, home, 13)
    assert (mine.remedy.action, mine.remedy.outputs) == (Action.RERUN, ("predictions",))
    assert mine.still_wrong == ()
    after = stored(home, "predictions", day)
    assert after.drop(RUN_COLUMNS).equals(rows.drop(RUN_COLUMNS))
    untouched = after.join(kept, on=["game_id", "player_id", "system"], how="semi")
    assert untouched.equals(kept)
    assert set(after.filter(~pl.col("run_id").is_in(kept["run_id"].unique().implode()))["run_id"].str.head(5)) == {
        "heal-"
    }
    ran = [row["processor"] for row in ledger_of(home).runs(game_day=day)[began:]]
    assert ran == ["predictions", "publication"]
    assert pl.read_parquet(home / "publications" / str(day) / "predictions.parquet").height == rows.height
    assert told == []
    assert healed(finished, home, 13, 5).remedy.action == Action.NOTHING


def test_what_a_killed_process_left_open_is_made_again_at_once_and_what_is_at_work_is_left_alone(
    finished: Finished, at_noon: Callable[[], Path], told: Told
) -> None:
    """A row without an end says RUNNING for ever; the lock of its run says whether anybody is there."""
    home, day = at_noon(), finished.game_day
    shutil.rmtree(home / "warehouse" / "tables" / "predictions" / f"game_day={day}")
    with drill(day, 12, 40):
        row = begun(home, "predictions", day)
        with alone(observer(utc_now(), finished.folder, home)):
            assert healed(finished, home, 12, 41).remedy.why == "predictions is running"
    assert healed(finished, home, 12, 42).remedy.action == Action.WAIT  # after any failure, five minutes
    [ended] = [item for item in ledger_of(home).runs(game_day=day) if item["id"] == row]
    assert (ended["state"], ended["error_class"], ended["fault"]) == (State.FAILED, "Died", Fault.TRANSIENT)
    mine = healed(finished, home, 12, 48)
    assert (mine.remedy.action, mine.remedy.outputs, mine.still_wrong) == (Action.RERUN, ("predictions",), ())


@pytest.mark.slow
def test_a_lost_table_is_made_again_with_what_is_made_of_it(
    finished: Finished, at_noon: Callable[[], Path], told: Told
) -> None:
    home, day = at_noon(), finished.game_day
    shutil.rmtree(home / "warehouse" / "tables" / "player_composite_factors" / f"game_day={day}")
    mine = healed(finished, home, 13)
    assert mine.remedy.outputs == ("player_composite_factors",)
    assert mine.still_wrong == ()
    names = [row["processor"] for row in ledger_of(home).runs(game_day=day) if row["run_id"].startswith("heal-")]
    assert names == ["player_composite_factors", "ml_feature_store", "predictions", "publication"]
    for table in names[:-1]:
        left, right = stored(home, table, day), finished.read(table)
        drop = [name for name in RUN_COLUMNS if name in left.columns]
        assert left.drop(drop).equals(right.drop(drop)), table


@pytest.mark.slow
def test_a_source_that_is_down_for_a_day_costs_three_attempts_one_alert_and_one_reminder(
    finished: Finished, at_noon: Callable[[], Path], told: Told, tmp_path: Path
) -> None:
    """The storm: triggers every five minutes for 24 hours. The original made 7,139 runs of such a day."""
    home, day = at_noon(), finished.game_day
    folder = tmp_path / "without-report"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("injuries"))
    (home / "ORIGIN").write_text(f"the folder {folder}")
    shutil.rmtree(home / "warehouse" / "tables" / "injury_report" / f"game_day={day}")
    began = len(ledger_of(home).runs(game_day=day))
    start = eastern(day, 13)
    # Between the attempts nothing changes: after the first two hours one trigger in twelve is looked at.
    triggers = [start + n * 5 * MINUTE for n in range(24 * 12) if n <= 12 or n % 24 == 0]
    for now in triggers:
        with at_time_of(DrillClock(now)):
            watch(data=folder, home=home)
            self_heal(data=folder, home=home)
    mine = [row for row in ledger_of(home).runs(game_day=day)[began:] if row["mode"] == "same_day"]
    per_output = {name: sum(row["processor"] == name for row in mine) for name in {row["processor"] for row in mine}}
    assert max(per_output.values()) <= 3, per_output
    assert per_output["injury_report"] == 3
    about_it = [edge for edge in told if edge[:2] in (("output-failed", "raw"), ("heal-exhausted", "injury_report"))]
    opened = [edge for edge in about_it if edge[2]]  # the next day they are over: nobody can deliver the day any more
    assert opened == [("output-failed", "raw", True), ("heal-exhausted", "injury_report", True)]
    assert stored(home, "predictions", day)["degraded"].all()


@pytest.mark.slow
def test_a_heal_that_cannot_even_begin_counts_as_an_attempt(
    finished: Finished, at_noon: Callable[[], Path], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, day = at_noon(), finished.game_day
    shutil.rmtree(home / "warehouse" / "tables" / "predictions" / f"game_day={day}")

    def no_model(run: object) -> None:
        raise ModelError("the model store cannot be reached") from ConnectionError("refused")

    monkeypatch.setattr("flows.daily.model_for", no_model)
    for minutes in range(0, 60, 10):
        healed(finished, home, 13 + minutes // 60, minutes % 60)
    tried = [row for row in ledger_of(home).runs(game_day=day, processors=["predictions"]) if row["state"] == "FAILED"]
    assert len(tried) == 3
    assert ("heal-exhausted", "predictions", True) in told
    [item] = [
        item
        for item in ExpectedOutputs(ledger_of(home)).of(day, day, mode=Mode.SAME_DAY)
        if item.owed.output == "predictions"
    ]
    assert item.state == State.FAILED
    assert "the model store cannot be reached" in item.why


@pytest.mark.slow
def test_on_a_real_server_every_incident_is_opened_once_and_resolved_once(
    finished: Finished, at_noon: Callable[[], Path], heard: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture `heard` reads back what the server has. Here the store loses rows, and the model cannot be had."""
    home, day = at_noon(), finished.game_day
    rows = finished.read("predictions")
    some = rows.filter(pl.col("player_id") % 2 == 0)
    LocalWarehouse(folder=home / "warehouse").replace(registry()["predictions"].writes.spec, day, some)

    def no_model(run: object) -> None:
        raise ModelError("the model store cannot be reached") from ConnectionError("refused")

    with monkeypatch.context() as broken:
        broken.setattr("flows.daily.model_for", no_model)
        for minute in range(35, 80, 5):
            with drill(day, 12 + minute // 60, minute % 60):
                watch(data=finished.folder, home=home)
                self_heal(data=finished.folder, home=home)
    opened = [("output-partial", "predictions", True), ("heal-exhausted", "predictions", True)]
    assert heard == opened
    with drill(day, 13, 21):
        daily(Mode.SAME_DAY, day, data=finished.folder, home=home)  # the cause is gone, and a person runs the day
    for minute in (25, 30):
        with drill(day, 13, minute):
            watch(data=finished.folder, home=home)
            self_heal(data=finished.folder, home=home)
    assert heard == [*opened, *((kind, subject, False) for kind, subject, _ in opened)]
    assert stored(home, "predictions", day).height == rows.height


@pytest.mark.slow
def test_a_date_without_games_and_the_off_season_are_left_alone(
    finished: Finished, at_noon: Callable[[], Path], told: Told
) -> None:
    home = at_noon()
    before = len(ledger_of(home).runs())
    for day in (dt.date(2025, 12, 24), dt.date(2026, 8, 15)):
        with drill(day, 13, 31):
            results = self_heal(data=finished.folder, home=home)
        assert not [item for item in results if item.remedy.action == Action.RERUN and item.game_day >= day]
    assert len([row for row in ledger_of(home).runs() if row["run_id"].startswith("heal-")]) == 0
    assert len(ledger_of(home).runs()) >= before
