"""Which incidents are open: kept beside the runs, so that each is told once when it opens and once when it is over."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import sqlalchemy as sa

from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.ledger import Ledger
from tasks.engine.plan import Frozen
from tasks.engine.schema import INCIDENTS

Tell = Callable[[Incident, bool], None]  # the incident, and whether it has opened


class Edges(Frozen):
    """What changed between two looks: incidents that have opened, and those that are over."""

    opened: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()


def edges(open_now: Iterable[Incident], found: Iterable[Incident], held: Callable[[Incident], bool]) -> Edges:
    """Compare the open incidents with those found. An open one that `held` says is undecided stays open."""
    before = {item.resource_id: item for item in open_now}
    now = {item.resource_id: item for item in found}
    return Edges(
        opened=tuple(item for name, item in now.items() if name not in before),
        resolved=tuple(item for name, item in before.items() if name not in now and not held(item)),
    )


class IncidentLog:
    """The incidents of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def open(self, kinds: Collection[IncidentKind] | None = None) -> list[Incident]:
        """The incidents that are open, oldest first."""
        return [incident for _, incident in self._open(kinds)]

    def settle(
        self,
        kinds: Collection[IncidentKind],
        found: Sequence[Incident],
        at: dt.datetime,
        tell: Tell,
        held: Callable[[Incident], bool] = lambda _: False,
    ) -> Edges:
        """Bring the open incidents of these kinds in line with those found, and tell every change, once.

        An incident is told before it is recorded: if recording fails it is told again at the next look, under the same
        event id; the other way round it might never be told. Raises what reading the log raises.
        """
        known = self._open(kinds)
        changed = edges((incident for _, incident in known), found, held)
        ids = {incident.resource_id: row for row, incident in known}
        for incident in changed.opened:
            tell(incident, True)
            self.ledger.guarded("record an incident in", partial(self._add, incident, at), None)
        for incident in changed.resolved:
            tell(incident, False)
            row = ids[incident.resource_id]
            self.ledger.guarded("resolve an incident in", partial(self._close, row, at), None)
        return changed

    def history(self, since: dt.datetime) -> list[tuple[Incident, dt.datetime, dt.datetime | None]]:
        """Incidents opened since then, with when they were opened and resolved, oldest first."""
        table = INCIDENTS.c
        query = sa.select(table.incident, table.opened_at, table.resolved_at).where(table.opened_at >= since)
        with self.ledger.connect().connect() as connection:
            rows = connection.execute(query.order_by(table.opened_at)).all()
        return [(Incident.model_validate(incident), opened, resolved) for incident, opened, resolved in rows]

    def _open(self, kinds: Collection[IncidentKind] | None) -> list[tuple[str, Incident]]:
        table = INCIDENTS.c
        query = sa.select(table.id, table.incident).where(table.resolved_at.is_(None)).order_by(table.opened_at)
        if kinds is not None:
            query = query.where(table.kind.in_([kind.value for kind in kinds]))
        with self.ledger.connect().connect() as connection:
            return [(row, Incident.model_validate(incident)) for row, incident in connection.execute(query)]

    def _add(self, incident: Incident, at: dt.datetime) -> None:
        row = {
            "id": str(uuid.uuid4()),
            "resource_id": incident.resource_id,
            "kind": incident.kind.value,
            "incident": incident.model_dump(mode="json"),
            "opened_at": at,
        }
        with self.ledger.connect().begin() as connection:
            connection.execute(INCIDENTS.insert().values(**row))

    def _close(self, row: str, at: dt.datetime) -> None:
        with self.ledger.connect().begin() as connection:
            connection.execute(INCIDENTS.update().where(INCIDENTS.c.id == row).values(resolved_at=at))
