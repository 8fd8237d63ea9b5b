"""The expected outputs, beside the processor runs: what every game day owes, by when, and what was counted of it.

A row is made from the plan before the day comes (`seed`), and judged against the store afterwards (`settle`): its state
is always the last judgement of `tasks.engine.reconcile`, and nobody else writes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime
from sqlalchemy.exc import IntegrityError

from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import Frozen
from tasks.engine.processor import Mode, Need, Phase
from tasks.engine.schema import EXPECTED_OUTPUTS, GAME_DAYS

SEEDING_TRIES = 5
PUBLICATION = "publication"  # the one output that is no table


class GameDay(Frozen):
    """What the schedule said of a date when it was last looked at. No games is a fact too."""

    game_day: dt.date
    games: int
    called_off: int = 0
    first_tip_off: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    seen_at: AwareDatetime


class Owed(Frozen):
    """What the plan of one mode owes for one game day: an output, when its run starts, and by when it is expected."""

    game_day: dt.date
    mode: Mode
    output: str
    phase: Phase
    need: Need
    critical: bool
    starts_at: AwareDatetime
    expected_by: AwareDatetime
    games: int

    @property
    def key(self) -> tuple[dt.date, str, str]:
        """Game day, mode and output."""
        return (self.game_day, self.mode.value, self.output)


class Judged(Frozen):
    """The state of an owed output with what it was judged by. `since` is when it came into this state."""

    owed: Owed
    state: State
    since: AwareDatetime
    expected_rows: int | None = None
    counted_rows: int | None = None
    missing_sample: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    attempts: int = 0
    reconciled_at: AwareDatetime | None = None

    @property
    def key(self) -> tuple[dt.date, str, str]:
        """Game day, mode and output."""
        return self.owed.key

    @property
    def why(self) -> str:
        """The evidence in one line."""
        return "; ".join(self.evidence)


class ExpectedOutputs:
    """Reads and writes the expected outputs of a ledger.

    Writing follows the ledger's rule: a fault is logged and counted in `ledger.faults`, and costs nobody's work.
    Reading raises, so that whoever decides by it knows that it cannot.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def seed(self, days: Iterable[GameDay], owed: Iterable[Owed]) -> int:
        """Make known what these days owe, and return how many rows are new or changed. Judgements are kept."""
        return self.ledger.guarded("seed", lambda: self._seed(list(days), list(owed)), 0)

    def settle(self, judged: Iterable[Judged]) -> None:
        """Keep these judgements."""
        rows = [_row_of(item) for item in judged]
        if not rows:
            return

        def write() -> None:
            names = [name for name in rows[0] if name not in _KEY]
            update = EXPECTED_OUTPUTS.update().where(*(EXPECTED_OUTPUTS.c[n] == sa.bindparam(f"_{n}") for n in _KEY))
            update = update.values({name: sa.bindparam(name) for name in names})
            with self.ledger.connect().begin() as connection:
                connection.execute(update, [{(f"_{k}" if k in _KEY else k): v for k, v in row.items()} for row in rows])

        self.ledger.guarded("settle", write, None)

    def of(
        self,
        first: dt.date | None = None,
        last: dt.date | None = None,
        *,
        mode: Mode | None = None,
        states: Iterable[State] | None = None,
    ) -> list[Judged]:
        """Expected outputs with their last judgement, by day, mode, phase and output, narrowed by what is given."""
        table = EXPECTED_OUTPUTS.c
        query = sa.select(EXPECTED_OUTPUTS).order_by(table.game_day, table.mode, table.phase, table.output)
        query = _between(query, table.game_day, first, last)
        if mode is not None:
            query = query.where(table.mode == mode.value)
        if states is not None:
            query = query.where(table.state.in_([state.value for state in states]))
        with self.ledger.connect().connect() as connection:
            return [_judged_of(row) for row in connection.execute(query).mappings()]

    def days(self, first: dt.date | None = None, last: dt.date | None = None) -> list[GameDay]:
        """What is known of these dates, in order."""
        query = _between(sa.select(GAME_DAYS).order_by(GAME_DAYS.c.game_day), GAME_DAYS.c.game_day, first, last)
        with self.ledger.connect().connect() as connection:
            return [GameDay(**row) for row in connection.execute(query).mappings()]

    def _seed(self, days: list[GameDay], owed: list[Owed]) -> int:
        for tries_left in reversed(range(SEEDING_TRIES)):
            try:
                return self._seed_once(days, owed)
            except IntegrityError:  # another process seeds the same days in the same moment
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _seed_once(self, days: list[GameDay], owed: list[Owed]) -> int:
        with self.ledger.connect().begin() as connection:
            changed = _upsert(connection, GAME_DAYS, ["game_day"], [day.model_dump() for day in days], {}, {"seen_at"})
            return changed + _upsert(
                connection, EXPECTED_OUTPUTS, list(_KEY), [_plain(item) for item in owed], _UNJUDGED, set()
            )


