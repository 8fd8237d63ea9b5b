"""The charts of the accuracy report: what is drawn of which measure, and the sentence that says what to see."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from tasks.grading.accuracy import ALL, DECILES, WITH_LINE, by_edge, calibration
from tasks.publishing import charts
from tasks.publishing.accuracy_measures import measures
from tasks.publishing.page import Figure, Key, Table
from tasks.publishing.wording import count, interval, number, percent, said, signed, start, with_error

SYSTEMS = ("ensemble", "lightgbm", "similarity", "zone_matchup", "moving_average")
ACCEPTED_COVERAGE = (0.78, 0.82)
NOMINAL_COVERAGE = 0.80
CALIBRATION_TOLERANCE = 0.02
BREAK_EVEN = 0.524  # share of bets to win at a price of -110
SHARES_DRAWN = 2  # systems: the charts with intervals show the first ones, the tables all
MOST_FEATURES = 25
TWO_SIDED_95 = 1.96  # standard errors
_GLYPHS = dict(zip(charts.MARKERS, "●■▲◆▼✚", strict=True))


def order_of(systems: Iterable[str]) -> list[str]:
    """Systems as the report lists them: the featured one first, names it does not know last."""
    known = {name: at for at, name in enumerate(SYSTEMS)}
    return sorted(systems, key=lambda name: (known.get(name, len(known)), name))


def figures_of(rows: pl.DataFrame, who: str) -> tuple[Figure, ...]:
    """Every chart that the rows of one variant have something for; `who` names them and the information used.

    `rows` as of `population_of`.
    """
    monthly, whole = measures(rows, ["month"]), measures(rows)
    everyone, lined = _Monthly(monthly, ALL, who), _Monthly(monthly, WITH_LINE, f"{who}, players with a line")
    found: list[Figure | None] = [_errors_by_month(everyone, "ewm_mae", "the weighted average")]
    if lined.systems:
        found += [
            _errors_by_month(lined, "line_mae", "the line"),
            _lead_by_month(lined, whole),
            _calibration(rows, lined.who),
        ]
    found.append(_coverage(whole, who))
    if lined.systems:
        found.append(_hit_rates(rows, whole, lined.who))
        found.append(_drift(lined, "mean_edge", "prediction − line (points)", "{} stays within {} points of the line"))
    found.append(_drift(everyone, "bias", "prediction − result (points)", "{} is off by at most {} points on average"))
    found.append(_quality(everyone))
    return tuple(figure for figure in found if figure is not None)


def _errors_by_month(monthly: _Monthly, beside: str, beside_says: str) -> Figure:
    """MAE of every system by month beside that of the line or of the baseline on the featured system's rows."""
    series = [monthly.series(name, "mae") for name in monthly.systems]
    title = f"{start(monthly.first)} errs by {_range(series[0].values)} points, depending on the month"
    other = charts.Series(beside_says, charts.INK, monthly.values(monthly.first, beside), marker="", dashed=True)
    if not all(map(math.isnan, other.values)):
        below = sum(mine < its for mine, its in zip(series[0].values, other.values, strict=True))
        title = f"{start(monthly.first)} is below {beside_says} in {below} of {_months(len(monthly.months))}"
        series.append(other)
    return Figure(
        title=title,
        measured_on=monthly.measured_on,
        alternative=f"Mean absolute error in points by month, a line for each of {_names(series)}.",
        svg=charts.by_month(monthly.months, series, "mean absolute error (points)"),
        numbers=monthly.table("Mean absolute error, points", series, number),
        legend=_legend(series),
    )


