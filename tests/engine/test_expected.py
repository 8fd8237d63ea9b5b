"""What a season owes, known before it happens: every game day, every mode, once, however often it is seeded."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from tasks.catalog import registry
from tasks.engine.expected import PUBLICATION, ExpectedOutputs, Judged
from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import plan
from tasks.engine.processor import Mode
from tasks.engine.season import game_days, owed, season_start
from tests.leagues import eastern

DAY = dt.date(2025, 12, 29)
ONE = dt.timedelta(days=1)
NOW = eastern(DAY, 9)


def schedule(*games: tuple[dt.date, str]) -> pl.DataFrame:
    """Games at 7:30 PM ET with their status, the n-th in a hall of its own."""
    return pl.DataFrame(
        [(day, f"00225{at:05}", "LAL", "BOS", eastern(day, 19, 30), status) for at, (day, status) in enumerate(games)],
        schema={
            "game_day": pl.Date,
            "game_id": pl.String,
            "home_team": pl.String,
            "away_team": pl.String,
            "tip_off": pl.Datetime("us", "UTC"),
            "status": pl.String,
        },
        orient="row",
    )


SCHEDULE = schedule(
    (DAY - 2 * ONE, "final"), (DAY - ONE, "final"), (DAY, "scheduled"), (DAY, "postponed"), (DAY + 2 * ONE, "postponed")
)


@pytest.fixture
def expected(tmp_path: Path) -> ExpectedOutputs:
    return ExpectedOutputs(Ledger(f"sqlite:///{tmp_path}/ledger.sqlite"))


def seeded(expected: ExpectedOutputs, games: pl.DataFrame = SCHEDULE, since: dt.date = DAY) -> int:
    days = game_days(games, DAY - 3 * ONE, DAY + 3 * ONE, NOW)
    return expected.seed(days, owed(days, registry(), since))


def test_a_day_owes_what_its_plan_runs_and_its_publication(expected: ExpectedOutputs) -> None:
    seeded(expected)
    for mode in (Mode.OVERNIGHT, Mode.SAME_DAY):
        planned = plan(mode, DAY, SCHEDULE, registry())
        found = {item.owed.output: item.owed for item in expected.of(DAY, DAY, mode=mode)}
        extra = {PUBLICATION} if mode == Mode.SAME_DAY else set()
        assert set(found) == {step.processor for step in planned.steps} | extra
        assert {found[step.processor].critical for step in planned.steps if step.critical} == {True}
        assert {item.starts_at for item in found.values()} == {planned.as_of}
        assert {item.games for item in found.values()} == {1}
    assert {item.owed.expected_by for item in expected.of(DAY, DAY, mode=Mode.SAME_DAY)} == {eastern(DAY, 13, 30)}
    assert {item.owed.expected_by for item in expected.of(DAY, DAY, mode=Mode.OVERNIGHT)} == {eastern(DAY + ONE, 6)}


def test_a_date_without_games_is_known_and_owes_nothing(expected: ExpectedOutputs) -> None:
    seeded(expected)
    assert [(day.game_day, day.games, day.called_off) for day in expected.days()] == [
        (DAY - 3 * ONE, 0, 0),
        (DAY - 2 * ONE, 1, 0),
        (DAY - ONE, 1, 0),
        (DAY, 1, 1),
        (DAY + ONE, 0, 0),
        (DAY + 2 * ONE, 0, 1),
        (DAY + 3 * ONE, 0, 0),
    ]
    assert expected.of(DAY + ONE, DAY + ONE) == []
    assert expected.days(DAY + 2 * ONE, DAY + 2 * ONE)[0].deadline is None


def test_predictions_are_owed_from_the_day_the_pipeline_went_to_work(expected: ExpectedOutputs) -> None:
    seeded(expected)
    same_day = {item.owed.game_day for item in expected.of(mode=Mode.SAME_DAY)}
    assert same_day == {DAY, DAY + 2 * ONE}
    assert {item.owed.game_day for item in expected.of(mode=Mode.OVERNIGHT)} == {DAY - 2 * ONE, DAY - ONE, *same_day}


def test_seeding_again_changes_nothing_and_keeps_every_judgement(expected: ExpectedOutputs) -> None:
    assert seeded(expected) > 50
    before = expected.of(DAY, DAY)
    complete = [_judged(item, State.COMPLETE) for item in before]
    expected.settle(complete)
    assert expected.of(DAY, DAY) == complete
    assert seeded(expected) == 0
    assert expected.of(DAY, DAY) == complete
    assert expected.ledger.faults == 0


def test_a_game_that_is_called_off_changes_what_its_day_owes(expected: ExpectedOutputs) -> None:
    seeded(expected)
    off = schedule((DAY - 2 * ONE, "final"), (DAY - ONE, "final"), (DAY, "postponed"), (DAY, "postponed"))
    assert seeded(expected, off) > 0
    assert {item.owed.games for item in expected.of(DAY, DAY)} == {0}
    assert expected.days(DAY, DAY)[0].called_off == 2


def test_what_is_not_seeded_any_more_stays_owed(expected: ExpectedOutputs) -> None:
    """An output of a day that nobody looks at any more is exactly the one that nobody misses."""
    seeded(expected, since=DAY)
    days = game_days(SCHEDULE, DAY + ONE, DAY + 3 * ONE, NOW)
    expected.seed(days, owed(days, registry(), DAY + ONE))
    assert expected.of(DAY, DAY, mode=Mode.SAME_DAY)


def test_only_what_is_asked_for_is_found(expected: ExpectedOutputs) -> None:
    seeded(expected)
    first = expected.of(DAY, DAY, mode=Mode.SAME_DAY)[0]
    expected.settle([_judged(first, State.LATE)])
    assert [item.owed.output for item in expected.of(states=[State.LATE])] == [first.owed.output]
    assert {item.owed.game_day for item in expected.of(first=DAY)} == {DAY, DAY + 2 * ONE}


def test_a_ledger_that_cannot_be_written_costs_nothing_and_is_counted() -> None:
    expected = ExpectedOutputs(Ledger("sqlite:////nowhere/at/all/ledger.sqlite"))
    assert seeded(expected) == 0
    assert expected.ledger.faults == 1
    with pytest.raises(Exception, match="unable to open"):
        expected.of()


def test_a_ledger_of_an_earlier_version_gets_its_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(f"sqlite:///{path}").runs()
    with sqlite3.connect(path) as old:
        old.execute("ALTER TABLE processor_runs DROP COLUMN dependency")
        old.execute("DROP TABLE expected_outputs")
    old.close()
    expected = ExpectedOutputs(Ledger(f"sqlite:///{path}"))
    assert seeded(expected) > 0
    assert expected.ledger.runs(dependency="nobody") == []


def test_the_season_begins_after_the_long_pause() -> None:
    opening, last_spring = dt.date(2025, 10, 21), dt.date(2025, 6, 22)
    games = schedule((last_spring, "final"), (opening, "final"), (DAY, "scheduled"))
    games = pl.concat([games, schedule(*((opening + n * 30 * ONE, "final") for n in range(3)))])
    assert season_start(games, DAY) == opening
    assert season_start(games, dt.date(2025, 8, 15)) == dt.date(2025, 8, 15)


def _judged(item: Judged, state: State) -> Judged:
    return item.model_copy(
        update={
            "state": state,
            "since": NOW,
            "expected_rows": 158,
            "counted_rows": 68,
            "missing_sample": ("0022500447 / 2544 / ensemble",),
            "evidence": ("68 of 158",),
            "attempts": 2,
            "reconciled_at": NOW,
        }
    )
