"""Live settings saved in Prefect: found by name, with keys that nobody is shown; told where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.live_sources import LiveSources, Site
from flows.choice import live_settings
from tasks.sources.base import SourceError


def test_settings_saved_as_a_block_are_found_by_name_with_their_keys_hidden() -> None:
    espn = Site(url="http://127.0.0.1:9/", per_second=1)
    saved = LiveSources(history=Path("/data/seasons"), odds_key=SecretStr("key-1"), espn=espn)
    document = saved.save("tonight", overwrite=True)
    found = live_settings(Path("live:tonight"))
    assert found.odds_key is not None
    assert found.odds_key.get_secret_value() == "key-1"
    assert (found.history, found.espn.url) == (Path("/data/seasons"), "http://127.0.0.1:9")
    assert document is not None
    assert "key-1" not in str(LiveSources.load("tonight"))


def test_settings_that_nobody_saved_are_told_by_name() -> None:
    with pytest.raises(
        SourceError, match=r"named nobody .*courtside-live-sources; docs/sources\.md says how to save them"
    ):
        live_settings(Path("live:nobody"))
