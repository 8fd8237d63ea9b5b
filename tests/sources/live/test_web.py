"""How sites are asked: at their pace, as long after a refusal as they wish, by a client that says who it is."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest

from blocks.landing import Landing
from blocks.live_sources import PRODUCT, Site
from blocks.objects import LocalObjects
from tasks.sources.base import SourceError
from tasks.sources.live import directory
from tasks.sources.live.source import LiveSource
from tasks.sources.live.web import Unreachable, Web
from tests.leagues import tiny_league
from tests.sources.live.conftest import NOW
from tests.sources.live.sites import Answer, Sites, serving

ROSTER = "/apis/site/v2/sports/basketball/nba/teams/bos"


@pytest.fixture
def sites() -> Iterator[Sites]:
    with serving(tiny_league(), NOW) as running:
        yield running


def web_of(sites: Sites, **changes: object) -> Web:
    return Web(sites.settings(Path("unused"), **changes), sites.clock())


def test_a_host_is_asked_no_oftener_than_its_limit_also_by_many_at_once(sites: Sites) -> None:
    web = web_of(sites, espn=Site(url=f"{sites.url}/espn", per_second=2))
    web.each(lambda _: web.get("espn", ROSTER, label="roster"), range(6))
    assert web.clock.steady() >= 2.5
    assert sites.count("espn/") == 6


def test_without_a_history_live_says_how_to_get_one(sites: Sites, tmp_path: Path) -> None:
    landing = Landing(LocalObjects(folder=tmp_path / "landing"))
    with pytest.raises(SourceError, match=r"no history in .*nowhere: make history SEASONS=\.\.\. downloads one"):
        LiveSource(sites.settings(tmp_path / "nowhere"), landing, sites.clock())


@pytest.mark.parametrize("asked", ["7", format_datetime(NOW.replace(second=7), usegmt=True)], ids=["seconds", "a date"])
def test_a_site_is_left_alone_for_as_long_as_it_asks(sites: Sites, asked: str) -> None:
    sites.break_("espn/", Answer(429, b"", {"Retry-After": asked}), times=1)
    web = web_of(sites)
    assert web.get("espn", ROSTER, label="roster") is not None
    assert 7 <= web.clock.steady() < 8


def test_waits_grow_and_attempts_end(sites: Sites) -> None:
    sites.break_("espn/", Answer(503, b""))
    web = web_of(sites, attempts=3)
    with pytest.raises(Unreachable, match=r"roster: 127\.0\.0\.1:\d+ answered 503; 3 attempts"):
        web.get("espn", ROSTER, label="roster")
    assert sites.count("espn/") == 3
    assert web.clock.steady() > 0


def test_who_asks_is_said_to_every_site_and_can_be_changed(sites: Sites) -> None:
    web_of(sites).get("espn", ROSTER, label="roster")
    web_of(sites, user_agent="me/1 (me@example.org)").get("espn", ROSTER, label="roster")
    directory.fetch(web_of(sites, stats_user_agent="me/2"), "2025-26")
    directory.fetch(web_of(sites), "2025-26")
    agents = [headers["User-Agent"] for headers in sites.headers]
    assert agents[:3] == [PRODUCT, "me/1 (me@example.org)", "me/2"]
    assert agents[3].startswith("Mozilla/5.0")
    assert sites.headers[3]["Referer"] == "https://www.nba.com/"
