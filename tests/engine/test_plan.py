"""What the plan promises, over every mode, with the processors as they are declared and any schedule there could be."""

from __future__ import annotations

import datetime as dt
import os
import random
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.warehouse import DayRange
from tasks.catalog import registry
from tasks.engine.plan import (
    EASTERN,
    Plan,
    PlanError,
    cutoffs,
    deadline,
    default_as_of,
    in_order,
    plan,
    results_known_at,
    steps_of,
)
from tasks.engine.processor import Landed, Mode, Need, Phase, Processor, Span
from tasks.sources.base import Kind
from tasks.sources.folder import FolderSource

STEADY = settings(deadline=None, derandomize=True, max_examples=60)  # the same examples on every machine
SNAPSHOTS = Path(__file__).with_name("snapshots")
DAY = dt.date(2025, 12, 29)
HOUR = dt.timedelta(hours=1)
STATUSES = ("scheduled", "final", "postponed", "cancelled")
SCHEDULE = pl.Schema(
    {
        "game_id": pl.String,
        "game_day": pl.Date,
        "home_team": pl.String,
        "away_team": pl.String,
        "tip_off": pl.Datetime("us", "UTC"),
        "status": pl.String,
    }
)
MADE = (Need.REQUIRED, Need.OPTIONAL)


def eastern(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute), EASTERN).astimezone(dt.UTC)


def schedule_of(*games: tuple[dt.date, dt.datetime | None, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"{number:010}", day, "BOS", "NYK", tip, status) for number, (day, tip, status) in enumerate(games)],
        schema=SCHEDULE,
        orient="row",
    )


@st.composite
def schedules(draw: st.DrawFn) -> pl.DataFrame:
    """Up to nine games on the game day, the days before it and the day after, some without tip-off or not played."""
    games = []
    for _ in range(draw(st.integers(0, 9))):
        day = DAY + draw(st.integers(-3, 1)) * dt.timedelta(days=1)
        tip = draw(
            st.none() | st.integers(12 * 60, 23 * 60).map(lambda minute, day=day: eastern(day, 0) + minute * HOUR / 60)
        )
        games.append((day, tip, draw(st.sampled_from(STATUSES))))
    return schedule_of(*games)


INSTANTS = st.none() | st.integers(0, 60 * 24).map(lambda hours: dt.datetime(2025, 12, 1, tzinfo=dt.UTC) + hours * HOUR)


def planned(mode: Mode, schedule: pl.DataFrame, as_of: dt.datetime | None = None, day: dt.date = DAY) -> Plan:
    """The plan, or, where nothing is known of earlier days, that of the same games with a day before them."""
    try:
        return plan(mode, day, schedule, registry(), as_of)
    except PlanError:
        assert not schedule.filter((pl.col("game_day") < day) & pl.col("status").is_in(["scheduled", "final"])).height
        earlier = schedule_of((day - dt.timedelta(days=2), None, "final")).with_columns(game_id=pl.lit("earlier"))
        return plan(mode, day, pl.concat([schedule, earlier]), registry(), as_of)


def started(found: Plan) -> list[str]:
    return [step.processor for step in found.steps]


def of(table: str) -> Processor:
    return registry()[table]


def hold(found: Plan) -> None:
    """Everything that must be true of any plan."""
    names = started(found)
    fresh = {item.table: item for item in found.fresh}
    assert len(set(names)) == len(names)
    assert not set(names) & set(fresh)
    if not found.games:
        assert (found.fresh, found.deadline) == ((), None)
        # A day whose games were all called off is closed: its schedule is taken in, its predictions are void.
        closing = {"schedule", "prediction_grades", "accuracy_daily"}
        assert set(names) in (set(), closing if found.mode == Mode.OVERNIGHT else set())
        return
    for step in found.steps:
        assert of(step.processor).runs_in[found.mode] == step.need
        for read in of(step.processor).tables_read:
            at_hand = read.table in names or read.table in fresh
            assert at_hand or read.optional, f"{found.mode}: {step.processor} reads {read.table}"
            if read.table in names and read.span != Span.BEFORE:
                assert names.index(read.table) < names.index(step.processor)
                assert read.table in step.after
        assert set(step.after) <= set(names)
        kinds = [read.kind for read in of(step.processor).reads.values() if isinstance(read, Landed)]
        assert set(kinds) <= set(found.payloads)
    phases = [step.phase for step in found.steps]
    assert phases == sorted(phases)
    assert [step for phase in Phase for step in found.of(phase)] == list(found.steps)
    for item in found.fresh:
        assert item.through < found.game_day
    if found.mode == Mode.SAME_DAY:
        assert found.deadline is not None
        assert found.deadline <= eastern(found.game_day, 13, 30)
        if found.first_tip_off is not None:
            assert found.first_tip_off - found.deadline >= HOUR
    else:
        assert found.deadline is None


@STEADY
@given(st.sampled_from(Mode), schedules(), INSTANTS)
def test_what_is_awaited_was_started_or_is_a_stated_freshness_requirement(
    mode: Mode, schedule: pl.DataFrame, as_of: dt.datetime | None
) -> None:
    hold(planned(mode, schedule, as_of))


