"""Every declaration is loaded with the real models: processors fit together, deployments name real flows."""

from __future__ import annotations

from pathlib import Path

from deployments.integrity.project import read_project
from deployments.specs import load
from tasks.catalog import registry
from tasks.engine.plan import steps_of
from tasks.engine.processor import Landed, Mode, Need, Phase
from tasks.precompute.ml_feature_store import FEATURES, REQUIRED_FEATURES
from tasks.predictions.points_model import LINE_FEATURES, MINUTES_FEATURES, POINTS_FEATURES, SPREAD_FEATURES
from tasks.sources.base import Kind

ROOT = Path(__file__).resolve().parents[1]


def test_every_table_of_the_domain_has_its_processor() -> None:
    by_phase = {phase: {item.table for item in registry() if item.phase == phase} for phase in Phase}
    assert by_phase[Phase.ANALYTICS] == {
        "player_game_summary",
        "team_offense_game_summary",
        "team_defense_game_summary",
        "upcoming_player_game_context",
        "upcoming_team_game_context",
    }
    assert by_phase[Phase.PRECOMPUTE] == {
        "team_defense_zone_analysis",
        "player_shot_zone_analysis",
        "player_composite_factors",
        "player_daily_cache",
        "ml_feature_store",
    }


def test_same_day_demands_last_nights_tables_fresh_and_computes_tonights() -> None:
    same_day = {step.processor for step in steps_of(Mode.SAME_DAY, registry())}
    fresh = {item.table for item in registry() if item.runs_in.get(Mode.SAME_DAY) == Need.FRESH}
    assert "upcoming_player_game_context" in same_day
    assert {"player_game_summary", "player_daily_cache"} <= fresh
    assert not fresh & same_day


def test_every_kind_of_payload_is_read_by_one_processor() -> None:
    kinds = [read.kind for item in registry() for read in item.reads.values() if isinstance(read, Landed)]
    assert sorted(kinds) == sorted(Kind)


def test_every_feature_has_one_definition_with_a_unit_or_a_meaning() -> None:
    names = [column.name for column in FEATURES]
    assert len(names) == len(set(names))
    assert set(REQUIRED_FEATURES) <= set(names)
    silent = [column.name for column in FEATURES if not column.unit and not column.says.strip(": ")]
    assert silent == ["playoff_game"]


def test_the_trees_never_see_a_line() -> None:
    for features in (MINUTES_FEATURES, POINTS_FEATURES, SPREAD_FEATURES):
        assert not [name for name in features if "line" in name.split("_") or name in LINE_FEATURES]


def test_every_roles_release_may_run_exactly_what_is_deployed_for_it_on_its_pools() -> None:
    deployed = load(values={"RELEASE_VERSION": "1+000000000000"})
    for name, role in read_project(ROOT).roles.items():
        mine = [item for item in deployed if item.role == name]
        assert {item.entrypoint for item in mine} == set(role.entrypoints), name
        assert {item.work_pool.name for item in mine} == set(role.pools), name
