"""The calibration of P(over): it keeps order and bounds, finds a known map again, and trusts few lines little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.predictions.calibration import STEEPEST, Calibration
from tests.leagues import steady

AS_IT_IS = Calibration(intercept=0.0, slope=1.0)
maps = st.builds(Calibration, intercept=st.floats(-1, 1), slope=st.floats(0, STEEPEST))
shares = st.lists(st.floats(0, 1), min_size=2, max_size=30).map(lambda values: np.array(sorted(values)))


@steady(200)
@given(maps, shares)
def test_calibration_keeps_the_order_and_stays_a_probability(calibration: Calibration, said: np.ndarray) -> None:
    believed = calibration.calibrated(said)
    assert (np.diff(believed) >= -1e-12).all()
    assert ((believed > 0) & (believed < 1)).all()


def test_the_unit_map_changes_nothing_and_unknown_stays_unknown() -> None:
    said = np.array([0.01, 0.4, 0.5, 0.99, np.nan])
    assert AS_IT_IS.calibrated(said) == pytest.approx(said, nan_ok=True)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (-0.1, 0.25), (0.05, 0.0)])
def test_a_known_map_is_found_again(intercept: float, slope: float) -> None:
    rng = np.random.default_rng(5)
    said = rng.uniform(0.2, 0.8, 60_000)
    truth = Calibration(intercept=intercept, slope=slope)
    over = (rng.random(len(said)) < truth.calibrated(said)).astype(float)
    found = Calibration.of(said, over)
    assert found.intercept == pytest.approx(intercept, abs=0.03)
    assert found.slope == pytest.approx(slope, abs=0.05)
    deciles = np.array_split(np.argsort(said), 10)
    gaps = [over[rows].mean() - found.calibrated(said[rows]).mean() for rows in deciles]
    assert np.abs(gaps).max() < 0.02


def test_a_system_that_is_wrong_on_purpose_is_not_turned_around() -> None:
    said = np.linspace(0.1, 0.9, 2_000)
    assert Calibration.of(said, (said < 0.5).astype(float)).slope == 0.0


def test_few_lines_move_the_usual_map_little_and_many_carry_it() -> None:
    found, usual = Calibration(intercept=0.2, slope=1.0), Calibration(intercept=0.0, slope=0.2)
    assert found.towards(usual, 30, 3_000).slope == pytest.approx(0.2, abs=0.01)
    assert found.towards(usual, 3_000, 3_000).slope == pytest.approx(0.6)
    assert found.towards(usual, 300_000, 3_000).slope == pytest.approx(1.0, abs=0.01)
