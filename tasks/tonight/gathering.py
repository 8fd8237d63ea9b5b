"""What a look at a game day is made from: read from ledger, warehouse and publications, and counted there and then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from blocks.warehouse import Warehouse, WarehouseError
from blocks.workspace import Workspace
from tasks.catalog import registry
from tasks.engine.coverage import Counted
from tasks.engine.expected import PUBLICATION, ExpectedOutputs, GameDay, Judged, Owed
from tasks.engine.incident_log import IncidentLog
from tasks.engine.incidents import Incident
from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import EASTERN, RESULTS_ARE_IN
from tasks.engine.processor import Mode, Phase
from tasks.engine.season import SEASON_GAP, game_days, owed
from tasks.publishing.publication import Manifest, read_manifest
from tasks.publishing.tally import judged, tally
from tasks.tonight.snapshot import Stamp

NEAR = dt.timedelta(days=8)  # within which the last game day is looked for, where the ledger has not heard of any
SEASON = dt.timedelta(days=300)
ACCURACY_DAYS = dt.timedelta(days=30)
SOURCES_LOOKED_AT = dt.timedelta(days=2)  # failures of a source longer ago say nothing of tonight
SCHEDULE, PREDICTIONS, FEATURES, ACCURACY = "schedule", "predictions", "ml_feature_store", "accuracy_daily"
Told = tuple[Incident, dt.datetime, dt.datetime | None]  # an incident, when it opened, when it was resolved
Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Facts:
    """What was found. Whatever could not be read is named in `unreadable`, and the rest is there."""

    game_day: dt.date
    now: dt.datetime
    origin: str
    days: Sequence[GameDay] = ()
    judged: Sequence[Judged] = ()
    counted: Mapping[tuple[dt.date, str, str], Counted] = field(default_factory=dict)
    season: Sequence[Judged] = ()
    runs: Runs = ()
    source_runs: Runs = ()
    incidents: Sequence[Told] = ()
    manifest: Manifest | None = None
    predictions: pl.DataFrame = field(default_factory=pl.DataFrame)
    eligible: pl.DataFrame = field(default_factory=pl.DataFrame)
    schedule: pl.DataFrame = field(default_factory=pl.DataFrame)
    accuracy: pl.DataFrame = field(default_factory=pl.DataFrame)
    stamps: Sequence[Stamp] = ()
    unreadable: tuple[str, ...] = ()
    ever_run: bool = True
    last_known: dt.date | None = None  # the last game day whose schedule is here, where that of this one is not
    options: str = ""  # what a command needs to work on this workspace

    @property
    def day(self) -> GameDay | None:
        """What is known of the game day itself."""
        return next((day for day in self.days if day.game_day == self.game_day), None)


def tonight_of(now: dt.datetime) -> dt.date:
    """The game day that a person means by "tonight": yesterday's until its results count as known."""
    local = now.astimezone(EASTERN)
    return local.date() if local.time() >= RESULTS_ARE_IN else local.date() - dt.timedelta(days=1)


def gather(workspace: Workspace, game_day: dt.date, now: dt.datetime, origin: str, *, season: bool = False) -> Facts:
    """Look at a game day. With `season`, also at every day of its season, for the calendar.

    What cannot be read is said, never guessed: `Facts.unreadable` has a sentence for each.
    """
    look = _Look(workspace, game_day, now)
    return look.facts(origin, season)


