"""One way to run a processor: read as-of, transform, hold the contract, write, count what is stored, record."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from blocks.warehouse import DayRange, Warehouse
from tasks.engine.contracts import Column, Contract, ContractError, Severity
from tasks.engine.coverage import expected_keys, lacking, named
from tasks.engine.faults import Fault, fault_of
from tasks.engine.ledger import MISSING_SAMPLE, Ledger, State
from tasks.engine.plan import Frozen
from tasks.engine.processor import (
    Artifact,
    Cleaned,
    Landed,
    Mode,
    Processor,
    Provenance,
    Read,
    Registry,
    Stamp,
)

logger = logging.getLogger(__name__)

REFUSED_COLUMNS = (
    Column("game_day", pl.Date),
    Column("file", pl.String, says="the payload that held the row"),
    Column("row", pl.Int64, says="the row's number in it, from 0"),
    Column("field", pl.String),
    Column("value", pl.String, max_null=None),
    Column("reason", pl.String),
)


class MissingInput(Exception):
    """A required input is not there: the processor is not run, and says what it lacks."""

    fault = Fault.INPUT


class LostRows(Exception):
    """The store does not give back what it was given: nothing that it holds of these days can be relied upon."""

    fault = Fault.TRANSIENT


@dataclass(frozen=True)
class Job:
    """What all processors of one run share: who runs, for which days, knowing what until when."""

    run_id: str
    mode: Mode
    targets: pl.DataFrame
    fingerprint: str | None = None
    flow_run_id: str | None = None
    degraded: tuple[str, ...] = ()
    only_missing: frozenset[str] = frozenset()  # outputs of which rows that are there are kept, and the others made
    stand_ins: Mapping[str, str] = field(default_factory=dict)  # why, of kinds whose older payload stands in

    @property
    def first(self) -> dt.date:
        """First target day."""
        return self.targets["game_day"].min()  # type: ignore[return-value]

    @property
    def last(self) -> dt.date:
        """Last target day."""
        return self.targets["game_day"].max()  # type: ignore[return-value]


@dataclass(frozen=True)
class Shop:
    """The edges that a processor run touches: store, ledger, payloads, models, clock."""

    registry: Registry
    warehouse: Warehouse
    ledger: Ledger
    landed: Callable[[str, DayRange], pl.DataFrame]
    artifact: Callable[[str, dt.date], Any]
    clock: Callable[[], dt.datetime]


class Outcome(Frozen):
    """What one processor run came to, counted in the store."""

    processor: str
    phase: int
    state: State
    rows: int = 0
    expected: int | None = None
    missing: tuple[str, ...] = ()
    refused: int = 0
    reasons: tuple[str, ...] = ()
    error: str | None = None
    fault: Fault | None = None
    seconds: float = 0.0


@dataclass
class _Facts:
    """What is found out along the way, for the ledger row and the outcome."""

    rows_in: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    expected: int | None = None
    missing: list[str] = field(default_factory=list)
    refused: int = 0
    reasons: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)


def run_processor(processor: Processor, job: Job, shop: Shop) -> Outcome:
    """Run one processor for the job's target days and say what came of it.

    Whatever goes wrong inside ends as an Outcome in state FAILED with the error, recorded in the ledger; nothing is
    half-written, and an error never becomes a success.
    """
    started = time.perf_counter()
    row = shop.ledger.started(
        run_id=job.run_id,
        processor=processor.name,
        phase=processor.phase,
        mode=job.mode,
        first_game_day=job.first,
        game_day=job.last,
        at=shop.clock(),
        flow_run_id=job.flow_run_id,
        fingerprint=job.fingerprint,
    )
    facts = _Facts()
    error: Exception | None = None
    try:
        state = _produce(processor, job, shop, facts)
    except (MissingInput, ContractError) as caught:  # says everything by itself
        logger.warning("%s: %s", processor.name, caught)
        state, error = State.FAILED, caught
    except Exception as caught:  # every failure of a processor becomes a recorded FAILED, here and nowhere else
        logger.exception("%s failed for %s", processor.name, DayRange(job.first, job.last))
        state, error = State.FAILED, caught
    seconds = time.perf_counter() - started
    shop.ledger.ended(
        row,
        state=state,
        at=shop.clock(),
        duration_s=seconds,
        rows_in=facts.rows_in,
        rows_expected=facts.expected,
        rows_actual=facts.rows,
        rows_refused=facts.refused,
        missing_sample=facts.missing[:MISSING_SAMPLE],
        degraded_reasons=facts.reasons,
        stand_ins=facts.stand_ins,
        error_class=type(error).__name__ if error else None,
        error_message=str(error) if error else None,
        fault=fault_of(error) if error else None,
    )
    return Outcome(
        processor=processor.name,
        phase=processor.phase,
        state=state,
        rows=facts.rows,
        expected=facts.expected,
        missing=tuple(facts.missing[:MISSING_SAMPLE]),
        refused=facts.refused,
        reasons=tuple(facts.reasons),
        error=f"{type(error).__name__}: {error}" if error else None,
        fault=fault_of(error) if error else None,
        seconds=seconds,
    )


def _produce(processor: Processor, job: Job, shop: Shop, facts: _Facts) -> State:
    inputs = _inputs(processor, job, shop, facts)
    kept, narrowed = _kept(processor, inputs, job, shop)
    made = processor(**narrowed, targets=job.targets)
    frame = made.rows if isinstance(made, Cleaned) else made
    if isinstance(made, Cleaned):
        facts.refused = made.refused.height
        _write(quarantine_of(processor.writes), made.refused, job, shop)

    frame = processor.writes.conform(frame)
    if kept is not None:
        others = kept.join(frame, on=list(processor.writes.key), how="anti", nulls_equal=True)
        frame = processor.writes.conform(pl.concat([others, frame]))
    violations = processor.writes.check(frame)
    blocking = [item for item in violations if item.severity == Severity.BLOCKS]
    if blocking:
        raise ContractError(blocking)
    facts.reasons += [str(item) for item in violations]
    _write(processor.writes, frame, job, shop)
    stored = _read_back(processor, frame, job, shop, facts)
    return _judge(processor, inputs, stored, job, facts)


def _kept(
    processor: Processor, inputs: Mapping[str, Any], job: Job, shop: Shop
) -> tuple[pl.DataFrame | None, Mapping[str, Any]]:
    """The rows that stay as they are and the inputs of the others; None and all inputs where everything is made.

    Rows of another release are not kept: an output is of one release. Nor are degraded ones: they can be made better.
    """
    if processor.narrows is None or processor.table not in job.only_missing:
        return None, inputs
    stored = shop.warehouse.read(processor.writes.spec, job.targets["game_day"].to_list())
    expected = expected_keys(processor, inputs, job.targets["game_day"])
    if expected is None or stored.is_empty() or _of_others(stored, job) or _labelled(stored):
        return None, inputs
    kept = stored.join(expected, on=expected.columns, how="semi", nulls_equal=True)
    return kept, processor.narrows(inputs, lacking(expected, stored))


def _of_others(stored: pl.DataFrame, job: Job) -> bool:
    of_others = pl.col("release").ne_missing(pl.lit(job.fingerprint)).any()
    return "release" in stored.columns and bool(stored.select(of_others).item())


def _labelled(stored: pl.DataFrame) -> bool:
    return "degraded" in stored.columns and bool(stored["degraded"].any())


def _inputs(processor: Processor, job: Job, shop: Shop, facts: _Facts) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for name, read in processor.reads.items():
        match read:
            case Landed(kind):
                inputs[name] = shop.landed(kind, DayRange(job.first, job.last))
                if kind in job.stand_ins:
                    facts.reasons.append(job.stand_ins[kind])
                    facts.stand_ins.append(kind)
            case Artifact(artifact):
                inputs[name] = shop.artifact(artifact, job.first)
            case Provenance():
                inputs[name] = Stamp(job.run_id, job.fingerprint, shop.clock(), job.degraded)
                facts.reasons += job.degraded  # what its rows say of themselves, the ledger says of the output
            case Read():
                inputs[name] = _table(processor, read, job, shop, facts)
        if isinstance(inputs[name], pl.DataFrame):
            facts.rows_in[name] = inputs[name].height
    return inputs


def _table(processor: Processor, read: Read, job: Job, shop: Shop, facts: _Facts) -> pl.DataFrame:
    spec = shop.registry[read.table].writes.spec
    days = read.days(job.first, job.last)
    frame = shop.warehouse.read(spec, days, read.columns)
    if frame.is_empty():
        if not read.optional:
            raise MissingInput(f"{processor.name} needs {read.table} for {days}, and there are no rows of it")
        facts.reasons.append(f"{read.table} has no rows for {days}")
    return frame


def _write(contract: Contract, frame: pl.DataFrame, job: Job, shop: Shop) -> None:
    frame = contract.conform(frame)
    days = job.targets["game_day"].to_list()
    shop.warehouse.replace_each_day(contract.spec, frame, days)


def _read_back(processor: Processor, given: pl.DataFrame, job: Job, shop: Shop, facts: _Facts) -> pl.DataFrame:
    """What the store now holds of the target days. Raises LostRows if that is not what it was given."""
    stored = shop.warehouse.read(processor.writes.spec, job.targets["game_day"].to_list())
    facts.rows = stored.height
    key = list(processor.writes.key)
    lost = given.select(key).join(stored.select(key), on=key, how="anti", nulls_equal=True)
    if lost.height or stored.height != given.height:
        facts.missing = named(lost)
        raise LostRows(
            f"{processor.table}: {given.height} rows were written and {stored.height} are in the store; "
            f"missing: {', '.join(facts.missing[:5]) or 'none, but there are others'}"
        )
    return stored


def _judge(processor: Processor, inputs: Mapping[str, Any], stored: pl.DataFrame, job: Job, facts: _Facts) -> State:
    """Hold what is in the store against what had to be there."""
    if processor.expects is None:
        if not facts.rows and processor.critical:
            facts.reasons.append(f"{processor.table} has no rows, and nothing can be done without them")
            return State.FAILED
        if not facts.rows and not facts.refused:
            return State.EMPTY_OK
        return State.DEGRADED if facts.reasons or (facts.refused and not facts.rows) else State.COMPLETE

    expected = expected_keys(processor, inputs, job.targets["game_day"])
    assert expected is not None
    missing = lacking(expected, stored)
    facts.expected = expected.height
    facts.missing = named(missing)
    share = 1.0 if not facts.expected else 1 - missing.height / facts.expected
    if missing.height:
        facts.reasons.append(f"{processor.table}: {missing.height} of {facts.expected} expected keys are missing")
    if facts.expected and (not facts.rows or share < processor.floor):
        return State.FAILED
    if share < processor.complete_at:
        return State.PARTIAL
    if missing.height and processor.complete_at < 1.0:
        facts.reasons.pop()  # as many as are usual
    if not facts.expected and not facts.rows:
        return State.EMPTY_OK
    return State.DEGRADED if facts.reasons else State.COMPLETE


def quarantine_of(contract: Contract) -> Contract:
    """The table of refused rows beside a phase 2 table: which file, row and field, the value, and why."""
    return Contract(
        table=f"{contract.table}__refused",
        grain="a refused payload row and the first field that was wrong with it",
        key=("game_day", "file", "row"),
        columns=REFUSED_COLUMNS,
    )
