"""The bundled league as a source: made once, never half, the same for everyone, and read like any folder."""

from __future__ import annotations

import datetime as dt
import multiprocessing
from pathlib import Path

import pytest

from blocks.warehouse import DayRange
from tasks.sources import simulated
from tasks.sources.base import Kind
from tasks.sources.folder import FolderSource
from tasks.sources.league import League, LeagueConfig
from tasks.sources.simulated import SimulatedSource
from tests.leagues import eastern, raw_tables, served, tables_of, tiny_league, write

TINY = LeagueConfig(seed=3, seasons=("2025-26",), teams=4, games_per_team=20, worlds=1)
LATE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def _must_not_run(*_: object) -> League:
    raise AssertionError("the league is there already")


def test_the_league_is_generated_once_and_then_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = SimulatedSource(tmp_path, TINY)
    monkeypatch.setattr(simulated, "generate_league", _must_not_run)
    again = SimulatedSource(tmp_path, TINY)
    for kind in Kind:
        assert served(first, kind, DayRange(), LATE).equals(served(again, kind, DayRange(), LATE))


def test_another_configuration_or_generator_never_finds_a_stale_league(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = SimulatedSource(tmp_path, TINY).folder
    other = LeagueConfig(seed=4, seasons=("2025-26",), teams=4, games_per_team=20, worlds=1)
    assert SimulatedSource(tmp_path, other).folder != one
    elsewhere = tmp_path / "code"
    (elsewhere / "league").mkdir(parents=True)
    (elsewhere / "league" / "market.py").write_text("changed = True\n")
    monkeypatch.setattr(simulated, "__file__", str(elsewhere / "simulated.py"))
    assert SimulatedSource(tmp_path, TINY).folder != one


def test_a_run_killed_while_writing_leaves_no_half_league(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: League, folder: Path) -> list[Path]:
        folder.mkdir(parents=True)
        (folder / "schedule").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(League, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            SimulatedSource(tmp_path, TINY)
    assert list(tmp_path.glob("league-*")) == []
    source = SimulatedSource(tmp_path, TINY)
    assert source.covers().first == dt.date(2025, 10, 22)
    assert [path.name for path in tmp_path.iterdir()] == [source.folder.name]


def _make(cache: Path) -> str:
    return str(SimulatedSource(cache, TINY).folder)


def test_processes_that_start_together_end_with_one_whole_league(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        folders = pool.map(_make, [tmp_path] * 4, chunksize=1)
    assert len(set(folders)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [Path(folders[0]).name]
    written = sorted(str(path.relative_to(folders[0])) for path in Path(folders[0]).rglob("*.parquet"))
    assert written == sorted(
        str(path.relative_to(tmp_path / "alone")) for path in tiny_league().write(tmp_path / "alone")
    )


def test_it_is_read_like_any_folder_of_seasons(tmp_path: Path) -> None:
    source = SimulatedSource(tmp_path / "cache", TINY)
    assert source.name == "simulated"
    folder = FolderSource(write(tmp_path / "folder", tables_of(tiny_league()), "parquet"))
    for kind in Kind:
        as_of = eastern(dt.date(2026, 2, 9), 12)
        one, other = (served(s, kind, DayRange(), as_of).drop("_file") for s in (source, folder))
        assert one.equals(other), kind


def test_none_of_its_rows_is_refused_but_the_lines_that_go_on_during_the_game(tmp_path: Path) -> None:
    source = SimulatedSource(tmp_path, TINY)
    made = raw_tables(source, DayRange(dt.date(2025, 10, 22), dt.date(2026, 4, 12)), LATE)
    assert {kind: cleaned.refused.height for kind, cleaned in made.items() if kind != Kind.PROP_LINES} == dict.fromkeys(
        (kind for kind in Kind if kind != Kind.PROP_LINES), 0
    )
    reasons = made[Kind.PROP_LINES].refused["reason"]
    assert reasons.unique().to_list() == ["is at or after tip-off: not a line but leakage"]
    assert 0 < reasons.len() < 0.3 * made[Kind.PROP_LINES].rows.height


def test_every_player_with_a_line_is_found_by_his_name_and_teams_alone(tmp_path: Path) -> None:
    """Two books drop Jr., II and III, one drops diacritics: the names must lead to the ids that the league knows."""
    tables = tables_of(tiny_league())
    lines = tables[Kind.PROP_LINES]
    nameless = lines.with_columns(player_id=None, game_id=None)
    source = FolderSource(write(tmp_path, {**tables, Kind.PROP_LINES: nameless}, "parquet"))
    made = raw_tables(source, DayRange(dt.date(2025, 10, 22), dt.date(2026, 4, 12)), LATE)[Kind.PROP_LINES]
    assert not made.refused["reason"].str.contains("unresolved").any()
    truth = lines.select("player_id", "game_id", player_name="player").unique()
    assert made.rows.join(truth, on=["player_name", "player_id", "game_id"], how="anti").is_empty()
    assert made.rows.height > 5000
