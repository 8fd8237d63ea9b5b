"""Where live facts come from and how politely they are asked for: addresses, keys, time-outs, limits, aliases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect.blocks.core import Block
from pydantic import AfterValidator, AnyHttpUrl, BaseModel, Field, SecretStr

PRODUCT = "courtside/0.1"


def _base(address: str) -> str:
    return str(AnyHttpUrl(address)).rstrip("/")


class Site(BaseModel):
    """One host that is asked: its base address, and how often it may be."""

    url: Annotated[str, AfterValidator(_base)] = Field(description="Base address, without a path of its own.")
    per_second: float = Field(2.0, gt=0, le=50, description="Most requests a second to this host.")


class LiveSettings(BaseModel):
    """The settings of the live sources. Every address can point elsewhere: to a mirror, a proxy or a test."""

    history: Path = Field(
        Path("seasons"), description="Folder of past seasons, in the layout of docs/data.md: make history makes one."
    )
    schedule: Site = Field(Site(url="https://cdn.nba.com"), description="NBA's schedule of the season.")
    stats: Site = Field(
        Site(url="https://stats.nba.com", per_second=1.0),
        description="NBA's statistics: game logs, box scores, player index, the schedule where the first one fails.",
    )
    espn: Site = Field(Site(url="https://site.api.espn.com", per_second=6.0), description="ESPN: rosters.")
    injuries: Site = Field(
        Site(url="https://ak-static.cms.nba.com", per_second=4.0), description="NBA's official injury report."
    )
    odds: Site = Field(Site(url="https://api.the-odds-api.com", per_second=5.0), description="The Odds API: lines.")
    balldontlie: Site = Field(
        Site(url="https://api.balldontlie.io", per_second=1.0), description="BallDontLie: box scores, second source."
    )
    odds_key: SecretStr | None = Field(None, description="Key of The Odds API. None: no lines.")
    balldontlie_key: SecretStr | None = Field(None, description="Key of BallDontLie. None: box scores have no second.")

    odds_regions: str = Field("us", description="Regions of books, comma-separated. Each costs a request a game.")
    odds_reserve: int = Field(20, ge=0, description="Requests of the month's quota that are never used up.")
    user_agent: str = Field(PRODUCT, min_length=3, description="Who asks. Put a way to reach you in it.")
    stats_user_agent: str | None = Field(
        None,
        description="Who asks stats.nba.com. None: what nba_api says, as the site answers only browsers.",
    )
    timeout_s: float = Field(10.0, gt=0, le=120, description="Longest wait for a connection or for the next bytes.")
    attempts: int = Field(4, ge=1, le=10, description="Most tries of a request that fails for a passing reason.")
    longest_wait_s: float = Field(
        60.0, ge=0, description="Longest wait between two tries; a site that asks for more is given up for this run."
    )
    concurrency: int = Field(6, ge=1, le=30, description="Most requests under way at once.")
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="Names that a source writes its own way, and how NBA writes them: for the unresolved list.",
    )


class LiveSources(LiveSettings, Block):
    """The settings as a block, for Prefect's UI. Keys are kept encrypted, like those of Prefect's Secret blocks."""

    _block_type_name = "Courtside Live Sources"
    _block_type_slug = "courtside-live-sources"
    _description = "Addresses, keys and limits of the live sources that Courtside asks for tonight's facts."
