"""Tables as Prefect assets: what each step makes and what that is made of, as the graph that Prefect Cloud draws.

An own server keeps the same as events of the runs: `prefect.asset.materialization.succeeded` and `.failed`.
"""

from __future__ import annotations

import re
from pathlib import Path

from tasks.engine.processor import Landed, Processor, Registry
from tasks.engine.runner import Outcome

NOT_IN_A_KEY = re.compile(r"[^\w.-]+")


def asset_of(table: str, home: Path) -> str:
    """The key of a table of this workspace as an asset. Two workspaces on one server are two sets of assets."""
    return f"courtside://{NOT_IN_A_KEY.sub('-', home.name)}/{table}"


def made_of(processor: Processor, registry: Registry, home: Path) -> list[str]:
    """The tables and payloads that a processor's table is made of, without its own earlier days."""
    payloads = [f"landing/{item.kind}" for item in processor.reads.values() if isinstance(item, Landed)]
    tables = [registry[read.table].table for read in processor.tables_read]
    return [asset_of(name, home) for name in dict.fromkeys([*payloads, *tables]) if name != processor.table]


def facts_of(outcome: Outcome) -> dict[str, object]:
    """What is kept with an asset: rows counted in the store, of how many, and what they lack."""
    return outcome.model_dump(mode="json", include={"state", "rows", "expected", "missing", "refused", "reasons"})
