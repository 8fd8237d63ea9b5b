"""The scenes of test_faults_of_a_day on December 29, 2025: eleven games and the lines of that morning."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest

from flows.daily import daily
from flows.report import DayState
from tasks.engine.processor import Mode
from tests.flows.conftest import Finished
from tests.flows.test_faults_of_a_day import (  # noqa: F401, which are collected here too, with the fixtures below
    test_a_roster_source_that_is_broken_for_two_days_degrades_by_age_blocks_nothing_and_is_taken_in_when_it_is_back,
    test_a_run_that_goes_on_over_midnight_keeps_its_day_and_mode,
    test_a_stopped_analytics_processor_is_named_told_and_healed,
    test_a_store_that_keeps_losing_rows_fails_the_day_is_told_and_healed_when_it_is_well,
    test_lines_that_come_after_the_day_went_on_without_them_are_taken_in_before_the_deadline,
    test_lines_that_come_fourteen_minutes_late_are_waited_for,
    test_rows_lost_at_the_write_are_noticed_by_the_run_itself_and_written_again,
    test_two_modes_of_one_day_at_once_never_answer_for_each_other,
)
from tests.leagues import eastern

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
DAY = dt.date(2025, 12, 29)


@pytest.fixture(scope="module")
def finished(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The day on the real folder, as if its one roster were of two days before instead of eleven.

    It holds no injury report: who then did not play stands in, as of 11 AM.
    """
    folder = tmp_path_factory.mktemp("seasons") / "data"
    shutil.copytree(real_data, folder, copy_function=shutil.copyfile)
    [roster] = (folder / "rosters").glob("rosters_*")
    roster.rename(roster.with_name(roster.name.replace(roster.stem[-10:], str(DAY - dt.timedelta(days=2)))))
    played = pl.scan_parquet(folder / "player_games" / "*.parquet", missing_columns="insert", extra_columns="ignore")
    names = played.group_by("player_id").agg(pl.col("player_name").last()).collect()
    absent = pl.read_parquet(folder / "absences_derived.parquet").filter(pl.col("season") == "2025-26")
    at = pl.col("game_date").dt.strftime("%Y-%m-%dT16:00Z")
    report = absent.join(names, on="player_id").select(
        "game_date", "player_id", "team", player="player_name", status=pl.lit("Out"), reason=pl.lit("-"), reported_at=at
    )
    (folder / "injuries").mkdir()
    report.write_parquet(folder / "injuries" / "injuries.parquet")
    home = tmp_path_factory.mktemp("workspace") / "home"
    return Finished(daily(Mode.SAME_DAY, DAY, data=folder, home=home, seasons=0), folder, home, DAY)


def test_the_day_is_as_it_was(finished: Finished) -> None:
    """What the scenes are put into: a complete day of eleven games with lines for them."""
    assert len(finished.report.games) == 11
    assert finished.report.state == DayState.COMPLETE, finished.report.reasons
    assert finished.read("predictions")["line"].count() > 500
    assert finished.report.games[0].tip_off is None or finished.report.games[0].tip_off > eastern(DAY, 15)
