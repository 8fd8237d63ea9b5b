"""A night as markdown, for the artifact that Prefect's own UI shows: verdict, what is wrong, phases, the day."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tasks.publishing.wording import NONE, count
from tasks.tonight.snapshot import Phase, Tonight
from tasks.tonight.words import clock, countdown, release, row_count, span

WIDTH = 60  # characters of the day's line
BEFORE, AFTER = dt.timedelta(minutes=15), dt.timedelta(minutes=30)  # of the plan's hours that are shown
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def markdown(night: Tonight) -> str:
    """The whole of it. Texts from the data are escaped: they are shown, never obeyed."""
    return "\n".join([*_head(night), *_troubles(night), *_phases(night), *_line(night), *_coverage(night)]) + "\n"


def _head(night: Tonight) -> Iterator[str]:
    verdict = night.verdict
    yield f"# {verdict.level.sign} {verdict.level.capitalize()}: {night.game_day}"
    yield ""
    yield f"**{_text(verdict.says)}**"
    yield ""
    if night.deadline is not None:
        yield f"Due {clock(night.deadline, night.game_day)} ET, {countdown(night)}. Next: {_text(verdict.next_step)}"
        yield ""


def _troubles(night: Tonight) -> Iterator[str]:
    if night.troubles:
        yield "## What is wrong"
        yield ""
    for item in night.troubles:
        since = f" since {clock(item.since, night.game_day)}" if item.since else ""
        yield f"- **{_text(item.title)}**{since}: {_text(item.what)} {_text(item.impact)} *Do:* {_text(item.next_step)}"
    if night.troubles:
        yield ""


def _phases(night: Tonight) -> Iterator[str]:
    if not night.phases:
        return
    yield "## Phases"
    yield ""
    yield "| phase | state | there | started | took | due | release |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for phase in night.phases:
        name = f"{phase.name} (last night)" if phase.mode == Mode.OVERNIGHT else phase.name
        cells = (
            name,
            phase.state.value,
            row_count(phase.there, phase.expected),
            clock(phase.started, night.game_day),
            span(phase.took),
            clock(phase.deadline, night.game_day),
            ", ".join(release(one) for one in phase.releases) or NONE,
        )
        yield f"| {' | '.join(map(_text, cells))} |"
    yield ""


def _line(night: Tonight) -> Iterator[str]:
    """Planned (·) and real (█) of each phase between a little before its start and a little after the deadline."""
    phases = [phase for phase in night.phases if phase.mode == Mode.SAME_DAY]
    if not phases or night.replayed:
        return
    first = min(phase.planned_start for phase in phases) - BEFORE
    last = max(phase.deadline for phase in phases) + AFTER
    yield "## The day"
    yield ""
    yield "```"
    for phase in phases:
        yield f"{phase.name:<12}{_bar(phase, first, last)}"
    ends = f"{first.astimezone(EASTERN):%H:%M}".ljust(WIDTH - 5) + f"{last.astimezone(EASTERN):%H:%M}"
    yield f"{'':<12}{ends}"
    yield "```"
    yield ""


def _bar(phase: Phase, first: dt.datetime, last: dt.datetime) -> str:
    def place(instant: dt.datetime) -> int:
        return min(WIDTH - 1, max(0, int(WIDTH * ((instant - first) / (last - first)))))

    cells = [" "] * WIDTH
    for at in range(place(phase.planned_start), place(phase.deadline) + 1):
        cells[at] = "·"
    for output in phase.outputs:
        if output.started and first <= output.started <= last:
            for at in range(place(output.started), place(output.ended or output.started) + 1):
                cells[at] = "█"
    return "".join(cells).rstrip()


def _coverage(night: Tonight) -> Iterator[str]:
    if not night.coverage or not night.coverage[0].systems:
        return
    systems = list(night.coverage[0].systems)
    yield "## Coverage"
    yield ""
    yield f"| game | {' | '.join(map(_text, systems))} |"
    yield f"|---|{'---:|' * len(systems)}"
    for game in night.coverage:
        cells = (f"{count(there)}/{count(expected)}" for there, expected in game.systems.values())
        yield f"| {_text(game.game)} | {' | '.join(cells)} |"
    yield ""


def _text(value: str) -> str:
    """A text as it is, on one line, with nothing that markdown would take for its own."""
    return _SPECIAL.sub(r"\\\1", " ".join(value.split()))