@STEADY
@given(st.sampled_from(Mode), schedules())
def test_only_games_that_take_place_on_the_day_are_planned(mode: Mode, schedule: pl.DataFrame) -> None:
    found = planned(mode, schedule)
    there = schedule.filter((pl.col("game_day") == DAY) & pl.col("status").is_in(["scheduled", "final"]))
    assert sorted(game.game_id for game in found.games) == sorted(there["game_id"])
    assert bool(found.steps) == bool(there.height)


@STEADY
@given(st.sampled_from(Mode), schedules(), INSTANTS, INSTANTS)
def test_no_clock_changes_a_mode_or_what_it_does(
    mode: Mode, schedule: pl.DataFrame, one: dt.datetime | None, other: dt.datetime | None
) -> None:
    first, second = planned(mode, schedule, one), planned(mode, schedule, other)
    assert first.mode == mode
    assert first.model_copy(update={"as_of": second.as_of}) == second
    assert one is None or first.as_of == one


def test_the_same_day_run_never_waits_for_what_it_did_not_start() -> None:
    """December 29: it started one of five analytics processors and waited for all five."""
    found = planned(Mode.SAME_DAY, schedule_of((DAY, eastern(DAY, 19), "scheduled"), (DAY - 24 * HOUR, None, "final")))
    last_nights = {"player_game_summary", "team_offense_game_summary", "team_defense_game_summary"}
    assert not last_nights & set(started(found))
    assert not any(last_nights & set(step.after) for step in found.steps)
    through = {item.table: item.through for item in found.fresh}
    assert {table: through[table] for table in last_nights} == dict.fromkeys(last_nights, DAY - dt.timedelta(days=1))
    assert "upcoming_player_game_context" in started(found)


def test_the_predictions_of_a_day_can_do_without_the_team_summaries_but_not_without_the_players() -> None:
    found = planned(Mode.SAME_DAY, schedule_of((DAY, None, "scheduled")))
    critical = {item.table for item in found.fresh if item.critical}
    assert {"player_game_summary", "player_daily_cache"} <= critical
    assert not {"team_offense_game_summary", "team_defense_game_summary"} & critical


def test_freshness_reaches_to_the_last_day_that_was_played() -> None:
    schedule = schedule_of(
        (DAY, None, "scheduled"),
        (DAY - dt.timedelta(days=1), None, "postponed"),
        (DAY - dt.timedelta(days=3), None, "final"),
    )
    found = plan(Mode.SAME_DAY, DAY, schedule, registry())
    assert {item.through for item in found.fresh} == {DAY - dt.timedelta(days=3)}


def test_a_first_day_that_needs_a_day_before_it_says_what_to_do() -> None:
    with pytest.raises(PlanError, match=r"same_day 2025-12-29: no earlier game day is known.*run a backfill"):
        plan(Mode.SAME_DAY, DAY, schedule_of((DAY, None, "scheduled")), registry())


def test_predictions_are_made_by_the_same_day_run_alone() -> None:
    makers = [mode for mode in Mode if "predictions" in [step.processor for step in steps_of(mode, registry())]]
    assert makers == [Mode.SAME_DAY]


# Around both changes of the clock: the last day of the old time and the first day of the new one.
CHANGES = [
    (dt.date(2025, 3, 8), 5),
    (dt.date(2025, 3, 9), 4),
    (dt.date(2025, 11, 1), 4),
    (dt.date(2025, 11, 2), 5),
    (dt.date(2026, 3, 7), 5),
    (dt.date(2026, 3, 8), 4),
    (dt.date(2026, 10, 31), 4),
    (dt.date(2026, 11, 1), 5),
    (DAY, 5),
]


@pytest.mark.parametrize(("day", "behind_utc"), CHANGES, ids=str)
def test_predictions_are_due_at_half_past_one_eastern_or_an_hour_before_the_first_tip_off(
    day: dt.date, behind_utc: int
) -> None:
    half_past_one = dt.datetime(day.year, day.month, day.day, 13 + behind_utc, 30, tzinfo=dt.UTC)
    matinee = half_past_one - HOUR
    assert deadline(day, None) == half_past_one
    assert deadline(day, half_past_one + 6 * HOUR) == half_past_one
    assert deadline(day, half_past_one + HOUR) == half_past_one
    assert deadline(day, half_past_one + HOUR / 60 * 59) == half_past_one - HOUR / 60
    assert deadline(day, matinee) == matinee - HOUR
    assert default_as_of(Mode.SAME_DAY, day, None) == half_past_one - HOUR
    assert default_as_of(Mode.BACKFILL, day, matinee) == matinee - 2 * HOUR


@pytest.mark.parametrize(
    ("day", "utc_hour"),
    [
        (dt.date(2025, 3, 7), 9),
        (dt.date(2025, 3, 8), 8),
        (dt.date(2025, 10, 31), 8),
        (dt.date(2025, 11, 1), 9),
        (DAY, 9),
    ],
)
def test_results_count_as_known_at_four_in_the_morning_after_whatever_the_clocks_did(
    day: dt.date, utc_hour: int
) -> None:
    morning = day + dt.timedelta(days=1)
    expected = dt.datetime(morning.year, morning.month, morning.day, utc_hour, tzinfo=dt.UTC)
    assert results_known_at(day) == expected
    assert default_as_of(Mode.OVERNIGHT, day, None) == expected