_KEY = ("game_day", "mode", "output")
_UNJUDGED: dict[str, Any] = {"state": State.NOT_DUE.value, "attempts": 0}


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    key: Sequence[str],
    rows: list[dict[str, Any]],
    defaults: dict[str, Any],
    ignored: set[str],
) -> int:
    """Insert the rows that are new and update those that differ in more than `ignored`."""
    if not rows:
        return 0
    names = list(rows[0])
    first, last = min(row["game_day"] for row in rows), max(row["game_day"] for row in rows)
    query = sa.select(*(table.c[name] for name in names)).where(table.c.game_day.between(first, last))
    known = {tuple(row[name] for name in key): dict(row) for row in connection.execute(query).mappings()}
    new, changed = [], []
    for row in rows:
        found = known.get(tuple(row[name] for name in key))
        if found is None:
            since = {"since": row["starts_at"]} if "since" in table.c else {}
            new.append(row | defaults | since)
        elif any(found[name] != row[name] for name in names if name not in ignored):
            changed.append(row)
    if new:
        connection.execute(table.insert(), new)
    if changed:
        update = table.update().where(*(table.c[name] == sa.bindparam(f"_{name}") for name in key))
        update = update.values({name: sa.bindparam(name) for name in names if name not in key})
        connection.execute(update, [{(f"_{k}" if k in key else k): v for k, v in row.items()} for row in changed])
    return len(new) + len(changed)


def _between(query: sa.Select[Any], day: Any, first: dt.date | None, last: dt.date | None) -> sa.Select[Any]:
    if first is not None:
        query = query.where(day >= first)
    return query.where(day <= last) if last is not None else query


def _plain(owed: Owed) -> dict[str, Any]:
    return owed.model_dump() | {"mode": owed.mode.value, "phase": int(owed.phase), "need": owed.need.value}


def _row_of(judged: Judged) -> dict[str, Any]:
    day, mode, output = judged.key
    return {
        "game_day": day,
        "mode": mode,
        "output": output,
        "state": judged.state.value,
        "since": judged.since,
        "expected_rows": judged.expected_rows,
        "counted_rows": judged.counted_rows,
        "missing_sample": list(judged.missing_sample),
        "evidence": list(judged.evidence),
        "attempts": judged.attempts,
        "reconciled_at": judged.reconciled_at,
    }


def _judged_of(row: sa.RowMapping) -> Judged:
    return Judged(
        owed=Owed(**{name: row[name] for name in Owed.model_fields}),
        state=State(row["state"]),
        since=row["since"],
        expected_rows=row["expected_rows"],
        counted_rows=row["counted_rows"],
        missing_sample=tuple(row["missing_sample"] or ()),
        evidence=tuple(row["evidence"] or ()),
        attempts=row["attempts"],
        reconciled_at=row["reconciled_at"],
    )