class _Look:
    """One look: the stores, the day, and what could not be read."""

    def __init__(self, workspace: Workspace, game_day: dt.date, now: dt.datetime) -> None:
        self.workspace, self.game_day, self.now = workspace, game_day, now
        self.warehouse: Warehouse = workspace.warehouse
        self.ledger = Ledger(workspace.ledger_url)
        self.unreadable: list[str] = []

    def facts(self, origin: str, season: bool) -> Facts:
        """Everything, each part on its own: one that cannot be read takes nothing else with it."""
        known = self._attempt("the ledger", lambda: self._days(season), [])
        days = known or self._days_of_schedule(season)
        last = max((day.game_day for day in days if day.games and day.game_day < self.game_day), default=self.game_day)
        expected = ExpectedOutputs(self.ledger)
        seeded = self._attempt("the ledger", lambda: expected.of(last, self.game_day), []) if known else []
        runs = self._attempt("the ledger", lambda: self.ledger.runs(covering=(last, self.game_day)), [])
        owed_now = seeded or self._owed([day for day in days if day.game_day in (last, self.game_day)])
        mine = [item for item in owed_now if _of_tonight(item.owed, self.game_day, last)]
        mine = [item for item in mine if item.owed.output in {PUBLICATION, *registry().processors}]
        manifest = self._attempt("the publication", self._manifest, None)
        counted = self._attempt("the warehouse", lambda: tally(mine, self.workspace, registry()), {})
        found = judged(mine, counted, runs, registry(), self.now) if counted else []
        last_known = None if any(day.game_day == self.game_day for day in days) else self._last_known(days)
        return Facts(
            game_day=self.game_day,
            now=self.now,
            origin=origin,
            days=days,
            judged=found,
            counted=counted,
            season=self._attempt("the season", lambda: self._season(days, bool(known)), []) if season else [],
            runs=runs,
            source_runs=self._attempt("the ledger", lambda: self.ledger.runs(since=self.now - SOURCES_LOOKED_AT), []),
            incidents=self._attempt("the incidents", self._incidents, []),
            manifest=manifest,
            predictions=self._attempt("the predictions", lambda: self._read(PREDICTIONS, [self.game_day]), _NONE),
            eligible=self._attempt("the features", self._eligible, _NONE),
            schedule=self._attempt("the schedule", lambda: self._read(SCHEDULE, [self.game_day]), _NONE),
            accuracy=self._attempt("the accuracy", self._accuracy, _NONE) if season else _NONE,
            unreadable=tuple(dict.fromkeys(self.unreadable)),
            ever_run=bool(runs) or bool(known) or self._attempt("the warehouse", self._anything, True),
            last_known=last_known,
        )

    def _attempt(self, what: str, read: Any, otherwise: Any) -> Any:
        try:
            return read()
        except (SQLAlchemyError, OSError, WarehouseError, ValueError) as error:
            first = str(error).split("\n")[0]
            self.unreadable.append(f"{what} cannot be read: {first}")
            return otherwise

    def _days(self, season: bool) -> list[GameDay]:
        first = self.game_day - (SEASON if season else SEASON_GAP)
        return ExpectedOutputs(self.ledger).days(first, self.game_day + SEASON_GAP)

    def _days_of_schedule(self, season: bool) -> list[GameDay]:
        """The days as the schedule table has them, where the ledger has not heard of any yet."""
        known = sorted(self._scheduled())
        near = known if season else [day for day in known if abs(day - self.game_day) <= NEAR]
        if not near or self.game_day > near[-1]:
            return []
        first = _without_gaps(near, self.game_day)
        wanted = [day for day in near if day >= first]
        schedule = self._attempt("the schedule", lambda: self._read(SCHEDULE, wanted), None)
        return game_days(schedule, first, max(near), self.now) if schedule is not None else []

    def _scheduled(self) -> Iterable[dt.date]:
        found: Iterable[dt.date] = self._attempt("the warehouse", lambda: self.warehouse.partitions(SCHEDULE), {})
        return found

    def _last_known(self, days: Sequence[GameDay]) -> dt.date | None:
        return max((*(day.game_day for day in days if day.games), *self._scheduled()), default=None)

    def _owed(self, days: Iterable[GameDay], since: dt.date | None = None) -> list[Judged]:
        made = owed(list(days), registry(), since or self.game_day)
        return [Judged(owed=item, state=State.NOT_DUE, since=item.starts_at) for item in made]

    def _season(self, days: Sequence[GameDay], seeded: bool) -> list[Judged]:
        """Every output of the season as last judged; counted here where nobody has judged yet."""
        if not days:
            return []
        if seeded:
            return ExpectedOutputs(self.ledger).of(days[0].game_day, days[-1].game_day)
        predicted = min(self.warehouse.partitions(PREDICTIONS), default=self.game_day)
        items = [item for item in self._owed(days, predicted) if item.owed.output != PUBLICATION]
        runs = self.ledger.runs(covering=(days[0].game_day, days[-1].game_day))
        return judged(items, tally(items, self.workspace, registry()), runs, registry(), self.now)

    def _incidents(self) -> list[Told]:
        log = IncidentLog(self.ledger)
        midnight = dt.datetime.combine(self.game_day, dt.time(), EASTERN)
        told = log.history(midnight.astimezone(dt.UTC))
        listed = {incident.resource_id for incident, _, resolved in told if resolved is None}
        older = [(item, item.since, None) for item in log.open() if item.resource_id not in listed]
        return [*older, *told]

    def _manifest(self) -> Manifest | None:
        return read_manifest(self.workspace.publications, self.game_day)

    def _read(self, table: str, days: Sequence[dt.date]) -> pl.DataFrame:
        return self.warehouse.read(registry()[table].writes.spec, days)

    def _eligible(self) -> pl.DataFrame:
        spec = registry()[FEATURES].writes.spec
        frame = self.warehouse.read(spec, [self.game_day], ["game_day", "game_id", "player_id", "eligible"])
        return frame.filter("eligible")

    def _accuracy(self) -> pl.DataFrame:
        first = self.game_day - ACCURACY_DAYS
        days = [day for day in self.warehouse.partitions(ACCURACY) if first <= day <= self.game_day]
        return self._read(ACCURACY, days)

    def _anything(self) -> bool:
        return bool(self.warehouse.tables())


_NONE = pl.DataFrame()


def _of_tonight(item: Owed, game_day: dt.date, last: dt.date) -> bool:
    """What tonight stands on: its own outputs, and the results of the last game day before it."""
    if item.mode == Mode.SAME_DAY:
        return item.game_day == game_day
    return item.game_day == last != game_day and item.phase < Phase.PREDICTIONS


def _without_gaps(days: Sequence[dt.date], game_day: dt.date) -> dt.date:
    """The first day of the season that `game_day` is in: no pause longer than that between two seasons lies between."""
    first = game_day
    for day in sorted((day for day in days if day <= game_day), reverse=True):
        if first - day > SEASON_GAP:
            break
        first = day
    return first
