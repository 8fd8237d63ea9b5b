"""How instants, spans, counts and releases of a night are written, the same wherever it is shown."""

from __future__ import annotations

import datetime as dt

from tasks.engine.plan import EASTERN
from tasks.publishing.wording import NONE, count
from tasks.tonight.snapshot import Tonight

SHOWN_OF_RELEASE = 18  # characters, in a table: a number and a commit
SHOWN_OF_DIGEST = 10  # characters that tell trees apart which are no release


def clock(instant: dt.datetime | None, game_day: dt.date | None = None) -> str:
    """An instant in New York: "12:30 PM", with its date where that is not `game_day`."""
    if instant is None:
        return NONE
    local = instant.astimezone(EASTERN)
    time = f"{local:%I:%M %p}".lstrip("0")
    if game_day is None or local.date() == game_day:
        return time
    year = f", {local.year}" if local.year != game_day.year else ""
    return f"{local:%b} {local.day}{year}, {time}"


def span(seconds: float | None) -> str:
    """A duration: "0.4 s", "12 s", "3 min", "2 h 5 min"."""
    if seconds is None:
        return NONE
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def countdown(night: Tonight) -> str:
    """How long until the deadline, or how long ago it was."""
    if night.replayed:
        return "a replay"
    if night.left is None:
        return "no deadline"
    seconds = night.left.total_seconds()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def row_count(there: int, expected: int | None) -> str:
    """Rows that are there of those expected."""
    return NONE if expected is None else f"{count(there)}/{count(expected)}"


def release(fingerprint: str | None) -> str:
    """A release as a person tells it from another."""
    if not fingerprint:
        return NONE
    _, unreleased, digest = fingerprint.rpartition("sha256:")
    return digest[:SHOWN_OF_DIGEST] if unreleased else digest[:SHOWN_OF_RELEASE]
