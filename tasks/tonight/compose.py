"""From what was found to the one value that is shown: pure, so that any instant of any night can be held to a test."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl

from tasks.engine.breaker import Position, breaker
from tasks.engine.expected import PUBLICATION, GameDay, Judged
from tasks.engine.ledger import State
from tasks.engine.processor import Mode, Need
from tasks.engine.processor import Phase as Stage
from tasks.tonight.gathering import Facts, Runs
from tasks.tonight.snapshot import (
    AccuracyDay,
    Breaker,
    CalendarDay,
    GameCoverage,
    Mark,
    Output,
    Phase,
    Prediction,
    Stamp,
    Tonight,
)
from tasks.tonight.verdict import Situation, troubles_of, verdict_of

FEATURED_SYSTEM = "ensemble"
SHOWN_QUANTILES = ("points_q10", "points_q25", "points_q50", "points_q75", "points_q90")
WORST_FIRST = (
    *(State.FAILED, State.BLOCKED, State.LATE, State.PARTIAL, State.RUNNING),
    *(State.EXPECTED, State.DEGRADED, State.NOT_DUE, State.COMPLETE, State.EMPTY_OK),
)


def tonight(facts: Facts) -> Tonight:
    """Judge what was found."""
    day = facts.day
    phases = tuple(_phases(facts))
    replayed = _replayed(facts, day)
    published = _published_at(facts)
    situation = Situation(
        facts=facts, phases=phases, replayed=replayed, published_at=published, stamps=_stamps(facts, phases)
    )
    troubles = tuple(troubles_of(situation))
    rows, expected = _predictions_counted(phases)
    return Tonight(
        game_day=facts.game_day,
        at=facts.now,
        origin=facts.origin,
        verdict=verdict_of(situation, troubles),
        games=day.games if day else 0,
        called_off=day.called_off if day else 0,
        deadline=day.deadline if day else None,
        first_tip_off=day.first_tip_off if day else None,
        published_at=published,
        replayed=replayed,
        rows=rows,
        expected=expected,
        phases=phases,
        troubles=troubles,
        marks=tuple(_marks(facts, published)),
        coverage=tuple(_coverage(facts)),
        stamps=situation.stamps,
        breakers=tuple(_breakers(facts.source_runs, facts.now)),
        calendar=tuple(_calendar(facts)),
        accuracy=tuple(_accuracy(facts.accuracy)),
        predictions=tuple(_predictions(facts.predictions)),
        next_game_day=min(
            (item.game_day for item in facts.days if item.games and item.game_day > facts.game_day), default=None
        ),
    )


def worst(states: Sequence[State]) -> State:
    """The state of several outputs taken as one."""
    return min(states, key=WORST_FIRST.index)


def _phases(facts: Facts) -> Iterator[Phase]:
    """The phases in the order of the night: last night's results first, then tonight's."""
    ordered = sorted(facts.judged, key=lambda item: (item.owed.starts_at, item.owed.mode, item.owed.phase))
    for (mode, stage), group in groupby(ordered, key=lambda item: (item.owed.mode, item.owed.phase)):
        items = list(group)
        required = [item.state for item in items if item.owed.need == Need.REQUIRED]
        state = worst(required or [item.state for item in items])
        optional = [item.state for item in items if item.owed.need != Need.REQUIRED]
        if state == State.COMPLETE and any(one in (State.FAILED, State.BLOCKED, State.DEGRADED) for one in optional):
            state = State.DEGRADED
        yield Phase(
            name=Stage(stage).name.lower(),
            mode=mode,
            state=state,
            planned_start=min(item.owed.starts_at for item in items),
            deadline=max(item.owed.expected_by for item in items),
            outputs=tuple(_output(item, facts) for item in items),
        )


def _output(item: Judged, facts: Facts) -> Output:
    owed, counted = item.owed, facts.counted.get(item.key)
    run = _last_run(facts.runs, owed.output, owed.game_day, owed.mode) or {}
    there = None if counted is None or counted.expected is None else counted.expected - counted.missing
    published = facts.manifest if owed.output == PUBLICATION else None
    return Output(
        name=owed.output,
        mode=owed.mode,
        game_day=owed.game_day,
        state=item.state,
        required=owed.need == Need.REQUIRED,
        critical=owed.critical,
        rows=item.counted_rows or 0,
        there=there,
        expected=item.expected_rows,
        missing=item.missing_sample,
        why=item.why,
        attempts=item.attempts,
        started=run.get("started_at"),
        ended=published.published_at if published else run.get("ended_at"),
        release=published.release if published else run.get("fingerprint"),
        flow_run_id=run.get("flow_run_id"),
    )


def _last_run(runs: Runs, output: str, day: dt.date, mode: Mode) -> Mapping[str, Any] | None:
    """The run that made an output: the mode's own last one, else the last backfill over its day."""
    covering = [run for run in runs if run["processor"] == output and run["first_game_day"] <= day <= run["game_day"]]
    for wanted in (mode.value, Mode.BACKFILL.value):
        if own := [run for run in covering if run["mode"] == wanted]:
            return own[-1]
    return None