def _lead_by_month(monthly: _Monthly, whole: pl.DataFrame) -> Figure:
    system = monthly.first
    values, errors = monthly.values(system, "over_line"), monthly.values(system, "over_line_se")
    low = [value - TWO_SIDED_95 * error for value, error in zip(values, errors, strict=True)]
    high = [value + TWO_SIDED_95 * error for value, error in zip(values, errors, strict=True)]
    series = [charts.Series(said(system), _hue(system, 0), values, low, high, bold=True)]
    row = whole.row(by_predicate=(pl.col("system") == system) & (pl.col("population") == WITH_LINE), named=True)
    over = with_error(row["over_line"], row["over_line_se"])
    return Figure(
        title=f"{start(system)} less the line: {over} points of error over all months",
        measured_on=f"{monthly.measured_on} Below zero the prediction was better; band: 95 % interval of the paired "
        "difference.",
        alternative=f"Mean absolute error of {said(system)} less that of the line by month, with intervals.",
        svg=charts.by_month(monthly.months, series, "MAE − the line's MAE (points)", zero=True),
        numbers=Table(
            f"MAE less the line's MAE, points, with its standard error; {said(system)}",
            ("month", "n", "difference ± standard error"),
            tuple(
                (f"{month:%Y-%m}", count(n), with_error(value, error))
                for month, n, value, error in zip(monthly.months, monthly.counts, values, errors, strict=True)
            ),
        ),
    )


def _calibration(rows: pl.DataFrame, who: str) -> Figure | None:
    table = calibration(rows)
    if table.is_empty():
        return None
    systems = order_of(table["system"].unique())
    drawn = [(name, table.filter(pl.col("system") == name)) for name in systems[:SHARES_DRAWN]]
    series = [_intervals(name, at, part, ("came", "came_low", "came_high")) for at, (name, part) in enumerate(drawn)]
    first = drawn[0][1]
    off = first["gap"].abs()
    near, n = int((off <= CALIBRATION_TOLERANCE).sum()), count(int(first["n"].sum()))
    return Figure(
        title=f"{start(systems[0])}'s probability of over is within 2 points of what happened in {near} of "
        f"{first.height} deciles",
        measured_on=f"{who}; n {n} for {said(systems[0])}, pushes left out. Bars: 95 % intervals; shaded: within 2 "
        "percentage points.",
        alternative="Share of games over the line by decile of the stated probability; the largest difference of "
        f"{said(systems[0])} is {100 * _float(off.max()):.1f} percentage points.",
        svg=charts.calibration(
            [part["said"].to_list() for _, part in drawn],
            series,
            "stated probability of over",
            "games over the line",
            CALIBRATION_TOLERANCE,
        ),
        numbers=Table(
            f"Calibration by decile of the stated probability of over ({DECILES} groups of equal size)",
            ("system", "decile", "n", "stated", "went over", "95 % interval"),
            tuple(
                (
                    said(row["system"]),
                    str(row["decile"]),
                    count(row["n"]),
                    percent(row["said"]),
                    percent(row["came"]),
                    interval(row["came_low"], row["came_high"]),
                )
                for row in _by_system(table, systems)
            ),
            row_headers=2,
        ),
        legend=(*_legend(series), Key("as stated", charts.INK, dashed=True)),
    )


def _coverage(whole: pl.DataFrame, who: str) -> Figure | None:
    table = whole.filter(pl.col("population") == ALL, pl.col("coverage_80").is_not_null())
    if table.is_empty():
        return None
    systems = order_of(table["system"].unique())
    ordered = _by_system(table, systems)
    series = [
        charts.Series(name=said(row["system"]), hue=_hue(row["system"], at), marker=_marker(row["system"], at),
                      values=[row["coverage_80"]], low=[row["covered_low"]], high=[row["covered_high"]])
        for at, row in enumerate(ordered)
    ]  # fmt: skip
    shares = ", ".join(f"{item.name} {percent(item.values[0])}" for item in series)
    return Figure(
        title=f"The 80 % interval of {said(systems[0])} holds {percent(series[0].values[0])} of the results",
        measured_on=f"{who}; n {count(ordered[0]['n'])} for {said(systems[0])}. Bars: 95 % intervals; shaded: 78 to "
        "82 %.",
        alternative=f"Share of results inside the 80 % interval: {shares}.",
        svg=charts.shares_by_name(series, "results inside the 80 % interval", NOMINAL_COVERAGE, ACCEPTED_COVERAGE),
        numbers=Table(
            "Coverage of the 80 % interval, its mean width, and mean pinball loss over nine levels",
            ("system", "n", "covers", "95 % interval", "width, points", "pinball, points"),
            tuple(
                (
                    said(row["system"]),
                    count(row["n"]),
                    percent(row["coverage_80"]),
                    interval(row["covered_low"], row["covered_high"]),
                    number(row["width_80"], 2),
                    number(row["pinball"]),
                )
                for row in ordered
            ),
        ),
    )


