"""Where things are drawn: the timeline's bars and marks, the calendar's weeks, the scales. In percent of a width."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tasks.tonight.snapshot import AccuracyDay, CalendarDay, Mark, Phase, Prediction, Tonight
from tasks.tonight.words import clock, span

TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)  # minutes between two, the first that is wide enough
MOST_TICKS = 5
MARGIN = 0.04  # of the window, before its first and after its last instant
SHOWN_AFTER = dt.timedelta(hours=2)  # the deadline: what comes later is named and not drawn, or the run is too small
LEAST_WINDOW = dt.timedelta(seconds=10)


@dataclass(frozen=True)
class Bar:
    """A stretch of a row, in percent of the width, in the colour of a state."""

    left: float
    width: float
    state: str
    says: str


@dataclass(frozen=True)
class Row:
    """A phase: the stretch that is planned for it, if any, and what its outputs really took."""

    name: str
    state: str
    says: str
    planned: Bar | None
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Flag:
    """A mark: where it stands, on which line its words are, and on which side of it."""

    at: float
    line: int
    kind: str
    says: str
    before: bool


@dataclass(frozen=True)
class Timeline:
    """The day, planned and real."""

    rows: tuple[Row, ...]
    flags: tuple[Flag, ...]
    ticks: tuple[tuple[float, str], ...]
    later: tuple[str, ...]
    now: float | None
    replayed: str


def timeline(night: Tonight) -> Timeline | None:
    """The timeline of tonight's own run; None where nothing is planned."""
    phases = [phase for phase in night.phases if phase.mode == Mode.SAME_DAY]
    if not phases:
        return None
    first, last = _window(night, phases)
    length = (last - first) / dt.timedelta(seconds=1)

    def at(instant: dt.datetime) -> float:
        return round(100 * min(1.0, max(0.0, (instant - first).total_seconds() / length)), 3)

    shown = sorted((mark for mark in night.marks if first <= mark.at <= last), key=lambda mark: mark.at)
    later = [mark for mark in night.marks if mark.at > last and not night.replayed]
    begun = min((phase.started for phase in phases if phase.started), default=None)
    return Timeline(
        rows=tuple(_row(phase, night, at) for phase in phases),
        flags=tuple(_flag(mark, number, at(mark.at), night) for number, mark in enumerate(shown)),
        ticks=tuple((at(instant), label) for instant, label in _ticks(first, last)),
        later=tuple(f"{mark.says} {clock(mark.at, night.game_day)}" for mark in later),
        now=at(night.at) if first <= night.at <= last else None,
        replayed=f"{begun.astimezone(EASTERN):%A, %B %-d, %Y}" if night.replayed and begun else "",
    )


def _window(night: Tonight, phases: Sequence[Phase]) -> tuple[dt.datetime, dt.datetime]:
    outputs = [output for phase in phases for output in phase.outputs]
    real = [instant for output in outputs for instant in (output.started, output.ended) if instant]
    if night.replayed and real:
        shown = [*real, *([night.published_at] if night.published_at else [])]
    else:
        planned = [phase.planned_start for phase in phases] + [phase.deadline for phase in phases]
        until = max(planned) + SHOWN_AFTER
        told = [mark.at for mark in night.marks if min(planned) - SHOWN_AFTER <= mark.at <= until]
        shown = [*planned, *(one for one in real if one <= until + SHOWN_AFTER), *told]
        shown += [night.at] if min(planned) <= night.at <= until else []
    first, last = min(shown), max(max(shown), min(shown) + LEAST_WINDOW)
    pad = (last - first) * MARGIN
    return first - pad, last + pad