def _replayed(facts: Facts, day: GameDay | None) -> bool:
    """Whether the day was first worked on after it had begun to be played: then its deadline is nobody's any more.

    A day that was known before its deadline is no replay, however late its runs came.
    """
    if day is None or day.deadline is None or day.seen_at <= day.deadline:
        return False
    tonights = [run for run in facts.runs if run["mode"] == Mode.SAME_DAY.value and run["game_day"] == facts.game_day]
    first = min((run["started_at"] for run in tonights), default=facts.now)
    return bool(first > (day.first_tip_off or day.deadline))


def _published_at(facts: Facts) -> dt.datetime | None:
    """When the day's publication was first whole: a later one replaces the files, not the fact."""
    if facts.manifest is None:
        return None
    known = [item.since for item in facts.season if item.owed.game_day == facts.game_day and _was_whole(item)]
    return min([facts.manifest.published_at, *known])


def _was_whole(item: Judged) -> bool:
    """Whether somebody has judged the publication whole before now."""
    whole = item.state in (State.COMPLETE, State.DEGRADED)
    return item.owed.output == PUBLICATION and whole and item.reconciled_at is not None


def _predictions_counted(phases: Sequence[Phase]) -> tuple[int, int]:
    for phase in phases:
        for output in phase.outputs:
            if output.name == "predictions" and output.mode == Mode.SAME_DAY:
                return output.there if output.there is not None else output.rows, output.expected or 0
    return 0, 0


def _marks(facts: Facts, published: dt.datetime | None) -> Iterator[Mark]:
    day = facts.day
    if day is not None and day.deadline is not None:
        yield Mark(at=day.deadline, kind="deadline", says="predictions due")
    if day is not None and day.first_tip_off is not None:
        yield Mark(at=day.first_tip_off, kind="tip-off", says="first tip-off")
    if published is not None:
        yield Mark(at=published, kind="published", says="predictions published")
    for incident, opened, resolved in facts.incidents:
        yield Mark(at=opened, kind="opened", says=f"{incident.kind.heading}: {incident.subject}")
        if resolved is not None:
            yield Mark(at=resolved, kind="resolved", says=f"over: {incident.kind.heading.lower()}: {incident.subject}")


def _coverage(facts: Facts) -> Iterator[GameCoverage]:
    """Rows against eligible players, for every game of the day and every system."""
    if facts.schedule.is_empty() and facts.predictions.is_empty():
        return
    eligible = _by(facts.eligible, ["game_id"])
    there = _by(facts.predictions, ["game_id", "system"])
    systems = list(facts.manifest.systems) if facts.manifest else sorted({system for _, system in there})
    for game in facts.schedule.sort("tip_off", "game_id", nulls_last=True).iter_rows(named=True):
        expected = eligible.get((game["game_id"],), 0)
        counts = {system: (there.get((game["game_id"], system), 0), expected) for system in systems}
        name = f"{game['away_team']} at {game['home_team']}"
        if game["status"] not in ("postponed", "cancelled"):
            yield GameCoverage(game=name, tip_off=game["tip_off"], systems=counts)


