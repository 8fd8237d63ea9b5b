"""Ledger export: the record of what ran, copied into the warehouse, where analysts can hold it beside the data.

It runs by a clock of its own. No run of the product waits for it, and none fails with it.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import AwareDatetime, Field

from flows.look import observer
from flows.narration import narrate
from flows.run import utc_now
from tasks.engine.ledger_table import LEDGER, ledger_frame


@flow(name="ledger-export", flow_run_name="ledger-export")
def ledger_export(
    days: Annotated[
        int, Field(ge=1, description="Runs that began in so many days are copied, with their days' others.")
    ] = 3,
    now: Annotated[AwareDatetime | None, Field(description="The end of these days. None: this moment.")] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the simulated league.")] = None,
    home: Annotated[Path | None, Field(description="The workspace. None: that of the data.")] = None,
) -> int:
    """Replace the copied runs of every game day that was worked on lately; how many rows that is.

    A day is copied whole, so that a run that had not ended the last time, and one that was missed, come right.
    """
    at = now or utc_now()
    run = observer(at, data, home)
    worked_on = sorted({row["game_day"] for row in run.ledger.runs(since=at - dt.timedelta(days=days))})
    rows = [row for day in worked_on for row in run.ledger.runs(game_day=day)]
    run.workspace.warehouse.replace_each_day(LEDGER, ledger_frame(rows), worked_on)
    narrate("ledger", "copied", f"{len(rows):,} runs of {len(worked_on)} game days to {LEDGER.name}")
    return len(rows)
