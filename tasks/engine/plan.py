"""The plan: from a mode, a game day and its schedule to what runs, what is awaited, what must be fresh, and by when.

Everything that starts, waits, shows or alerts derives from this one object.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from graphlib import TopologicalSorter
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict

from tasks.engine.processor import AT_ONCE, Landed, Mode, Need, Phase, Processor, Registry, Span

EASTERN = ZoneInfo("America/New_York")
PREDICTIONS_DUE = dt.time(13, 30)  # 1:30 PM ET
DUE_BEFORE_TIP_OFF = dt.timedelta(minutes=60)
SAME_DAY_STARTS_BEFORE_DUE = dt.timedelta(minutes=60)
RESULTS_ARE_IN = dt.time(4, 0)  # 4 AM ET on the morning after
RESULTS_TAKEN_IN_AFTER = dt.timedelta(hours=2)  # how long an overnight run may take until its tables count as late
NOT_PLAYED = ("postponed", "cancelled")


class Frozen(BaseModel):
    """A value that nobody changes after it was made."""

    model_config = ConfigDict(frozen=True)


class PlanError(Exception):
    """A day that cannot be planned, with the reason."""


class Game(Frozen):
    """A game of the day's slate."""

    game_id: str
    home: str
    away: str
    tip_off: AwareDatetime | None


class Step(Frozen):
    """One processor in this run. It is started and awaited by virtue of being here: there is no second list."""

    processor: str
    phase: Phase
    need: Need
    critical: bool
    after: tuple[str, ...] = ()
    patience: dt.timedelta = AT_ONCE


class Freshness(Frozen):
    """A table that this run reads but does not compute: it must hold everything through a game day."""

    table: str
    through: dt.date
    critical: bool


