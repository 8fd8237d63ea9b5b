"""The course of a fault, read from the ledger: when it struck, who noticed it, when the day was complete again."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

from pydantic import AwareDatetime, BaseModel

from tasks.engine.expected import PUBLICATION
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode
from tasks.engine.reconcile import HEAL

WRITE_TO = "FAULTS_FILE"  # where benchmarks/faults_of_a_day.py wants the courses, one JSON document a line


class Course(BaseModel):
    """What happened, by the day's clock: it runs as the machine's while a flow runs, and leaps to the next trigger."""

    fault: str = ""
    at: AwareDatetime | None = None
    noticed_by: str = ""
    noticed_at: AwareDatetime | None = None
    shown: State | None = None
    told: list[tuple[str, str, bool]] = []
    healed_by: str = ""
    complete_at: AwareDatetime | None = None
    healing_s: float | None = None

    def began(self, fault: str, at: dt.datetime | None) -> None:
        """The fault struck at this instant."""
        self.fault, self.at = fault, at

    def detected(self, by: str, shown: State, at: dt.datetime, told: list[tuple[str, str, bool]] | None = None) -> None:
        """It was noticed: by whom, when, what state the watch shows, what was told of it."""
        self.noticed_by, self.noticed_at, self.shown, self.told = by, at, shown, list(told or ())

    def complete(self, by: str, home: Path, day: dt.date) -> None:
        """The day is complete: since its last publication, by the ledger."""
        assert self.at is not None
        runs = [r for r in Ledger(f"sqlite:///{home}/ledger.sqlite").runs(game_day=day) if r["mode"] == Mode.SAME_DAY]
        published = [row for row in runs if row["processor"] == PUBLICATION and State(row["state"]).usable]
        self.healed_by, self.complete_at = by, published[-1]["ended_at"]
        mine = [row for row in runs if row["run_id"] == published[-1]["run_id"]]
        if mine[0]["run_id"].startswith(HEAL):
            self.healing_s = (published[-1]["ended_at"] - mine[0]["started_at"]).total_seconds()
        assert self.complete_at >= self.at

    def keep(self) -> None:
        """Hand it to whoever asked for it."""
        file = os.environ.get(WRITE_TO)
        if file and self.complete_at is not None:
            with Path(file).open("a") as lines:
                lines.write(json.dumps(self.model_dump(mode="json")) + "\n")