@STEADY
@given(schedules())
def test_a_backfill_knows_of_each_day_what_its_same_day_run_knew(schedule: pl.DataFrame) -> None:
    for day, as_of in cutoffs(schedule).iter_rows():
        assert as_of == planned(Mode.SAME_DAY, schedule, day=day).as_of


def test_targets_are_the_day_and_its_instant() -> None:
    found = planned(Mode.SAME_DAY, schedule_of((DAY, eastern(DAY, 19), "scheduled")))
    assert found.targets().rows() == [(DAY, eastern(DAY, 12, 30))]
    assert found.targets().schema == pl.Schema({"game_day": pl.Date, "as_of": pl.Datetime("us", "UTC")})


def test_the_order_does_not_depend_on_the_order_of_declaration() -> None:
    declared = list(registry())
    for seed in range(5):
        shuffled = random.Random(seed).sample(declared, len(declared))
        assert [item.table for item in in_order(shuffled)] == [item.table for item in in_order(declared)]


def test_no_processor_reads_a_table_of_a_later_phase() -> None:
    for item in registry():
        for read in item.tables_read:
            assert of(read.table).phase <= item.phase, f"{item.name} reads {read.table}"


@pytest.mark.parametrize("mode", Mode)
def test_what_a_mode_does_has_not_changed_unnoticed(mode: Mode) -> None:
    eve = DAY - dt.timedelta(days=1)
    found = planned(mode, schedule_of((DAY, eastern(DAY, 19), "scheduled"), (eve, eastern(eve, 19), "final")))
    snapshot = SNAPSHOTS / f"{mode.value}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(rendered(found))
    assert rendered(found) == snapshot.read_text(), (
        "what this mode does has changed; if that is meant, run this test with UPDATE_SNAPSHOTS=1 and commit the file"
    )


def rendered(found: Plan) -> str:
    """A plan as text that reads well in a review."""
    due = f"{found.deadline:%Y-%m-%d %H:%M} UTC" if found.deadline else "none"
    lines = [
        f"{found.mode} {found.game_day}: {len(found.games)} game",
        f"as of {found.as_of:%Y-%m-%d %H:%M} UTC, deadline {due}",
        f"fetches {', '.join(found.payloads)}",
    ]
    for phase in Phase:
        for step in found.of(phase):
            label = "critical" if step.critical else step.need.value
            after = f" after {', '.join(step.after)}" if step.after else ""
            lines.append(f"{phase.value} {phase.name.lower():<12}{step.processor} ({label}){after}")
    lines += [
        f"fresh through {item.through}: {item.table}{' (critical)' if item.critical else ''}" for item in found.fresh
    ]
    return "\n".join(lines) + "\n"


@cache
def schedule_in(folder: Path) -> pl.DataFrame:
    """The schedule of the real seasons, read as the pipeline reads it."""
    source = FolderSource(folder)
    days = DayRange(dt.date(2015, 10, 1), dt.date(2026, 6, 30))
    now = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    payload = source.fetch(Kind.SCHEDULE, days, now, now)
    targets = pl.DataFrame({"game_day": pl.date_range(days.first, days.last, eager=True)})
    return of("schedule")(found=source.parse(payload.body, payload.name), targets=targets).rows  # type: ignore[union-attr]


@pytest.mark.real_data
def test_on_real_game_days_all_of_this_holds_in_every_mode(real_data: Path) -> None:
    schedule = schedule_in(real_data)
    every_day = schedule["game_day"].unique().sort().to_list()
    first = every_day[0]
    for day in [*random.Random(2).sample(every_day[1:], 60), DAY]:
        for mode in Mode:
            found = plan(mode, day, schedule.filter(pl.col("game_day") <= day), registry())
            hold(found)
            assert found.steps
            assert {item.through for item in found.fresh} <= {max(other for other in every_day if other < day)}
    with pytest.raises(PlanError, match="no earlier game day"):
        plan(Mode.SAME_DAY, first, schedule, registry())


@pytest.mark.real_data
def test_on_real_days_without_games_nothing_is_planned(real_data: Path) -> None:
    schedule = schedule_in(real_data)
    for day in (dt.date(2025, 12, 24), dt.date(2024, 11, 5), dt.date(2025, 2, 15)):
        for mode in Mode:
            found = plan(mode, day, schedule, registry())
            assert (found.games, found.steps, found.fresh) == ((), (), ())


@pytest.mark.real_data
def test_december_29_has_eleven_games_due_at_half_past_one(real_data: Path) -> None:
    found = plan(Mode.SAME_DAY, DAY, schedule_in(real_data), registry())
    assert len(found.games) == 11
    assert found.deadline == dt.datetime(2025, 12, 29, 18, 30, tzinfo=dt.UTC)
    assert found.first_tip_off == dt.datetime(2025, 12, 30, 0, 0, tzinfo=dt.UTC)
