"""Where the pipeline can be registered: what differs between one machine and production, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict

from blocks.alerts import ALERTS, SECOND_CHANNEL, channel
from blocks.execution import DOCUMENT, Execution
from tasks.sources.named import absolute, name_of

HOME = Path(__file__).resolve().parent.parent / ".pipeline"
PHASES_APART = Execution(pools=["analytics", "precompute", "predictions"])


class Environment(BaseModel):
    """The settings of one environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Literal["local", "production"]
    pool_type: str
    schedules_active: bool
    images: Mapping[str, str] = {}
    parameters: dict[str, Any] = {}
    backfill_home: str | None = None  # a backfill's predictions never lie beside published ones
    blocks: Mapping[str, Block] = {}


class Channels(NamedTuple):
    """The webhooks that messages go to; the second hears of the first one's death."""

    first: str
    second: str

    def blocks(self) -> dict[str, Block]:
        """The channels as notification blocks. Raises AlertChannelError for one that is no URL."""
        return {ALERTS: channel(self.first), SECOND_CHANNEL: channel(self.second, SECOND_CHANNEL)}


def local(home: Path | None, data: Path | None, channels: Channels, schedules_active: bool = False) -> Environment:
    """One machine: workers are processes, tables lie in a folder, every role has a pool of its own.

    Schedules are registered but rest unless asked for: the bundled league plays in the past, and today's date
    is none of its game days.
    """
    home = home or HOME / name_of(data)
    return Environment(
        name="local",
        pool_type="guarded-process",
        schedules_active=schedules_active,
        backfill_home=f"{home.resolve()}-backfill",
        parameters={"home": str(home.resolve()), "data": str(absolute(data)) if data else None},
        blocks={DOCUMENT: PHASES_APART, **channels.blocks()},
    )


def production(
    home: str | None, channels: Channels, pool_type: str, images: Sequence[str], data: Path | None = None
) -> Environment:
    """The schedules run. `images` names the image of each pool, by digest, where workers start containers.

    Raises ValueError for what must not be left to a default there.
    """
    if home is None:
        raise ValueError("production needs its workspace: --home block:TYPE/NAME, or a folder that its workers share")
    named = dict(item.partition("=")[::2] for item in images)
    unpinned = sorted(pool for pool, image in named.items() if "@sha256:" not in image)
    if unpinned:
        raise ValueError(f"images must be named by digest (NAME@sha256:...), not by tag: {', '.join(unpinned)}")
    return Environment(
        name="production",
        pool_type=pool_type,
        schedules_active=True,
        images=named,
        parameters={"home": home, "data": str(data) if data else None},
        blocks={DOCUMENT: PHASES_APART, **channels.blocks()},
    )
