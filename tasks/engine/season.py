"""The season as the plan sees it: what each date owes, the days without games and the called-off ones included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl

from tasks.engine.expected import PUBLICATION, GameDay, Owed
from tasks.engine.plan import Step, deadline, default_as_of, due, is_played, steps_of
from tasks.engine.processor import Mode, Need, Phase, Registry

AHEAD = dt.timedelta(days=14)
SEASON_GAP = dt.timedelta(days=45)  # a longer pause between two game days is the off-season
MODES = (Mode.OVERNIGHT, Mode.SAME_DAY)  # what is run by schedule; a backfill owes nothing to the clock


def season_start(schedule: pl.DataFrame, today: dt.date) -> dt.date:
    """The first game day of the season that `today` is in; of the next one, or today, in the off-season."""
    days = schedule.filter(pl.col("game_day") <= today + AHEAD)["game_day"].unique().sort(descending=True).to_list()
    start = today
    for day in days:
        if start - day > SEASON_GAP:
            break
        start = min(start, day)
    return start


def game_days(schedule: pl.DataFrame, first: dt.date, last: dt.date, seen_at: dt.datetime) -> list[GameDay]:
    """Every date from `first` to `last` with its games that take place and those called off."""
    found = {
        row["game_day"]: row
        for row in schedule.filter(pl.col("game_day").is_between(first, last))
        .group_by("game_day")
        .agg(
            games=is_played().sum(),
            called_off=(~is_played()).sum(),
            first_tip_off=pl.col("tip_off").filter(is_played()).min(),
        )
        .iter_rows(named=True)
    }
    dates = (first + dt.timedelta(days=n) for n in range((last - first).days + 1))
    return [_game_day(date, found.get(date), seen_at) for date in dates]


def owed(days: list[GameDay], registry: Registry, predicted_since: dt.date) -> list[Owed]:
    """What the scheduled modes owe for these days.

    Days without games owe nothing. A day whose games were all called off owes what it owed, of zero games: empty is
    right. Predictions are owed from `predicted_since` on, the day on which the pipeline went to work.
    """
    steps = {mode: steps_of(mode, registry) for mode in MODES}
    return [
        item
        for day in days
        if day.games or day.called_off
        for mode in MODES
        if mode == Mode.OVERNIGHT or day.game_day >= predicted_since
        for item in _of_day(day, mode, steps[mode])
    ]


def _game_day(date: dt.date, row: dict[str, Any] | None, seen_at: dt.datetime) -> GameDay:
    if row is None:
        return GameDay(game_day=date, games=0, seen_at=seen_at)
    first = row["first_tip_off"]
    due_by = deadline(date, first) if row["games"] else None
    return GameDay(
        game_day=date,
        games=row["games"],
        called_off=row["called_off"],
        first_tip_off=first,
        deadline=due_by,
        seen_at=seen_at,
    )


def _of_day(day: GameDay, mode: Mode, steps: tuple[Step, ...]) -> Iterator[Owed]:
    shared: dict[str, Any] = {
        "game_day": day.game_day,
        "mode": mode,
        "starts_at": default_as_of(mode, day.game_day, day.first_tip_off),
        "expected_by": due(mode, day.game_day, day.first_tip_off),
        "games": day.games,
    }
    for step in steps:
        yield Owed(output=step.processor, phase=step.phase, need=step.need, critical=step.critical, **shared)
    if mode == Mode.SAME_DAY:
        yield Owed(output=PUBLICATION, phase=Phase.PUBLISH, need=Need.REQUIRED, critical=True, **shared)