def _hit_rates(rows: pl.DataFrame, whole: pl.DataFrame, who: str) -> Figure | None:
    table = by_edge(rows).filter(pl.col("decided") > 0)
    if table.is_empty():
        return None
    systems = order_of(table["system"].unique())
    buckets = table.select("bucket", "edge_above").unique().sort("edge_above")
    drawn = [
        (name, buckets.join(table.filter(pl.col("system") == name), on="bucket", how="left", maintain_order="left"))
        for name in systems[:SHARES_DRAWN]
    ]
    series = [_intervals(name, at, part, ("hit_rate", "hit_low", "hit_high")) for at, (name, part) in enumerate(drawn)]
    counts = [[count(n) for n in part["decided"]] for _, part in drawn]
    mine = table.filter(pl.col("system") == systems[0])
    surely = [_bucket(bucket) for bucket in mine.filter(pl.col("hit_low") > BREAK_EVEN)["bucket"]]
    verdict = f"surely above break-even at {', '.join(surely)} points" if surely else "nowhere surely above break-even"
    shares = [f"{_bucket(row['bucket'])} points {percent(row['hit_rate'])}" for row in mine.iter_rows(named=True)]
    bets = {row["system"]: row for row in whole.filter(pl.col("population") == WITH_LINE).iter_rows(named=True)}
    first = bets[systems[0]]
    return Figure(
        title=f"{start(systems[0])} wins {percent(first['hit_rate'])} of {count(first['bets'])} bets; {verdict}",
        measured_on=f"{who}; n {count(int(mine['decided'].sum()))} results off the line for {said(systems[0])}, those "
        "too near to bet on too; pushes and voids left out. Bars: 95 % intervals (Wilson).",
        alternative=f"Share of results on the prediction's side by distance from the line, {said(systems[0])}: "
        f"{', '.join(shares)}; break-even is {percent(BREAK_EVEN)}.",
        svg=charts.shares_by_bucket(
            ["\n".join((_bucket(bucket), *ns)) for bucket, *ns in zip(buckets["bucket"], *counts, strict=True)],
            series,
            f"distance from the line (points), n of {' and '.join(said(name) for name, _ in drawn)}",
            "results on the prediction's side",
            BREAK_EVEN,
        ),
        numbers=Table(
            f"Results on the prediction's side of the line by its distance; break-even is {percent(BREAK_EVEN)}",
            ("system", "distance, points", "n", "on its side", "hit rate", "95 % interval"),
            tuple(
                (said(row["system"]), _bucket(row["bucket"]), count(row["decided"]), count(row["right"]),
                 percent(row["hit_rate"]), interval(row["hit_low"], row["hit_high"]))
                for row in _by_system(table, systems)
            )
            + tuple(
                (said(name), "all bets", count(bets[name]["bets"]), count(bets[name]["wins"]),
                 percent(bets[name]["hit_rate"]), interval(bets[name]["hit_low"], bets[name]["hit_high"]))
                for name in systems
            ),
            row_headers=2,
        ),
        legend=(*_legend(series), Key(f"break-even {percent(BREAK_EVEN)}", charts.INK, dashed=True)),
    )  # fmt: skip


def _drift(monthly: _Monthly, measure: str, label: str, says: str) -> Figure:
    series = [monthly.series(name, measure) for name in monthly.systems]
    largest = max((abs(value) for value in series[0].values if not math.isnan(value)), default=math.nan)
    return Figure(
        title=says.format(f"In every month {said(monthly.first)}", number(largest, 2)),
        measured_on=f"{monthly.measured_on} Zero: no drift.",
        alternative=f"Mean of {label} by month, a line for each of {_names(series)}.",
        svg=charts.by_month(monthly.months, series, label, zero=True),
        numbers=monthly.table(f"Mean of {label}", series, lambda value: signed(value, 2)),
        legend=_legend(series),
    )


def _quality(monthly: _Monthly) -> Figure | None:
    series = [monthly.series(monthly.first, "feature_quality")]
    if all(map(math.isnan, series[0].values)):
        return None
    return Figure(
        title=f"Feature quality by month: {_range(series[0].values, 0)} of 100",
        measured_on=f"{monthly.measured_on} 100: every group of inputs was there.",
        alternative="Mean feature quality by month, one line.",
        svg=charts.by_month(monthly.months, series, "feature quality (0 to 100)", decimals=1),
        numbers=monthly.table("Mean feature quality, 0 to 100", series, lambda value: number(value, 1)),
    )


