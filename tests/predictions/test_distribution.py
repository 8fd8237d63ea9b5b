"""What a spread promises: quantiles in order, probabilities that fall with the line, pushes left out, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.predictions.distribution import (
    FEWEST_ERRORS,
    NINE_LEVELS,
    QUANTILES,
    Array,
    Spread,
    pinball_loss,
)

STEADY = settings(deadline=None, derandomize=True, max_examples=100)
HALF_LINES = np.arange(0.5, 60, 0.5)  # 0.5, 1, 1.5, ...: every line a book could offer


def nights(seed: int, count: int = 4_000) -> tuple[Array, Array, Array]:
    """Predictions, the size of error that their situation makes likely, and whole points that came of them."""
    dice = np.random.default_rng(seed)
    predicted = dice.gamma(3.0, 4.5, count)
    size = (2.0 + 0.25 * predicted) * dice.uniform(0.7, 1.4, count)
    actual = predicted + size * (dice.gamma(4.0, 0.5, count) - 2.0)
    return predicted, size, np.maximum(np.rint(actual), 0.0)


def learned(seed: int, count: int = 4_000) -> Spread:
    predicted, size, actual = nights(seed, count)
    return Spread.of(predicted, actual, size)


@pytest.fixture(scope="module")
def spread() -> Spread:
    return learned(1)


@st.composite
def any_spread(draw: st.DrawFn) -> Spread:
    """A spread learned from any data: few or many, with ties, constant predictions, outliers, sizes of zero."""
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(FEWEST_ERRORS, 600))
    predicted = draw(
        st.sampled_from([dice.uniform(0, 40, count), np.full(count, 12.0), np.rint(dice.uniform(0, 9, count))])
    )
    noise = draw(
        st.sampled_from([dice.normal(0, 5, count), dice.standard_t(2, count), np.rint(dice.normal(0, 2, count))])
    )
    size = draw(st.sampled_from([np.zeros(count), np.full(count, 4.0), dice.uniform(0, 12, count)]))
    return Spread.of(predicted, np.maximum(np.rint(predicted + noise), 0.0), size)


PREDICTIONS = st.lists(st.floats(-5, 70), min_size=1, max_size=5).map(np.array)
SIZES = st.floats(0, 20)


@STEADY
@given(any_spread(), PREDICTIONS, SIZES)
def test_quantiles_never_cross_and_are_never_below_zero(spread: Spread, predicted: Array, size: float) -> None:
    levels = tuple(np.linspace(0.01, 0.99, 99))
    found = spread.quantiles(predicted, np.full(len(predicted), size), levels)
    assert found.shape == (len(predicted), 99)
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found >= 0).all()


@STEADY
@given(any_spread(), PREDICTIONS, SIZES)
def test_the_probability_of_over_falls_with_the_line_and_is_a_probability(
    spread: Spread, predicted: Array, size: float
) -> None:
    everywhere = np.ones(len(HALF_LINES))
    for one in predicted:
        over = spread.over_probability(one * everywhere, size * everywhere, HALF_LINES)
        assert ((over >= 0) & (over <= 1)).all()
        assert (np.diff(over) <= 1e-12).all()


@STEADY
@given(any_spread(), st.floats(0, 60), SIZES, st.integers(1, 50))
def test_at_a_whole_line_the_push_is_left_out(spread: Spread, predicted: float, size: float, line: int) -> None:
    """Over and under of a whole line are those of the half lines beside it, of the nights that do not push."""
    at, sizes = np.full(3, predicted), np.full(3, size)
    over_above, over_below, over = spread.over_probability(at, sizes, np.array([line + 0.5, line - 0.5, float(line)]))
    more, fewer = over_above, 1 - over_below
    assert over == pytest.approx(more / (more + fewer), abs=1e-9)


@STEADY
@given(any_spread(), st.integers(0, 30), st.floats(0.01, 0.99))
def test_every_line_between_two_whole_points_is_the_same_bet(spread: Spread, points: int, part: float) -> None:
    at, size = np.full(2, 11.0), np.full(2, 5.0)
    one, other = spread.over_probability(at, size, np.array([points + 0.5, points + part]))
    assert one == other


def test_of_two_players_the_one_predicted_higher_is_likelier_over(spread: Spread) -> None:
    over = spread.over_probability(np.linspace(8, 25, 60), np.full(60, 6.0), np.full(60, 15.5))
    assert (np.diff(over) >= 0).all()
    assert over[-1] - over[0] > 0.5


def test_a_less_certain_situation_widens_every_quantile_and_pulls_the_probability_to_the_middle(
    spread: Spread,
) -> None:
    at, sizes = np.full(2, 20.0), np.array([3.0, 9.0])
    sure, unsure = spread.quantiles(at, sizes)[:, [0, -1]]
    assert unsure[0] < sure[0] < 20 < sure[1] < unsure[1]
    over = spread.over_probability(at, sizes, np.full(2, 16.5))
    assert 0.5 < over[1] < over[0]


def test_an_unknown_line_or_prediction_has_no_probability(spread: Spread) -> None:
    size = np.full(3, 5.0)
    found = spread.over_probability(np.array([np.nan, 12.0, 12.0]), size, np.array([10.5, np.nan, 10.5]))
    assert np.isnan(found).tolist() == [True, True, False]
    assert np.isnan(spread.quantiles(np.array([np.nan]), np.array([5.0]))).all()


def test_a_system_that_is_always_right_still_says_something_finite() -> None:
    points = np.rint(np.linspace(0, 40, 500))
    sure = Spread.of(points, points, np.zeros(500))
    assert sure.quantiles(np.array([20.0]), np.zeros(1)) == pytest.approx(20.0)
    over = sure.over_probability(np.full(2, 20.0), np.zeros(2), np.array([15.5, 25.5]))
    assert over[0] > 0.95
    assert over[1] < 0.05


def test_quantiles_cover_as_often_as_they_say_on_nights_they_were_not_learned_from(spread: Spread) -> None:
    predicted, size, actual = nights(2, 20_000)
    below = (actual[:, None] <= spread.quantiles(predicted, size, NINE_LEVELS)).mean(axis=0)
    assert below == pytest.approx(NINE_LEVELS, abs=0.035)
    low, high = spread.quantiles(predicted, size)[:, [0, -1]].T
    assert ((actual >= low) & (actual <= high)).mean() == pytest.approx(0.80, abs=0.04)


@pytest.mark.parametrize("by", ["points", "certainty"])
def test_coverage_holds_for_scorers_and_the_bench_and_for_sure_and_unsure_nights(spread: Spread, by: str) -> None:
    predicted, size, actual = nights(3, 30_000)
    for group in np.array_split(np.argsort(predicted if by == "points" else size / (2.0 + 0.25 * predicted)), 4):
        low, high = spread.quantiles(predicted[group], size[group])[:, [0, -1]].T
        inside = (actual[group] >= low) & (actual[group] <= high)
        assert inside.mean() == pytest.approx(0.80, abs=0.06)


@pytest.mark.parametrize("shift", [-3.5, -0.5, 0.0, 0.5, 4.0])
def test_probabilities_of_over_come_true_as_often_as_they_say(spread: Spread, shift: float) -> None:
    predicted, size, actual = nights(4, 20_000)
    line = np.maximum(np.rint(2 * (predicted + shift)) / 2, 0.5)
    settled = actual != line
    said, came = spread.over_probability(predicted, size, line)[settled], (actual > line)[settled]
    assert said.mean() == pytest.approx(came.mean(), abs=0.02)
    for low in (0.2, 0.4, 0.6):
        bets = (said >= low) & (said < low + 0.2)
        if bets.sum() > 1_000:
            assert said[bets].mean() == pytest.approx(came[bets].mean(), abs=0.04)


def test_too_few_errors_teach_nothing() -> None:
    with pytest.raises(ValueError, match="199 errors are too few to learn a spread from: 200 are needed"):
        learned(5, FEWEST_ERRORS - 1)


def test_a_spread_survives_its_file_unchanged(spread: Spread) -> None:
    again = Spread.model_validate_json(spread.model_dump_json())
    predicted, size, _ = nights(6, 50)
    assert (again.quantiles(predicted, size) == spread.quantiles(predicted, size)).all()


def test_pinball_loss_is_what_koenker_and_bassett_say() -> None:
    # Level 0.1: 10 against 8 costs 0.1 x 2, 10 against 13 costs 0.9 x 3; level 0.5: half of either distance.
    actual = np.array([10.0, 10.0])
    quantiles = np.array([[8.0, 8.0], [13.0, 13.0]])
    expected = np.mean([0.1 * 2, 0.5 * 2, 0.9 * 3, 0.5 * 3])
    assert pinball_loss(actual, quantiles, (0.1, 0.5)) == pytest.approx(expected)
    assert pinball_loss(actual, actual[:, None] * np.ones((1, 2)), (0.1, 0.5)) == 0.0


def test_pinball_loss_is_least_at_the_true_quantiles(spread: Spread) -> None:
    predicted, size, actual = nights(7, 20_000)
    honest = spread.quantiles(predicted, size, NINE_LEVELS)
    middle = honest[:, [4]]
    least = pinball_loss(actual, honest, NINE_LEVELS)
    assert least < pinball_loss(actual, middle + 1.3 * (honest - middle), NINE_LEVELS)
    assert least < pinball_loss(actual, middle + 0.7 * (honest - middle), NINE_LEVELS)
    assert least < pinball_loss(actual, honest + 1.0, NINE_LEVELS)


def test_the_published_quantiles_hold_the_median_the_quartiles_and_all_nine_levels_in_order() -> None:
    assert {0.25, 0.50, 0.75, *NINE_LEVELS} == set(QUANTILES)
    assert list(QUANTILES) == sorted(QUANTILES)
