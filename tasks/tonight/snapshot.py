"""The value that says whether a game day is fine: terminal, dashboard, artifacts and drills show it and add nothing."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from pydantic import AwareDatetime, Field

from tasks.engine.ledger import State
from tasks.engine.plan import Frozen
from tasks.engine.processor import Mode


class Level(StrEnum):
    """The answer in one word."""

    FINE = "fine"
    NO_GAMES = "no games"
    DEGRADED = "degraded"
    FAILING = "failing"

    @property
    def exit_code(self) -> int:
        """What a command that asks ends with: 0 fine, 1 degraded, 2 failing."""
        return {Level.DEGRADED: 1, Level.FAILING: 2}.get(self, 0)

    @property
    def sign(self) -> str:
        """A sign that says the same without colour."""
        return {Level.FINE: "✓", Level.NO_GAMES: "–", Level.DEGRADED: "!", Level.FAILING: "✕"}[self]


class Verdict(Frozen):
    """The answer in one line, and what to do now."""

    level: Level
    says: str
    next_step: str


class Output(Frozen):
    """One expected output: rows counted in the store against rows expected, and its last run."""

    name: str
    mode: Mode
    game_day: dt.date
    state: State
    required: bool
    critical: bool
    rows: int = 0
    there: int | None = Field(None, description="Expected keys that are in the store; None where nobody can say.")
    expected: int | None = None
    missing: tuple[str, ...] = ()
    why: str = ""
    attempts: int = 0
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None
    release: str | None = None
    flow_run_id: str | None = None


class Phase(Frozen):
    """A phase of the night: its outputs, its plan and what became of it."""

    name: str
    mode: Mode
    state: State
    planned_start: AwareDatetime
    deadline: AwareDatetime
    outputs: tuple[Output, ...]

    @property
    def rows(self) -> int:
        """Rows counted in the store."""
        return sum(item.rows for item in self.outputs)

    @property
    def expected(self) -> int | None:
        """Keys that are expected, of the outputs whose inputs say so; None where none does."""
        known = [item.expected for item in self.outputs if item.expected is not None]
        return sum(known) if known else None

    @property
    def there(self) -> int:
        """Expected keys that are in the store."""
        return sum(item.there for item in self.outputs if item.there is not None)

    @property
    def started(self) -> dt.datetime | None:
        """When its first output began."""
        return min((item.started for item in self.outputs if item.started), default=None)

    @property
    def ended(self) -> dt.datetime | None:
        """When its last output was done; None while any runs."""
        begun = [item for item in self.outputs if item.started]
        ends = [item.ended for item in begun if item.ended]
        return max(ends) if begun and len(ends) == len(begun) else None

    @property
    def took(self) -> float | None:
        """Seconds from its first output's start to its last one's end."""
        return (self.ended - self.started).total_seconds() if self.ended and self.started else None

    @property
    def releases(self) -> tuple[str, ...]:
        """The fingerprints of the code that made it."""
        return tuple(dict.fromkeys(item.release for item in self.outputs if item.release))


class Trouble(Frozen):
    """One thing that is wrong: what, since when, whom it hurts, what to do, and where the runbook says more."""

    title: str
    what: str
    level: Level
    since: AwareDatetime | None = None
    impact: str = ""
    next_step: str
    runbook: str


class Mark(Frozen):
    """An instant on the timeline."""

    at: AwareDatetime
    kind: str = Field(description="deadline, tip-off, published, now, opened or resolved")
    says: str


class GameCoverage(Frozen):
    """Predictions of one game: for each system the rows counted in the store and those expected."""

    game: str
    tip_off: AwareDatetime | None
    systems: dict[str, tuple[int, int]]


class Stamp(Frozen):
    """A release that somebody runs, beside the one that is expected of him; `expected` None: nobody has said."""

    who: str
    what: str
    release: str
    expected: str | None = None
    refused: str = ""

    @property
    def matches(self) -> bool | None:
        """Whether it is the expected one; None where that is not known."""
        return None if self.expected is None else self.expected == self.release and not self.refused


class Breaker(Frozen):
    """The circuit breaker of one source that failed lately."""

    source: str
    position: str
    failures: int
    cause: str = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class CalendarDay(Frozen):
    """A day of the season: the worst state of what it owes."""

    game_day: dt.date
    games: int
    state: State | None = Field(description="None: no games, so nothing is owed.")
    lacking: tuple[str, ...] = ()


class AccuracyDay(Frozen):
    """The error of the featured system on one game day, and the line's on the same players; in points."""

    game_day: dt.date
    players: int
    error: float
    line_error: float | None


class Prediction(Frozen):
    """Tonight's prediction for one player by the featured system."""

    player: str
    team: str
    opponent: str
    is_home: bool
    line: float | None
    predicted: float
    quantiles: tuple[float, float, float, float, float] = Field(description="10, 25, 50, 75 and 90 %.")
    over_probability: float | None
    edge: float | None
    recommendation: str
    status: str | None
    degraded: str | None


class Tonight(Frozen):
    """Everything a person asks of a game day, at one instant."""

    game_day: dt.date
    at: AwareDatetime
    origin: str
    verdict: Verdict
    games: int = 0
    called_off: int = 0
    deadline: AwareDatetime | None = None
    first_tip_off: AwareDatetime | None = None
    published_at: AwareDatetime | None = None
    replayed: bool = Field(False, description="The day was run after it was over: its deadline is history.")
    rows: int = 0
    expected: int = 0
    phases: tuple[Phase, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    marks: tuple[Mark, ...] = ()
    coverage: tuple[GameCoverage, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    breakers: tuple[Breaker, ...] = ()
    calendar: tuple[CalendarDay, ...] = ()
    accuracy: tuple[AccuracyDay, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    next_game_day: dt.date | None = None

    @property
    def left(self) -> dt.timedelta | None:
        """The time to the deadline, negative when it has passed; None where none is near."""
        return self.deadline - self.at if self.deadline and not self.replayed else None
