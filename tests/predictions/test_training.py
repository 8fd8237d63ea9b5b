"""Training's shortcuts change nothing of what is learned."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from tasks.predictions.training import MINUTES_TREES, POINTS_TREES, SIZE_TREES


@pytest.mark.parametrize("trees", [MINUTES_TREES, POINTS_TREES, SIZE_TREES], ids=["minutes", "points", "size"])
def test_trees_are_the_same_from_histograms_by_row_and_by_column(trees: dict[str, object]) -> None:
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(4_000, 12))
    columns[:, 8:] *= rng.random((4_000, 4)) < 0.1  # mostly zero, as counts are: stored in another way
    columns[rng.random(columns.shape) < 0.05] = np.nan
    values = np.nansum(columns[:, :4], axis=1) + rng.normal(size=4_000)
    without = {name: value for name, value in trees.items() if not name.startswith("force_")}

    def grown(**by: bool) -> list[str]:
        both = {**without, **by}
        text = lightgbm.train(both, lightgbm.Dataset(columns, values, params=both), 40).model_to_string()
        return text.partition("parameters:")[0].split("Tree=")

    by_row, by_column = grown(force_row_wise=True), grown(force_col_wise=True)
    assert len(by_row) == 41
    assert by_row == by_column
