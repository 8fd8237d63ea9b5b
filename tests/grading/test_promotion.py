"""Promotion: a trained model may predict only if it is sound, unsuspicious, and no worse than the current one."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.grading.promotion import FEWEST_SHARED, Comparison, compared, objections
from tasks.predictions.distribution import Spread
from tasks.predictions.models import ModelCard
from tasks.predictions.out_of_time import OutOfTime
from tasks.predictions.points_model import Blend, Lessons
from tasks.predictions.predictions import SYSTEMS
from tasks.predictions.training import Trained

DAY = dt.date(2025, 12, 28)
ROWS, LINES = 11_000, 5_000


def metrics(**changed: float) -> dict[str, float]:
    """What an honest training comes to."""
    usual = {"out_of_time_rows": float(ROWS), "line_rows": float(LINES), "line_mae": 5.10}
    for system in (system.name for system in SYSTEMS):
        usual |= {f"{system}_mae": 4.82, f"{system}_mae_with_line": 5.25, f"{system}_coverage_80": 0.80}
        usual |= {f"{system}_pinball": 1.86, f"{system}_bets": 2_000.0, f"{system}_bets_won": 1_040.0}
    usual |= {"lightgbm_mae": 4.66, "lightgbm_mae_with_line": 5.17, "ensemble_mae": 4.63}
    return usual | {"ensemble_mae_with_line": 5.095, "ensemble_bets": 300.0, "ensemble_bets_won": 158.0} | changed


def card(**changed: float) -> ModelCard:
    facts: dict[str, Any] = {"features": ("a",), "files": {}, "libraries": {}, "feature_set_version": 1}
    return ModelCard(
        id="points-new", trained_from=DAY, trained_through=DAY, rows=1, metrics=metrics(**changed),
        created_at=dt.datetime(2025, 12, 29, tzinfo=dt.UTC), **facts,
    )  # fmt: skip


def test_an_honest_first_model_is_promoted() -> None:
    assert objections(card()) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lightgbm_mae": 3.4}, "lightgbm: error too low, probably leakage: MAE 3.400"),
        ({"ensemble_mae_with_line": 5.05}, "ensemble: line beaten by too much, probably leakage"),
        ({"similarity_bets_won": 1_400.0}, "similarity: too many bets won, probably leakage: 70.0% of 2,000 bets"),
        ({"lightgbm_mae": 4.90}, "lightgbm: MAE 4.900 is above the moving average's 4.820"),
        ({"ensemble_coverage_80": 0.70}, "ensemble: the 80 % interval covers 70.0%"),
        ({"lightgbm_coverage_80": 0.90}, "lightgbm: the 80 % interval covers 90.0%"),
        ({"ensemble_mae_with_line": 5.20}, "ensemble: MAE is 0.100 above the line's"),
    ],
    ids=["leak", "line beaten", "bets won", "worse than an average", "too narrow", "too wide", "worse than the line"],
)
def test_what_is_suspicious_or_unsound_is_refused_by_name(changed: dict[str, float], said: str) -> None:
    found = objections(card(**changed))
    assert len(found) == 1
    assert found[0].startswith(said)


def test_the_simulated_league_may_be_predicted_better_than_the_real_one() -> None:
    low = card(lightgbm_mae=4.45)
    assert objections(low, simulated=True) == ()
    assert len(objections(low)) == 1


def test_chance_on_a_small_league_refuses_nothing() -> None:
    small = {"out_of_time_rows": 250.0, "line_rows": 60.0}
    shaky = {"lightgbm_mae": 4.95, "lightgbm_coverage_80": 0.86, "ensemble_mae_with_line": 5.3}
    assert objections(card(**small, **shaky)) == ()


def beside(lost: float, rows: int = 3_000, error: float = 0.01) -> Comparison:
    return Comparison(
        current="points-old",
        rows=rows,
        worse_by={"lightgbm": lost, "ensemble": 0.0},
        standard_error={"lightgbm": error, "ensemble": error},
    )


@pytest.mark.parametrize(
    ("comparison", "refused"),
    [
        (beside(0.0), False),
        (beside(-0.3), False),  # better
        (beside(0.035), False),  # worse, but perhaps by no more than 0.02
        (beside(0.06), True),
        (beside(0.06, error=0.03), False),  # chance
        (beside(0.5, rows=FEWEST_SHARED - 1), False),  # too few to say anything
        (beside(0.5, rows=FEWEST_SHARED), True),
    ],
)
def test_a_model_that_lost_ground_beyond_chance_does_not_replace_the_current_one(
    comparison: Comparison, refused: bool
) -> None:
    found = objections(card(), comparison)
    assert bool(found) == refused
    if refused:
        assert "lightgbm: MAE is" in found[0]
        assert "above that of the current model points-old on the same" in found[0]


def test_both_models_are_compared_on_the_same_games_one_by_one() -> None:
    rng = np.random.default_rng(3)
    actual = rng.normal(12, 6, 800)
    mine, theirs = actual + rng.normal(0, 6, 800), actual + rng.normal(0, 5, 800)
    rows = pl.DataFrame({"game_day": [DAY] * 800, "game_id": list(map(str, range(800))), "player_id": range(800)})
    flat = Spread(levels=(10.0,), shapes=((0.0,) * 39,))
    lessons = Lessons(
        blend=Blend(weights={"lightgbm": 1.0}, own_share=1.0, price_pull=0.0), spreads={"lightgbm": flat},
        calibrations={},
    )  # fmt: skip
    unknown = np.full(800, np.nan)
    seen = OutOfTime(rows, {"lightgbm": mine}, actual, np.ones(800), unknown, unknown)
    trained = Trained(first=DAY, last=DAY, rows=800, metrics={}, seen=seen, tested=lessons)
    said = rows.select("game_id", "player_id").with_columns(
        lightgbm=pl.Series(theirs), ensemble=pl.Series(theirs)
    ).slice(100)  # fmt: skip
    found = compared(trained, "points-old", said)
    difference = (np.abs(mine - actual) - np.abs(theirs - actual))[100:]
    assert found.rows == 700
    assert found.worse_by["lightgbm"] == pytest.approx(difference.mean())
    assert found.standard_error["ensemble"] == pytest.approx(difference.std(ddof=1) / np.sqrt(700))
