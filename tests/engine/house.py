"""A house with seats and tickets: the smallest store, ledger and processors in which the runner can be tried."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from blocks.warehouse import DayRange, LocalWarehouse
from tasks.engine.contracts import Column, Contract
from tasks.engine.ledger import Ledger
from tasks.engine.plan import targets_frame
from tasks.engine.processor import (
    Mode,
    Need,
    Phase,
    Processor,
    Read,
    Registry,
    Span,
    processor,
)
from tasks.engine.runner import REFUSED_COLUMNS, Job, Outcome, Shop, run_processor

DAY = dt.date(2025, 12, 29)
EVE = DAY - dt.timedelta(days=1)
NOON = dt.datetime(2025, 12, 29, 17, tzinfo=dt.UTC)
NOW = NOON + dt.timedelta(minutes=30)

SEATS = Contract(
    "seats", "a seat on a day", ("game_day", "seat"), (Column("game_day", pl.Date), Column("seat", pl.Int64))
)
TICKETS = Contract(
    "tickets",
    "a ticket for a seat",
    ("game_day", "seat"),
    (
        Column("game_day", pl.Date),
        Column("seat", pl.Int64),
        Column("price", pl.Float64, "dollars", ge=0, degrades_above=100),
    ),
)
REFUSED = pl.Schema({column.name: column.type for column in REFUSED_COLUMNS})


def seats_of(day: dt.date, count: int, first: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {"game_day": [day] * count, "seat": list(range(first, first + count))}, schema=SEATS.spec.polars_schema
    )


def tickets_of(seats: pl.DataFrame, price: float = 10.0) -> pl.DataFrame:
    return seats.with_columns(price=pl.lit(price))


def every_seat(inputs: Mapping[str, Any]) -> pl.DataFrame:
    return inputs["seats"].select("game_day", "seat")


def declared(
    transform: Callable[..., Any],
    reads: Mapping[str, Any] | None = None,
    **declaration: Any,
) -> Processor:
    """`transform` as the processor of tickets, reading the day's seats unless told otherwise."""
    make = processor(
        phase=Phase.ANALYTICS,
        writes=TICKETS,
        reads={"seats": Read("seats", Span.ON)} if reads is None else reads,
        runs_in={Mode.SAME_DAY: Need.REQUIRED},
        **declaration,
    )
    return make(transform)


def sell(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    return tickets_of(seats)


@processor(phase=Phase.RAW, writes=SEATS, reads={}, runs_in={Mode.SAME_DAY: Need.REQUIRED})
def seats(targets: pl.DataFrame) -> pl.DataFrame:
    raise AssertionError("these tests write the seats themselves")


@dataclass
class House:
    """A store with its ledger, in which one processor is run."""

    folder: Path
    landed: Callable[[str, DayRange], pl.DataFrame] = lambda kind, days: pl.DataFrame()
    artifact: Callable[[str, dt.date], Any] = lambda name, day: None
    job: Job = field(default_factory=lambda: Job("run-1", Mode.SAME_DAY, targets_frame([(DAY, NOON)]), "sha256:abc"))

    def __post_init__(self) -> None:
        self.warehouse = LocalWarehouse(folder=self.folder / "warehouse")
        self.ledger = Ledger(f"sqlite:///{self.folder}/ledger.sqlite")

    def run(self, item: Processor) -> Outcome:
        registry = Registry.of(seats, item)
        shop = Shop(registry, self.warehouse, self.ledger, self.landed, self.artifact, lambda: NOW)
        return run_processor(item, self.job, shop)

    def has(self, *days: pl.DataFrame) -> House:
        """Put seats into the store."""
        for frame in days:
            self.warehouse.replace(SEATS.spec, frame["game_day"][0], frame)
        return self

    def tickets(self) -> pl.DataFrame:
        return self.warehouse.read(TICKETS.spec, DayRange())

    @property
    def row(self) -> dict[str, Any]:
        """The ledger's row of the last run."""
        return self.ledger.runs()[-1]
