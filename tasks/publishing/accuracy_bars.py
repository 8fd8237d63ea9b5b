"""The bar: what the predictions of real seasons are held to, and each measured figure beside it.

The limits are those of the best honest models known for this population (docs/accuracy.md). A figure is held against
its limit at the limit's own decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.grading.accuracy import ALL, WITH_LINE, calibration, levels
from tasks.publishing.accuracy_figures import ACCEPTED_COVERAGE
from tasks.publishing.accuracy_measures import VARIANT
from tasks.publishing.wording import number, percent, signed, with_error

NO_NEWS, PERFECT_REPORT = "no news", "perfect report"
HIGHEST_PINBALL = 1.82
CALIBRATED_WITHIN = 0.02
TREES, ENSEMBLE = "lightgbm", "ensemble"
SEASONS = ("2023-24", "2024-25", "2025-26")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Held:
    """A figure beside its bar: what it is, of which season, on how many rows, and whether it holds."""

    what: str
    season: str
    n: int
    figure: str
    bar: str
    holds: bool


@dataclass(frozen=True)
class _Bar:
    """A bar for one row of the headline: `value` of it must be at most `limit`."""

    what: str
    variant: str
    season: str
    system: str
    population: str
    value: Callable[[Row], float | None]
    limit: float
    decimals: int
    shown: Callable[[Row], str]
    says: str


def _below_average(row: Row) -> float | None:
    return None if row["ewm_mae"] is None else row["mae"] - row["ewm_mae"]


def _errors(what: str, variant: str, limits: Mapping[str, float], behind: float) -> Iterator[_Bar]:
    for season, limit in limits.items():
        yield _Bar(what, variant, season, TREES, ALL, lambda row: row["mae"], limit, 2,
                   lambda row: number(row["mae"]), f"at most {limit:.2f}")  # fmt: skip
    yield _Bar(f"{what}, less the weighted average's", variant, "2025-26", TREES, ALL, _below_average, -behind, 2,
               lambda row: signed(_below_average(row)), f"at least {behind:.2f} below")  # fmt: skip


def _against_the_line() -> Iterator[_Bar]:
    def shown(row: Row) -> str:
        return with_error(row["over_line"], row["over_line_se"])

    for season, limit, decimals in (("2024-25", 0.09, 2), ("2025-26", 0.075, 3)):
        yield _Bar("LightGBM without news, MAE less the line's", NO_NEWS, season, TREES, WITH_LINE,
                   lambda row: row["over_line"], limit, decimals, shown, f"at most {limit}")  # fmt: skip
        yield _Bar("Ensemble with the line, MAE less the line's", NO_NEWS, season, ENSEMBLE, WITH_LINE,
                   lambda row: row["over_line"], -0.0005, 4, shown, "below the line")  # fmt: skip


def _distributions() -> Iterator[_Bar]:
    low, high = ACCEPTED_COVERAGE
    for season in SEASONS:
        yield _Bar("80 % interval covers, LightGBM", NO_NEWS, season, TREES, ALL,
                   lambda row: None if row["coverage_80"] is None else abs(row["coverage_80"] - 0.80),
                   (high - low) / 2, 3, lambda row: percent(row["coverage_80"]), "78 to 82 %")  # fmt: skip
        yield _Bar("Pinball over nine levels, LightGBM", NO_NEWS, season, TREES, ALL, lambda row: row["pinball"],
                   HIGHEST_PINBALL, 2, lambda row: number(row["pinball"]), f"at most {HIGHEST_PINBALL}")  # fmt: skip


BARS = (
    *_errors("LightGBM, MAE", NO_NEWS, {"2023-24": 4.65, "2024-25": 4.73}, 0.14),
    *_errors("LightGBM with the absences report, MAE", PERFECT_REPORT, {"2023-24": 4.57, "2024-25": 4.61}, 0.23),
    *_against_the_line(),
    *_distributions(),
)


def held(headline: pl.DataFrame, rows: pl.DataFrame) -> tuple[Held, ...]:
    """Every bar that there are rows for. `headline` and `rows` as `Accuracy` has them, of real seasons."""
    found = {(row[VARIANT], row["season"], row["system"], row["population"]): row for row in headline.to_dicts()}
    measured = []
    for bar in BARS:
        row = found.get((bar.variant, bar.season, bar.system, bar.population))
        value = None if row is None else bar.value(row)
        if row is not None and value is not None:
            holds = round(value, bar.decimals) <= bar.limit
            measured.append(Held(bar.what, bar.season, row["n"], bar.shown(row), bar.says, holds))
    return (*measured, *_calibrated(rows.filter(pl.col(VARIANT) == NO_NEWS)))


def _calibrated(rows: pl.DataFrame) -> Iterator[Held]:
    """The probability of over: at nine lines of every player, and at the market's line by decile, all seasons."""
    within = f"within {100 * CALIBRATED_WITHIN:.0f} points"
    seasons = ", ".join(rows["season"].unique().sort())
    at_any = levels(rows.filter(pl.col("system") == TREES))
    if at_any.height:
        yield _gaps("P(over) at nine lines of every player, LightGBM", seasons, at_any, f"{within} each")
    for system in (ENSEMBLE, TREES):
        deciles = calibration(rows.filter(pl.col("system") == system)).with_columns(
            se=(pl.col("came") * (1 - pl.col("came")) / pl.col("n")).sqrt()
        )
        if deciles.height:
            lined = ", ".join(rows.filter("has_line")["season"].unique().sort())
            yield _gaps(f"P(over) at the market's line by decile, {system}", lined, deciles, f"{within} each")


def _gaps(what: str, season: str, found: pl.DataFrame, bar: str) -> Held:
    largest = found.sort(pl.col("gap").abs(), descending=True).row(0, named=True)
    inside = found.filter(pl.col("gap").abs().round(3) <= CALIBRATED_WITHIN).height
    figure = (
        f"{inside} of {found.height}, the largest {signed(100 * largest['gap'], 1)} ± {number(100 * largest['se'], 1)}"
    )
    n = found["n"].max() if "level" in found.columns else found["n"].sum()
    assert isinstance(n, int)
    return Held(what, season, n, figure, bar, inside == found.height)
