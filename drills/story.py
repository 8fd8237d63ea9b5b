"""What a drill is and what it came to, as values: the original's course, our moments, and the verdict."""

from __future__ import annotations

import datetime as dt

from pydantic import AwareDatetime, Field

from tasks.engine.plan import EASTERN, Frozen

GAME_DAY = dt.date(2025, 12, 29)


def at(hour: int, minute: int = 0) -> dt.datetime:
    """An hour of the drill's day in New York."""
    return dt.datetime.combine(GAME_DAY, dt.time(hour, minute), EASTERN).astimezone(dt.UTC)


BEGINS, DEADLINE = at(12, 30), at(13, 30)


class Moment(Frozen):
    """Something that happened: seen in a log, an event, a message, the ledger or the store."""

    at: AwareDatetime
    says: str
    kind: str = Field("step", description="step, fault, detected, healed or complete")


class Original(Frozen):
    """How it went then. Minutes count from the fault; None where nobody noticed within the day."""

    source: str = Field(description="The incident's row in the history of the original.")
    what: str
    detected_after: float | None = None
    detected_by: str = "a person"
    healed_after: float | None = None
    predictions: float | None = Field(None, description="Share that was there in the end.")

    @property
    def repair(self) -> float | None:
        """Minutes from being noticed to what was taken for healed."""
        known = self.healed_after is not None and self.detected_after is not None
        return (self.healed_after or 0.0) - (self.detected_after or 0.0) if known else None


class Expected(Frozen):
    """What ours must come to for the drill to pass."""

    detected_within: dt.timedelta
    complete: bool = True
    by_deadline: bool = True
    heard: bool = Field(True, description="Whether a message has to have arrived.")


class Drill(Frozen):
    """A drill as it is declared: its name, the original's course, and what is expected of ours."""

    name: str
    title: str
    original: Original
    expected: Expected


class Result(Frozen):
    """What a drill came to."""

    drill: Drill
    moments: tuple[Moment, ...]
    rows: int | None = Field(None, description="Predictions in the store in the end; None where none are at stake.")
    of: int | None = None
    messages: tuple[str, ...] = ()
    error: str = ""
    seconds: float = Field(0.0, description="Wall time of the whole drill.")

    def first(self, kind: str) -> Moment | None:
        """The first moment of this kind."""
        return min((moment for moment in self.moments if moment.kind == kind), key=lambda m: m.at, default=None)

    def after_fault(self, kind: str) -> dt.timedelta | None:
        """The time from the fault to the first moment of this kind."""
        fault, found = self.first("fault"), self.first(kind)
        return found.at - fault.at if fault and found else None

    @property
    def repair(self) -> dt.timedelta | None:
        """The time from being noticed to being healed."""
        detected, healed = self.first("detected"), self.first("healed")
        return healed.at - detected.at if detected and healed else None

    @property
    def failures(self) -> tuple[str, ...]:
        """What the drill did not come to; none: it has passed."""
        return tuple(self._failures())

    def _failures(self) -> list[str]:
        expected, found = self.drill.expected, []
        detected, complete = self.after_fault("detected"), self.first("complete")
        if self.error:
            found.append(self.error)
        if detected is None:
            found.append("nobody noticed")
        elif detected > expected.detected_within:
            found.append(f"noticed after {minutes(detected)}, not within {minutes(expected.detected_within)}")
        if expected.heard and not self.messages:
            found.append("no message arrived")
        if expected.complete and complete is None:
            found.append("predictions were never complete")
        if expected.complete and self.rows != self.of:
            found.append(f"{self.rows} of {self.of} predictions")
        if expected.by_deadline and complete is not None and complete.at > DEADLINE:
            found.append(f"complete at {clock(complete.at)}, after the deadline")
        return found

    @property
    def verdict(self) -> str:
        """The verdict in a line."""
        complete = self.first("complete")
        parts = [f"detected after {minutes(self.after_fault('detected'))}"]
        healed = self.after_fault("healed")
        parts += [f"healed after {minutes(healed)}"] if healed is not None else []
        if complete is not None:
            met = "met" if complete.at <= DEADLINE else "missed"
            parts.append(f"{self.rows:,} of {self.of:,} predictions complete at {clock(complete.at)}: deadline {met}")
        return ", ".join(parts)


def clock(instant: dt.datetime) -> str:
    """The drill's time in New York, to the second."""
    return f"{instant.astimezone(EASTERN):%I:%M:%S %p}".lstrip("0")


def minutes(span: dt.timedelta | float | None) -> str:
    """A span as people say it."""
    if span is None:
        return "never"
    seconds = span.total_seconds() if isinstance(span, dt.timedelta) else span * 60
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