def importance_figure(importance: Mapping[str, float], model: str) -> Figure:
    """The features with the largest shares of the model's gain."""
    top = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:MOST_FEATURES]
    names, shares = [name for name, _ in top], [share for _, share in top]
    return Figure(
        title=f"{names[0]} carries {percent(shares[0], 0)} of the points model's gain",
        measured_on=f"The {len(top)} largest of {len(importance)} features, together {percent(sum(shares), 0)} of the "
        f"gain; model {model}.",
        alternative=f"Shares of the gain: {', '.join(f'{name} {percent(share)}' for name, share in top)}.",
        svg=charts.bars(names, shares, "share of the points model's gain", percent),
        numbers=Table(
            "Feature importance: share of the total gain of the points model",
            ("feature", "share"),
            tuple((name, percent(share, 2)) for name, share in top),
        ),
    )


class _Monthly:
    """Measures by month and system in a population, as the rows of values that charts and tables are made of."""

    def __init__(self, monthly: pl.DataFrame, population: str, who: str) -> None:
        table = monthly.filter(pl.col("population") == population)
        self.who = who
        self.months: list[dt.date] = table["month"].unique().sort().to_list()
        self.systems = order_of(table["system"].unique())
        self.at = {(row["month"], row["system"]): row for row in table.iter_rows(named=True)}

    @property
    def first(self) -> str:
        """The featured system."""
        return self.systems[0]

    @property
    def counts(self) -> list[int]:
        return [self.at.get((month, self.first), {}).get("n", 0) for month in self.months]

    @property
    def measured_on(self) -> str:
        return f"{self.who}; n {count(sum(self.counts))} for {said(self.first)}."

    def values(self, system: str, measure: str) -> list[float]:
        rows = (self.at.get((month, system), {}) for month in self.months)
        return [_float(row.get(measure)) for row in rows]

    def series(self, system: str, measure: str) -> charts.Series:
        at = self.systems.index(system)
        values = self.values(system, measure)
        return charts.Series(said(system), _hue(system, at), values, marker=_marker(system, at), bold=at == 0)

    def table(self, caption: str, series: Sequence[charts.Series], says: Callable[[float], str]) -> Table:
        rows = tuple(
            (f"{month:%Y-%m}", count(self.counts[at]), *(says(item.values[at]) for item in series))
            for at, month in enumerate(self.months)
        )
        return Table(f"{caption}, by month; n of {said(self.first)}", ("month", "n", *(s.name for s in series)), rows)


def _by_system(table: pl.DataFrame, systems: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table, in the report's order of systems."""
    return [row for name in systems for row in table.filter(pl.col("system") == name).iter_rows(named=True)]


def _bucket(name: str) -> str:
    """A bucket of distances as words: 1-1.5 is 1 to 1.5."""
    return name.replace("-", " to ")


def _names(series: Sequence[charts.Series]) -> str:
    return ", ".join(item.name for item in series)


def _intervals(name: str, at: int, part: pl.DataFrame, columns: tuple[str, str, str]) -> charts.Series:
    share, low, high = (part[column].fill_null(math.nan).to_list() for column in columns)
    return charts.Series(said(name), _hue(name, at), share, low, high, _marker(name, at))


def _hue(system: str, at: int) -> str:
    """A system has the same colour in every chart, whichever others are there."""
    return charts.HUES[(SYSTEMS.index(system) if system in SYSTEMS else at) % len(charts.HUES)]


def _marker(system: str, at: int) -> str:
    return charts.MARKERS[(SYSTEMS.index(system) if system in SYSTEMS else at) % len(charts.MARKERS)]


def _legend(series: Sequence[charts.Series]) -> tuple[Key, ...]:
    return tuple(Key(item.name, item.hue, _GLYPHS.get(item.marker, ""), item.dashed) for item in series)


def _range(values: Sequence[float], decimals: int = 2) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{number(min(known), decimals)} to {number(max(known), decimals)}" if known else "–"


def _months(number_of: int) -> str:
    return f"{number_of} month" + ("" if number_of == 1 else "s")


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
