"""Which source a run reads: the simulated league, a folder of seasons, or live, by how `data` is written.

No data: the simulated league. A folder: that folder. `live:` is live with settings from the environment, `live:NAME`
with those saved in Prefect as the block of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from blocks.landing import Landing
from blocks.live_sources import LiveSettings, LiveSources
from tasks.sources.base import Source, SourceError
from tasks.sources.folder import FolderSource
from tasks.sources.hindsight import HindsightSource, Information
from tasks.sources.live.source import LiveSource
from tasks.sources.live.web import Clock
from tasks.sources.named import LIVE, is_live
from tasks.sources.simulated import SimulatedSource


class _Environment(LiveSettings, BaseSettings):
    """Live settings from variables such as COURTSIDE_ODDS_KEY or COURTSIDE_ESPN__URL, or from a file `.env`."""

    model_config = SettingsConfigDict(
        env_prefix="COURTSIDE_",
        env_file=".env",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


def live_settings(data: Path) -> LiveSettings:
    """The settings that `live:` or `live:NAME` stands for. Raises SourceError for a block that is not there."""
    name = str(data).removeprefix(LIVE)
    try:
        return cast(LiveSources, LiveSources.load(name)) if name else _Environment()
    except ValidationError as error:
        first = error.errors()[0]
        place = "__".join(map(str, first["loc"])).upper()
        raise SourceError(f"live settings: COURTSIDE_{place}: {first['msg']}; docs/sources.md lists them") from None
    except ValueError as error:
        raise SourceError(f"live settings: {error}; docs/sources.md says how to save them") from None


def is_simulated(data: Path | None) -> bool:
    """Whether this is a simulated league: the bundled one, or a folder that knows the truth, as only such one can."""
    return data is None or (not is_live(data) and (data / "truth").is_dir())


def source_of(
    data: Path | None, information: Information, leagues: Path, landing: Callable[[], Landing], clock: Clock
) -> Source:
    """The source that `data` names. Raises SourceError.

    `leagues` is where simulated leagues are kept; `landing` gives the zone in which a live source finds what it fetched
    before, and `clock` is what it goes by.
    """
    if data is None or is_live(data):
        if information != Information.PUBLISHED:
            what = "the simulated league publishes" if data is None else "live sources publish"
            raise SourceError(f"{what} rosters and reports: {information} is for folders")
        if data is None:
            return SimulatedSource(leagues)
        return LiveSource(live_settings(data), landing(), clock)
    return FolderSource(data) if information == Information.PUBLISHED else HindsightSource(data, information)
