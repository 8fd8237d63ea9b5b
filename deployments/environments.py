"""Where the pipeline can be registered: what differs between one machine and production, and nothing else does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict

from blocks.alerts import ALERTS, SECOND_CHANNEL, channel
from blocks.execution import DOCUMENT, Execution
from deployments.pools import changes
from tasks.sources.named import absolute, name_of

HOME = Path(__file__).resolve().parent.parent / ".pipeline"
IN_CONTAINERS = frozenset(changes())  # the worker types whose runs are jobs of an image
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
    home: str | None,
    data: Path | None,
    channels: Channels,
    pool_type: str,
    images: Sequence[str],
    pools: Collection[str],
) -> Environment:
    """The schedules run. `images` names the image of each of the `pools`, by digest, where workers start containers.

    Raises ValueError with everything that is missing: nothing of it may be left to a default there.
    """
    named = dict(item.partition("=")[::2] for item in images)
    problems = [*_missing(home, data, channels), *_wrong_images(pool_type, named, pools)]
    if problems:
        raise ValueError("production can't be registered:\n" + "\n".join(f"  {problem}" for problem in problems))
    assert data is not None
    return Environment(
        name="production",
        pool_type=pool_type,
        schedules_active=True,
        images=named,
        parameters={"home": home, "data": str(absolute(data))},
        blocks={DOCUMENT: PHASES_APART, **channels.blocks()},
    )


def _missing(home: str | None, data: Path | None, channels: Channels) -> Iterator[str]:
    if home is None:
        yield "it needs its workspace: --home block:TYPE/NAME, or a folder that its workers share"
    if data is None:
        yield "it needs its data: --data live:NAME or a folder of seasons; the simulated league plays in the past"
    if not (channels.first.strip() and channels.second.strip()):
        yield "it needs two channels: --webhook and --second-webhook, for the day when the first does not answer"
    elif channels.first.strip() == channels.second.strip():
        yield "its two channels are one: who would tell that it is dead? give --second-webhook another one"


def _wrong_images(pool_type: str, images: Mapping[str, str], pools: Collection[str]) -> Iterator[str]:
    if tagged := sorted(pool for pool, image in images.items() if "@sha256:" not in image):
        yield f"images must be named by digest (POOL=NAME@sha256:...), not by tag: {', '.join(tagged)}"
    if unknown := sorted(set(images) - set(pools)):
        yield f"there is no work pool {', '.join(unknown)}: the pools are {', '.join(sorted(pools))}"
    if pool_type in IN_CONTAINERS and (without := sorted(set(pools) - set(images))):
        yield f"workers of type {pool_type} start containers: give --image POOL=... for {', '.join(without)}"