class Plan(Frozen):
    """What one run of one mode for one game day does, needs and owes."""

    mode: Mode
    game_day: dt.date
    as_of: AwareDatetime
    games: tuple[Game, ...]
    payloads: tuple[str, ...]
    steps: tuple[Step, ...]
    fresh: tuple[Freshness, ...]
    deadline: AwareDatetime | None

    @property
    def first_tip_off(self) -> dt.datetime | None:
        """The day's first tip-off, where any is known."""
        return min((game.tip_off for game in self.games if game.tip_off), default=None)

    def of(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of one phase, in the order in which they can run."""
        return tuple(step for step in self.steps if step.phase == phase)

    def only(self, outputs: Collection[str], registry: Registry) -> Plan:
        """This plan with the steps of these outputs and of everything that is made of them, and nothing else.

        Raises PlanError for an output that the plan does not make.
        """
        made = {step.processor for step in self.steps}
        strangers = sorted(set(outputs) - made)
        if strangers:
            names = ", ".join(strangers)
            raise PlanError(f"{self.mode} {self.game_day} does not make {names}: it makes {', '.join(sorted(made))}")
        again = set(outputs)
        for step in self.steps:  # in order: what a step is made of comes before it
            if again.intersection(step.after):
                again.add(step.processor)
        steps = _among(again, self.steps)
        return self.model_copy(update={"steps": steps, "payloads": payloads_of(steps, registry)})

    def targets(self) -> pl.DataFrame:
        """The game day and as_of as the frame that every transform takes."""
        return targets_frame([(self.game_day, self.as_of)])


def plan(
    mode: Mode,
    game_day: dt.date,
    schedule: pl.DataFrame,
    registry: Registry,
    as_of: dt.datetime | None = None,
) -> Plan:
    """Plan one run.

    `schedule` holds the game day's games and those of earlier days (columns game_id, game_day, home_team, away_team,
    tip_off, status). `as_of` defaults to the instant at which this mode runs by the clock of its game day. A day
    without games gets a plan without steps; one whose games were all called off is closed overnight. Raises PlanError
    where a freshness requirement has no earlier game day.
    """
    games = _games(schedule, game_day)
    called_off = not games and not schedule.filter(pl.col("game_day") == game_day).is_empty()
    first_tip = min((game.tip_off for game in games if game.tip_off), default=None)
    at = as_of or default_as_of(mode, game_day, first_tip)
    steps = steps_of(mode, registry) if games else ()
    if called_off and mode == Mode.OVERNIGHT:
        steps = closing_steps(mode, registry)
    return Plan(
        mode=mode,
        game_day=game_day,
        as_of=at,
        games=games,
        payloads=payloads_of(steps, registry),
        steps=steps,
        fresh=_freshness(mode, game_day, schedule, registry) if games else (),
        deadline=deadline(game_day, first_tip) if games and mode == Mode.SAME_DAY else None,
    )


def steps_of(mode: Mode, registry: Registry) -> tuple[Step, ...]:
    """Every processor that a mode runs, in an order in which each comes after those whose tables it reads."""
    chosen = (item for item in registry if item.runs_in.get(mode) in (Need.REQUIRED, Need.OPTIONAL))
    return tuple(_step(item, mode, registry) for item in in_order(chosen))


def closing_steps(mode: Mode, registry: Registry) -> tuple[Step, ...]:
    """What closes a day on which nothing was played: the last phase, and what it cannot do without."""
    steps = steps_of(mode, registry)
    needed = {step.processor for step in steps if step.phase == Phase.PUBLISH}
    for step in reversed(steps):
        if step.processor in needed:
            needed |= {read.table for read in registry[step.processor].tables_read if not read.optional}
    return _among(needed, steps)


def _among(chosen: Collection[str], steps: Iterable[Step]) -> tuple[Step, ...]:
    """The chosen of these steps, each after those of the others that are chosen too."""
    return tuple(
        step.model_copy(update={"after": tuple(name for name in step.after if name in chosen)})
        for step in steps
        if step.processor in chosen
    )


def payloads_of(steps: Iterable[Step], registry: Registry) -> tuple[str, ...]:
    """The kinds of payload that these steps read: what phase 1 has to fetch."""
    reads = (read for step in steps for read in registry[step.processor].reads.values())
    return tuple(sorted({read.kind for read in reads if isinstance(read, Landed)}))


def deadline(game_day: dt.date, first_tip_off: dt.datetime | None) -> dt.datetime:
    """When predictions are due: 1:30 PM ET, or 60 minutes before the first tip-off if that is earlier. In UTC."""
    due = dt.datetime.combine(game_day, PREDICTIONS_DUE, EASTERN)
    if first_tip_off is not None:
        due = min(due, first_tip_off - DUE_BEFORE_TIP_OFF)
    return due.astimezone(dt.UTC)


def due(mode: Mode, game_day: dt.date, first_tip_off: dt.datetime | None) -> dt.datetime:
    """By when everything that a mode owes for a game day has to be there. In UTC."""
    if mode == Mode.OVERNIGHT:
        return results_known_at(game_day) + RESULTS_TAKEN_IN_AFTER
    return deadline(game_day, first_tip_off)


def default_as_of(mode: Mode, game_day: dt.date, first_tip_off: dt.datetime | None) -> dt.datetime:
    """The instant at which a mode runs for a game day if nobody says otherwise, in UTC.

    Same-day and backfill: an hour before predictions are due. Overnight: 4 AM ET of the next morning.
    """
    if mode == Mode.OVERNIGHT:
        return results_known_at(game_day)
    return deadline(game_day, first_tip_off) - SAME_DAY_STARTS_BEFORE_DUE


def results_known_at(game_day: dt.date) -> dt.datetime:
    """When the results of a game day count as known: 4 AM ET of the next morning, in UTC."""
    morning = dt.datetime.combine(game_day + dt.timedelta(days=1), RESULTS_ARE_IN, EASTERN)
    return morning.astimezone(dt.UTC)


def cutoffs(schedule: pl.DataFrame) -> pl.DataFrame:
    """The as_of of every game day in `schedule` by the default rule: what a same-day run then would have known."""
    first_tips = schedule.filter(is_played()).group_by("game_day").agg(pl.col("tip_off").min()).sort("game_day")
    return targets_frame((day, default_as_of(Mode.BACKFILL, day, tip)) for day, tip in first_tips.iter_rows())


def targets_frame(days: Iterable[tuple[dt.date, dt.datetime]]) -> pl.DataFrame:
    """Game days and their as_of as the frame that transforms take."""
    return pl.DataFrame(list(days), schema={"game_day": pl.Date, "as_of": pl.Datetime("us", "UTC")}, orient="row")


def is_played() -> pl.Expr:
    """Schedule rows of games that take place (or took place) on their day."""
    return ~pl.col("status").is_in(NOT_PLAYED)


def in_order(processors: Iterable[Processor]) -> Iterator[Processor]:
    """Processors by phase, and within it each after those whose tables it reads. Raises CycleError on a circle.

    Reads of earlier days count too: in a run over many days they are made by the same run.
    """
    by_table = {item.table: item for item in sorted(processors, key=lambda item: (item.phase, item.name))}
    graph = {table: [read.table for read in item.tables_read] for table, item in by_table.items()}
    order = [table for table in TopologicalSorter(graph).static_order() if table in by_table]
    return iter(sorted((by_table[table] for table in order), key=lambda item: item.phase))


def _step(item: Processor, mode: Mode, registry: Registry) -> Step:
    after = [
        read.table
        for read in item.tables_read
        if read.span != Span.BEFORE and registry[read.table].runs_in.get(mode) in (Need.REQUIRED, Need.OPTIONAL)
    ]
    return Step(
        processor=item.table,
        phase=item.phase,
        need=item.runs_in[mode],
        critical=item.critical and item.runs_in[mode] == Need.REQUIRED,
        after=tuple(after),
        patience=item.patience,
    )


def _freshness(mode: Mode, game_day: dt.date, schedule: pl.DataFrame, registry: Registry) -> tuple[Freshness, ...]:
    awaited = _awaited_fresh(mode, registry)
    if not awaited:
        return ()
    previous = schedule.filter((pl.col("game_day") < game_day) & is_played())["game_day"].max()
    if previous is None:
        raise PlanError(
            f"{mode} {game_day}: no earlier game day is known, so nothing can be fresh: "
            "run a backfill of the days before, or choose a later game day"
        )
    assert isinstance(previous, dt.date)
    return tuple(Freshness(table=table, through=previous, critical=critical) for table, critical in awaited.items())


def _awaited_fresh(mode: Mode, registry: Registry) -> dict[str, bool]:
    """Tables that this mode reads but does not make, and whether it can do without: declared fresh, or just read."""
    awaited = {item.table: item.critical for item in registry if item.runs_in.get(mode) == Need.FRESH}
    needs = {item.table: item.runs_in.get(mode) for item in registry}
    for reader in registry:
        if needs[reader.table] not in (Need.REQUIRED, Need.OPTIONAL):
            continue
        critical = reader.critical and needs[reader.table] == Need.REQUIRED
        for read in reader.tables_read:
            if needs[read.table] is None and not read.optional:
                awaited[read.table] = awaited.get(read.table, False) or critical
    return awaited


def _games(schedule: pl.DataFrame, game_day: dt.date) -> tuple[Game, ...]:
    rows = schedule.filter((pl.col("game_day") == game_day) & is_played()).sort("tip_off", "game_id", nulls_last=True)
    return tuple(
        Game(game_id=row["game_id"], home=row["home_team"], away=row["away_team"], tip_off=row["tip_off"])
        for row in rows.iter_rows(named=True)
    )
