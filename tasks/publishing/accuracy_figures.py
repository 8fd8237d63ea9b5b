"""The charts of the accuracy report: what is drawn of graded rows, and the sentence that says what to see."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from tasks.publishing import charts
from tasks.publishing.page import Figure, Key, Table
from tasks.publishing.wording import count, number, percent, points, said, signed

SYSTEMS = ("ensemble", "lightgbm", "similarity", "zone_matchup", "moving_average")
GLYPHS = dict(zip(charts.MARKERS, "●■▲◆▼✚", strict=True))
ACCEPTED_COVERAGE = (0.78, 0.82)
CALIBRATION_TOLERANCE = 0.02
MOST_FEATURES = 25


def order_of(systems: Iterable[str]) -> list[str]:
    """Systems as the report lists them: the featured one first, unknown names last."""
    known = {name: at for at, name in enumerate(SYSTEMS)}
    return sorted(systems, key=lambda name: (known.get(name, len(known)), name))


def errors_by_month(monthly: pl.DataFrame, who: str, beside: str, beside_says: str) -> Figure:
    """MAE of every system by month beside another column of the same rows: the line's MAE, or a baseline's.

    `monthly`: month, system, n, mae and the column `beside`.
    """
    months, systems = _months(monthly), order_of(monthly["system"].unique())
    series = [_series(monthly, months, name, "mae", bold=name == systems[0]) for name in systems]
    has_other = beside in monthly.columns and monthly[beside].is_not_null().any()
    legend = [_key(item) for item in series]
    title = f"{said(systems[0])} errs by {_range(series[0].values)} points a month"
    if has_other:
        # The rows of a system that leaves players out are fewer: the featured system's rows are those to compare on.
        other = charts.Series(beside_says, charts.INK, _values(monthly, months, systems[0], beside), marker="", dashed=True)
        series.append(other)
        legend.append(_key(other))
        below = sum(mine < its for mine, its in zip(series[0].values, other.values, strict=True))
        title = f"{said(systems[0])} is below {beside_says} in {below} of {len(months)} months"
    columns = ("month", "n", *(said(name) for name in systems), *([beside_says] if has_other else []))
    return Figure(
        title=title,
        measured_on=f"{who}. {_games(monthly, systems[0])}, the same rows for {beside_says}.",
        alternative=f"Lines of the mean absolute error in points over {len(months)} months, one for each system"
        + (f", and a dashed one for {beside_says}." if has_other else "."),
        svg=charts.by_month(months, series, "mean absolute error (points)"),
        numbers=Table(
            f"Mean absolute error in points by month; {who}; n of {said(systems[0])}",
            columns,
            tuple(
                (f"{month:%Y-%m}", count(_at(monthly, month, systems[0], "n")), *(number(item.values[at]) for item in series))
                for at, month in enumerate(months)
            ),
        ),
        legend=tuple(legend),
    )
