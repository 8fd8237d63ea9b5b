"""How one kind of facts is fetched: recorded in the ledger, retried if that may help, left alone where it did not."""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from blocks.landing import fetched_at
from blocks.warehouse import DayRange
from flows.clock import utc_now
from flows.narration import narrate
from flows.run import Run
from tasks.engine.breaker import Breaker, Position, breaker
from tasks.engine.faults import FIRST_DELAY_S, JITTER, TRIES, Fault, cause_of, fault_of
from tasks.engine.ledger import State
from tasks.engine.processor import Phase
from tasks.sources.base import STANDS_IN_FOR, Kind
from tasks.sources.coverage import coverage_of

logger = logging.getLogger(__name__)
EVIDENCE = dt.timedelta(days=2)  # of a dependency's health: what is older says nothing of it


def fetch(run: Run, kind: str, first: dt.date, last: dt.date) -> str | None:
    """Fetch one kind of facts about the days `first` to `last` as known at the run's as_of, and land it.

    Returns the payload's name. Where the source cannot give it, the last payload stands in if it is fresh enough;
    otherwise None, and the processors that need it say so. Nothing that goes wrong with one kind stops another.
    """
    dependency, now = dependency_of(run, kind), utc_now()
    state = run.ledger.guarded("read a breaker from", lambda: breaker_of(run, kind, now), _CLOSED)
    if state.position == Position.OPEN:
        narrate(
            f"fetch {kind}", "left alone", f"{state.failures} times {state.cause}, again from {state.until:%H:%M} UTC"
        )
        return _stand_in(run, kind, first, last, now)
    started = time.perf_counter()
    row = run.ledger.started(
        run_id=run.run_id,
        processor=f"fetch_{kind}",
        phase=Phase.INGEST,
        mode=run.mode,
        first_game_day=first,
        game_day=last,
        at=now,
        flow_run_id=flow_run.get_id(),
        fingerprint=run.fingerprint,
        dependency=dependency,
    )
    facts: dict[str, Any] = {}
    name = None
    try:
        name, covered, notes = _fetch(run, kind, first, last)
        ended = State.COMPLETE if covered["rows"] else State.EMPTY_OK
        facts = {"rows_actual": covered["rows"], "rows_in": covered, "degraded_reasons": notes}
    except Exception as error:  # whatever breaks inside a source is this source's failure, recorded here
        ended = State.FAILED
        facts = {"fault": fault_of(error), "error_class": cause_of(error), "error_message": str(error)}
        logger.warning("%s could not be fetched", dependency, exc_info=error)
        narrate(f"fetch {kind}", "not available", str(error))
    run.ledger.ended(row, state=ended, at=utc_now(), duration_s=time.perf_counter() - started, **facts)
    return name or _stand_in(run, kind, first, last, now)


def dependency_of(run: Run, kind: str) -> str:
    """What is leant on where a kind of facts is fetched, as the ledger names it."""
    return f"{run.source.name} {kind}"


def breaker_of(run: Run, kind: str, now: dt.datetime) -> Breaker:
    """The breaker of a kind's source by the ledger's evidence. Raises where that cannot be read."""
    return breaker(run.ledger.runs(dependency=dependency_of(run, kind), since=now - EVIDENCE), now)


def is_transient(_: Any, __: Any, state: Any) -> bool:
    """Prefect's question after a failed try: whether another may help."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and fault_of(error) == Fault.TRANSIENT


# How a task is retried: with backoff and jitter, and only after what may pass by itself.
RETRIES: dict[str, Any] = {
    "retries": TRIES - 1,
    "retry_delay_seconds": [FIRST_DELAY_S * 2**n for n in range(TRIES - 1)],
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": is_transient,
}


@task(task_run_name="fetch {kind}", cache_policy=NO_CACHE, **RETRIES)
def _fetch(run: Run, kind: str, first: dt.date, last: dt.date) -> tuple[str, dict[str, int | str], list[str]]:
    payload = run.source.fetch(Kind(kind), DayRange(first, last), run.as_of, utc_now())
    try:
        covered = coverage_of(Kind(kind), run.source.parse(payload.body, payload.name))
    except Exception:
        # Kept for whoever asks what came, under a kind that no run takes for facts and nothing stands in from.
        run.workspace.landing.put(replace(payload, kind=f"{kind}_unreadable"))
        raise
    name = run.workspace.landing.put(payload)
    about = ", ".join(f"{what} {value}" for what, value in covered.items())
    narrate(f"fetch {kind}", "landed", f"{about}; {len(payload.body) / 1024:,.0f} KiB")
    for note in payload.notes:
        narrate(f"fetch {kind}", "noted", note)
    return name, covered, list(payload.notes)


def _stand_in(run: Run, kind: str, first: dt.date, last: dt.date, now: dt.datetime) -> str | None:
    """The last payload of this kind that may stand in: young enough, about these days, and not from after as_of."""
    allowed = STANDS_IN_FOR.get(Kind(kind))
    if allowed is None:
        return None
    days = "/" if kind == Kind.ROSTERS else f"/{first if first == last else f'{first}_{last}'}/"
    names = [name for name in run.workspace.landing.names(run.source.name, kind) if days in name]
    young = [name for name in names if now - allowed <= fetched_at(name) <= run.as_of]
    if not young:
        return None
    name = max(young, key=fetched_at)
    narrate(f"fetch {kind}", "stands in", f"the payload of {fetched_at(name):%b %d %H:%M} UTC")
    return name


_CLOSED = Breaker(position=Position.CLOSED)
