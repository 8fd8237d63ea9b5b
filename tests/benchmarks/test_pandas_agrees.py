"""The pandas that the pipeline is timed against computes the same numbers, and the benchmark would notice if not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from benchmarks import feature_store, pandas_features
from benchmarks.feature_store import CACHE, JOIN, TOLERANCE, ZONES, Scope, apart, compared, key_of, scopes_of, tables_of
from tasks.sources.folder import FolderSource
from tasks.sources.league import LeagueConfig, generate_league


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four teams and two seasons of twenty games: new seasons, new teams, long breaks, minutes too few for usage."""
    path = tmp_path_factory.mktemp("league")
    generate_league(LeagueConfig(seed=3, seasons=("2024-25", "2025-26"), teams=4, games_per_team=20, worlds=1)).write(
        path
    )
    return path


@pytest.fixture(scope="module")
def scopes(folder: Path) -> dict[str, Scope]:
    """The whole history, and its last game day."""
    tables = tables_of(FolderSource(folder))
    whole, day = scopes_of(tables, tables["schedule"]["game_day"].max())  # type: ignore[arg-type]
    return {"whole": whole, "day": day}


@pytest.mark.parametrize("scope", ["whole", "day"])
@pytest.mark.parametrize("piece", [CACHE, ZONES, JOIN])
def test_pandas_and_polars_compute_the_same_numbers(scopes: dict[str, Scope], scope: str, piece: str) -> None:
    (_, ours), (_, theirs) = compared(scopes[scope])[piece]
    made = ours()
    assert len(made) > 10
    assert apart(made, theirs(), key_of(piece)) <= TOLERANCE


def test_the_league_holds_what_is_hard_to_agree_on(scopes: dict[str, Scope]) -> None:
    cache = scopes["whole"].tables[CACHE]
    assert cache["usage_rate_ewm_05"].null_count() > 0
    assert cache.filter((pl.col("games_since_break") == 1) & (pl.col("games_season") > 1)).height > 0
    assert cache.filter((pl.col("games_season") == 1) & (pl.col("games") > 1)).height > 0


@pytest.mark.parametrize(
    ("theirs", "difference"),
    [
        (pd.DataFrame({"id": [2, 1], "x": [3.0, 2.0]}), 1.0),
        (pd.DataFrame({"id": [1, 2], "x": [2.0, None]}), float("inf")),
        (pd.DataFrame({"id": [1, 3], "x": [2.0, 4.0]}), float("inf")),
        (pd.DataFrame({"id": [1], "x": [2.0]}), float("inf")),
    ],
)
def test_a_difference_in_numbers_keys_or_gaps_is_seen(theirs: pd.DataFrame, difference: float) -> None:
    assert apart(pl.DataFrame({"id": [1, 2], "x": [2.0, 4.0]}), theirs, ["id"]) == difference


def test_figures_of_libraries_that_disagree_are_not_printed(
    folder: Path, scopes: dict[str, Scope], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = pandas_features.player_daily_cache

    def wrong(games: pd.DataFrame, days: pd.Series) -> pd.DataFrame:
        made = right(games, days)
        made["points_ewm_10"] += 2 * TOLERANCE
        return made

    monkeypatch.setattr(pandas_features, "player_daily_cache", wrong)
    game_day = str(scopes["day"].coming["game_day"][0])
    assert feature_store.main(["--data", str(folder), "--game-day", game_day, "--runs", "1"]) == 1
    assert "median" not in capsys.readouterr().out
