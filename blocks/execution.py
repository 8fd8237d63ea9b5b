"""How a day is spread over workers: a setting that is configured on the server, not a parameter of any run."""

from __future__ import annotations

from typing import Literal

from prefect.blocks.core import Block
from pydantic import Field

DOCUMENT = "default"  # the name under which registration saves it
PhaseOnPool = Literal["analytics", "precompute", "predictions"]


class Execution(Block):
    """Which phases of a deployed day run on work pools of their own, and how long the day waits for each."""

    _block_type_name = "Courtside Execution"
    _block_type_slug = "courtside-execution"
    _description = "Which phases of a deployed day run on work pools of their own; the others run in the day's process."

    pools: list[PhaseOnPool] = Field(
        default_factory=list, description="Phases that are started as deployments of the same name."
    )
    minutes: float = Field(
        20, gt=0, description="Minutes after which a phase that has not ended is cancelled and counts as failed."
    )