def _by(frame: pl.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], int]:
    if frame.is_empty():
        return {}
    return {row[:-1]: row[-1] for row in frame.group_by(keys).len().iter_rows()}


def _stamps(facts: Facts, phases: Sequence[Phase]) -> tuple[Stamp, ...]:
    """Which code made each phase of tonight, beside the code of the publication, or of the newest phase."""
    tonights = [phase for phase in phases if phase.mode == Mode.SAME_DAY and phase.releases]
    if not tonights:
        return tuple(facts.stamps)
    expected = facts.manifest.release if facts.manifest and facts.manifest.release else tonights[-1].releases[-1]
    made = [
        Stamp(who=phase.name, what="phase", release=release, expected=expected)
        for phase in tonights
        for release in phase.releases
    ]
    return (*made, *facts.stamps)


def _breakers(runs: Runs, now: dt.datetime) -> Iterator[Breaker]:
    """Every source that was asked lately, those that are left alone first."""
    by_source: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run["dependency"]:
            by_source.setdefault(run["dependency"], []).append(run)
    found = [(name, breaker(mine, now)) for name, mine in sorted(by_source.items())]
    for name, one in sorted(found, key=lambda item: item[1].position == Position.CLOSED):
        yield Breaker(
            source=name,
            position=one.position.value,
            failures=one.failures,
            cause=one.cause,
            since=one.since,
            until=one.until,
        )


def _calendar(facts: Facts) -> Iterator[CalendarDay]:
    owed: dict[dt.date, list[Judged]] = {}
    replayed = _replayed(facts, facts.day)
    for item in [*(one for one in facts.season if one.key not in facts.counted), *facts.judged]:
        to_come = replayed and item.owed.mode == Mode.OVERNIGHT and item.owed.game_day >= facts.game_day
        if item.owed.need == Need.REQUIRED and not to_come:  # in a replay the next morning has not come
            owed.setdefault(item.owed.game_day, []).append(item)
    for day in facts.days:
        items = owed.get(day.game_day, [])
        sound = (State.COMPLETE, State.EMPTY_OK, State.NOT_DUE, State.EXPECTED, State.RUNNING)
        lacking = sorted({f"{item.owed.output} {item.state}" for item in items if item.state not in sound})
        state = worst([item.state for item in items]) if items else None
        yield CalendarDay(game_day=day.game_day, games=day.games, state=state, lacking=tuple(lacking))


def _accuracy(frame: pl.DataFrame) -> Iterator[AccuracyDay]:
    if frame.is_empty():
        return
    rows = frame.filter(pl.col("system") == FEATURED_SYSTEM, pl.col("population") == "with_line").sort("game_day")
    for row in rows.iter_rows(named=True):
        yield AccuracyDay(game_day=row["game_day"], players=row["n"], error=row["mae"], line_error=row["line_mae"])


def _predictions(frame: pl.DataFrame) -> Iterator[Prediction]:
    """The featured system's predictions, the largest edges first."""
    if frame.is_empty():
        return
    rows = frame.filter(pl.col("system") == FEATURED_SYSTEM).sort(
        pl.col("edge").abs(), "predicted_points", "player_name", descending=[True, True, False], nulls_last=True
    )
    for row in rows.iter_rows(named=True):
        yield Prediction(
            player=row["player_name"],
            team=row["team"],
            opponent=row["opponent"],
            is_home=row["is_home"],
            line=row["line"],
            predicted=row["predicted_points"],
            quantiles=tuple(row[name] for name in SHOWN_QUANTILES),
            over_probability=row["over_probability"],
            edge=row["edge"],
            recommendation=row["recommendation"],
            status=row["status"],
            degraded=row["degraded_reasons"] if row["degraded"] else None,
        )