def _row(phase: Phase, night: Tonight, place: Callable[[dt.datetime], float]) -> Row:
    bars = tuple(
        Bar(
            place(output.started),
            max(0.0, place(output.ended or night.at) - place(output.started)),
            output.state.value,
            f"{output.name}: {output.state.value}, from {clock(output.started)}"
            + (f", {span((output.ended - output.started).total_seconds())}" if output.ended else ", still running"),
        )
        for output in phase.outputs
        if output.started
    )
    planned = None
    if not night.replayed:
        left, right = place(phase.planned_start), place(phase.deadline)
        planned = Bar(left, right - left, "planned", f"planned {clock(phase.planned_start, night.game_day)}")
    says = f"{clock(phase.started)}, {span(phase.took)}" if phase.took is not None else ""
    return Row(phase.name, phase.state.value, says, planned, bars)


def _flag(mark: Mark, line: int, at: float, night: Tonight) -> Flag:
    return Flag(at, line, mark.kind, f"{clock(mark.at)} {mark.says}", before=at > 50)


def _ticks(first: dt.datetime, last: dt.datetime) -> list[tuple[dt.datetime, str]]:
    minutes = (last - first).total_seconds() / 60
    if minutes < 2:
        step = dt.timedelta(seconds=next(s for s in (2, 5, 10, 20, 30) if minutes * 60 / s <= MOST_TICKS + 1))
        form = "%H:%M:%S"
    else:
        step = dt.timedelta(minutes=next((m for m in TICKS if minutes / m <= MOST_TICKS), TICKS[-1]))
        form = "%H:%M"
    midnight = first.astimezone(EASTERN).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + step * (-((midnight - first) // step))
    found = []
    while start <= last:
        if start >= first:
            found.append((start, f"{start.astimezone(EASTERN):{form}}"))
        start += step
    return found


@dataclass(frozen=True)
class Month:
    """A month of the calendar: weeks of seven days, None where the day is another month's or unknown."""

    name: str
    weeks: tuple[tuple[tuple[int, CalendarDay | None] | None, ...], ...]


def months(days: Sequence[CalendarDay]) -> tuple[Month, ...]:
    """The months in which the known days lie."""
    known = {day.game_day: day for day in days}
    wanted = sorted({(day.year, day.month) for day in known})
    weeks = calendar.Calendar(firstweekday=calendar.MONDAY)
    return tuple(
        Month(
            name=f"{calendar.month_name[month]} {year}",
            weeks=tuple(
                tuple((day, known.get(dt.date(year, month, day))) if day else None for day in week)
                for week in weeks.monthdayscalendar(year, month)
            ),
        )
        for year, month in wanted
    )


@dataclass(frozen=True)
class Curve:
    """Two lines over days in a square of 100 by 100, with the values at its lower and upper edge."""

    system: str
    line: str
    low: float
    high: float
    mean: float
    line_mean: float | None
    better: int
    compared: int


def curve(days: Sequence[AccuracyDay]) -> Curve | None:
    """The featured system's error of each day beside the line's; None for fewer than two days."""
    if len(days) < 2:
        return None
    values = [value for day in days for value in (day.error, day.line_error) if value is not None]
    low, high = min(values) - 0.2, max(values) + 0.2
    compared = [day for day in days if day.line_error is not None]

    def points(named: list[tuple[int, float]]) -> str:
        return " ".join(f"{100 * at / (len(days) - 1):.2f},{100 * (high - v) / (high - low):.2f}" for at, v in named)

    players = sum(day.players for day in days)
    same = sum(day.players for day in compared)
    return Curve(
        system=points([(at, day.error) for at, day in enumerate(days)]),
        line=points([(at, day.line_error) for at, day in enumerate(days) if day.line_error is not None]),
        low=low,
        high=high,
        mean=sum(day.error * day.players for day in days) / players,
        line_mean=sum((day.line_error or 0.0) * day.players for day in compared) / same if same else None,
        better=sum(day.error < (day.line_error or 0.0) for day in compared),
        compared=len(compared),
    )


def most_points(predictions: Sequence[Prediction]) -> float:
    """The right end of the scale on which all predictions are drawn."""
    ends = [max(item.quantiles[-1], item.line or 0.0) for item in predictions]
    return 5.0 * (max(ends, default=40.0) // 5 + 1)
