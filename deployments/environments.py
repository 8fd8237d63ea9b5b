"""Where the pipeline can be registered: what differs between one machine and production, and nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict

from blocks.execution import Execution

BLOCK_NAME = "default"  # one document of each of our block types


class Environment(BaseModel):
    """The settings of one environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Literal["local", "production"]
    pool_type: str
    schedules_active: bool
    job_variables: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    blocks: tuple[Block, ...] = ()


def local(home: Path, data: Path | None, schedules_active: bool = False) -> Environment:
    """One machine: workers are processes, tables lie in `home`, every role has a pool of its own.

    Schedules are registered but rest unless asked for: the bundled league plays in the past, and today's date
    is none of its game days.
    """
    return Environment(
        name="local",
        pool_type="guarded-process",
        schedules_active=schedules_active,
        parameters={"home": str(home.resolve()), "data": str(data.resolve()) if data else None},
        blocks=(Execution(pools=["analytics", "precompute", "predictions"]),),
    )
