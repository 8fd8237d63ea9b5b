"""What becomes of a payload between the source and the landing zone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from blocks.landing import Landing, Payload
from blocks.objects import LocalObjects
from flows.fetching import _fetch
from tasks.sources.base import Kind, SourceError

DAY = dt.date(2025, 12, 29)
NOON = dt.datetime(2025, 12, 29, 17, 0, tzinfo=dt.UTC)


class _Source:
    """Gives one body, and cannot read it if it is not what it should be."""

    name = "sites"

    def __init__(self, body: bytes) -> None:
        self.body = body

    def fetch(self, kind: Kind, *_: Any) -> Payload:
        return Payload(self.name, kind.value, DAY, DAY, NOON, NOON, "json", self.body)

    def parse(self, body: bytes, file: str) -> pl.DataFrame:
        if body.startswith(b"<"):
            raise SourceError(f"{file}: a web page where rosters should be")
        return pl.DataFrame({"team": ["BOS"], "player_id": [1]})


def _run(folder: Path, body: bytes) -> Any:
    landing = Landing(LocalObjects(folder=folder))
    return SimpleNamespace(source=_Source(body), workspace=SimpleNamespace(landing=landing), as_of=NOON)


def test_a_payload_that_cannot_be_read_is_kept_untouched_where_no_run_takes_it_for_facts(tmp_path: Path) -> None:
    page = b"<html>403 Forbidden</html>"
    run = _run(tmp_path, page)

    with pytest.raises(SourceError, match="web page"):
        _fetch.fn(run, "rosters", DAY, DAY)

    landing = run.workspace.landing
    assert landing.names("sites", "rosters") == []
    (kept,) = landing.names("sites", "rosters_unreadable")
    assert landing.get(kept) == page


def test_a_payload_that_can_be_read_is_landed_once_with_what_it_covers(tmp_path: Path) -> None:
    run = _run(tmp_path, b"[]")

    name, covered, _ = _fetch.fn(run, "rosters", DAY, DAY)

    assert run.workspace.landing.names("sites", "rosters") == [name]
    assert covered == {"rows": 1, "teams": 1, "players": 1}
