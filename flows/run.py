"""What one run is: its parameters, resolved once at the top, and the shop that its processors work in."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import polars as pl
from pydantic import AwareDatetime, Field

from blocks.warehouse import DayRange
from blocks.workspace import LocalWorkspace, Workspace, saved_workspace
from flows.choice import source_of
from flows.clock import utc_now
from flows.home import BLOCK, HOME, is_saved
from flows.release import prove, stamp
from tasks.catalog import registry
from tasks.engine.ledger import Ledger
from tasks.engine.plan import Frozen
from tasks.engine.processor import Mode
from tasks.engine.runner import Job, MissingInput, Shop
from tasks.predictions.models import ModelStore
from tasks.sources.base import Source
from tasks.sources.hindsight import Information
from tasks.sources.live.web import Clock
from tasks.sources.named import origin_of


class Run(Frozen):
    """The parameters that every subflow of one run shares. Nothing below reads a clock or a variable to find them."""

    run_id: str = Field(description="Names this run in the ledger, on predictions and in the publication.")
    mode: Mode = Field(description="overnight, same_day or backfill.")
    game_day: dt.date = Field(description="The game day (date in America/New_York); of a backfill, the last one.")
    as_of: AwareDatetime = Field(description="Facts known after this instant are not used.")
    data: Path | None = Field(
        None, description="Folder of seasons, or live: or live:NAME for the live sources; none: the simulated league."
    )
    home: Path = Field(description="The workspace: a folder, or block:TYPE/NAME for one that is saved in Prefect.")
    information: Information = Field(
        Information.PUBLISHED, description="What may be known of rosters and absences; hindsight is for backtests only."
    )
    fingerprint: str = Field(description="Fingerprint of the code that runs.")
    only_missing: tuple[str, ...] = Field((), description="Outputs of which the rows that are there are kept.")
    stand_ins: dict[str, str] = Field({}, description="Why, of each kind of facts whose older payload stands in.")

    @property
    def workspace(self) -> Workspace:
        """The stores of this run."""
        return _workspace(self.home, self.data, self.information)

    @property
    def source(self) -> Source:
        """Where this run's facts come from."""
        return _source(self.home, self.data, self.information)

    @property
    def ledger(self) -> Ledger:
        """The ledger of this run's workspace."""
        return _ledger(self.workspace.ledger_url)

    @property
    def models(self) -> ModelStore:
        """The model registry of this run's workspace."""
        return ModelStore(self.workspace.models)

    def job(self, targets: pl.DataFrame, flow_run_id: str | None = None, degraded: Iterable[str] = ()) -> Job:
        """This run's work on `targets`, as processors see it; `degraded` holds the labels that its rows carry."""
        return Job(
            self.run_id,
            self.mode,
            targets,
            self.fingerprint,
            flow_run_id,
            tuple(degraded),
            frozenset(self.only_missing),
            self.stand_ins,
        )

    def shop(self, landed: Mapping[str, str], model: str | None = None) -> Shop:
        """The edges for processors: `landed` gives each kind's payload name, `model` the id of the model to load."""

        def payload(kind: str, _: DayRange) -> pl.DataFrame:
            if kind not in landed:
                raise MissingInput(f"no {kind.replace('_', ' ')} could be fetched from the source {self.source.name}")
            return self.source.parse(self.workspace.landing.get(landed[kind]), landed[kind])

        def artifact(_: str, game_day: dt.date) -> object:
            if model is None:
                raise LookupError(f"no model was chosen for {game_day}")
            return self.models.load(model)

        return Shop(registry(), self.workspace.warehouse, self.ledger, payload, artifact, utc_now)


def code_fingerprint() -> str:
    """The stamp of the code that runs: its release, or of a working copy `unreleased`, and the digest of its files."""
    return stamp(prove())


def new_run_id(mode: Mode, game_day: dt.date) -> str:
    """A run id that a person can read: mode, game day and a few random characters."""
    return f"{mode.value}-{game_day}-{uuid.uuid4().hex[:8]}"


@lru_cache(maxsize=8)
def _workspace(home: Path, data: Path | None, information: Information) -> Workspace:
    origin = origin_of(data)
    hindsight = "" if information == Information.PUBLISHED else f" in hindsight ({information})"
    if not is_saved(home):
        return LocalWorkspace.embedded(home, origin + hindsight)
    workspace = saved_workspace(str(home).removeprefix(BLOCK))
    workspace.claim(origin + hindsight)
    return workspace


@lru_cache(maxsize=4)
def _source(home: Path, data: Path | None, information: Information) -> Source:
    leagues = (HOME if is_saved(home) else home.parent) / "leagues"
    clock = Clock(utc_now, time.monotonic, time.sleep)
    return source_of(data, information, leagues, lambda: _workspace(home, data, information).landing, clock)


@lru_cache(maxsize=8)
def _ledger(url: str) -> Ledger:
    return Ledger(url)
