"""Charts as inline SVG: real text in the page's font, colours as CSS variables, nothing fetched from anywhere.

What the charts of a report say is decided by who calls; here is only how lines, intervals and bars are drawn.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Matplotlib wants colours, the page wants CSS variables that change with the reader's colour scheme: each is drawn in
# a stand-in colour that occurs nowhere else and is replaced in the finished SVG.
INK, MUTED, GRID, BAND = "ink", "muted", "grid", "band"
HUES = tuple(f"hue-{number}" for number in range(1, 7))
_STAND_IN = {name: f"#0a0b{number:02x}" for number, name in enumerate((INK, MUTED, GRID, BAND, *HUES), start=16)}
MARKERS = ("o", "s", "^", "D", "v", "P")  # so that colour is never the only difference

WIDTH, HEIGHT = 420, 264  # CSS pixels: one chart fills a phone, two stand beside each other on a desk
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "courtside",
    "text.parse_math": False,  # a name is a name, also with dollar signs
    "font.size": 11.5,
    "axes.labelsize": 11.5,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": _STAND_IN[INK],
    "axes.edgecolor": _STAND_IN[GRID],
    "axes.labelcolor": _STAND_IN[MUTED],
    "xtick.color": _STAND_IN[MUTED],
    "ytick.color": _STAND_IN[MUTED],
    "grid.color": _STAND_IN[GRID],
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "savefig.transparent": True,
    "figure.constrained_layout.use": True,
}
_SEASON_GAP = 0.8  # months of the axis between two seasons, so that no line is drawn through a summer
_EVERY_MONTH_NAMED = 9  # months; more than these and only some are named on the axis


@dataclass(frozen=True)
class Series:
    """One named row of values; `low` and `high` are the ends of an interval around each, NaN where there is none."""

    name: str
    hue: str
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    marker: str = "o"
    dashed: bool = False
    bold: bool = False


def by_month(
    months: Sequence[dt.date], series: Sequence[Series], label: str, *, zero: bool = False, decimals: int = 2
) -> str:
    """Values over months, one line per series, broken between seasons; `zero` draws the axis of no difference."""

    def draw(axes: Axes) -> None:
        positions = _positions(months)
        for item in series:
            for part in _unbroken(months):
                at = [positions[index] for index in part]
                values = [item.values[index] for index in part]
                _line(axes, item, at, values)
                if item.low is not None and item.high is not None:
                    low, high = [item.low[index] for index in part], [item.high[index] for index in part]
                    if len(part) == 1:  # a band needs two ends
                        axes.vlines(at, low, high, color=_STAND_IN[item.hue], alpha=0.3, linewidth=5)
                    axes.fill_between(at, low, high, color=_STAND_IN[item.hue], alpha=0.16, linewidth=0)
        if zero:
            axes.axhline(0, color=_STAND_IN[INK], linewidth=1)
        axes.set_xticks(*_month_names(months, positions))
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{decimals}f}".replace("-", "−")))
        axes.grid(axis="y")

    return _svg(draw)


def calibration(
    said: Sequence[Sequence[float]], series: Sequence[Series], x_label: str, y_label: str, tolerance: float
) -> str:
    """What happened beside what was said, both as probabilities; the band around the diagonal is `tolerance` wide."""

    def draw(axes: Axes) -> None:
        everything = [value for row in said for value in row]
        everything += [value for item in series for value in (*(item.low or ()), *(item.high or ()), *item.values)]
        low, high = max(0.0, min(everything) - 0.03), min(1.0, max(everything) + 0.03)
        axes.fill_between([low, high], [low - tolerance, high - tolerance], [low + tolerance, high + tolerance],
                          color=_STAND_IN[BAND], linewidth=0)  # fmt: skip
        axes.plot([low, high], [low, high], color=_STAND_IN[INK], linewidth=1, linestyle=(0, (4, 3)))
        for item, at in zip(series, said, strict=True):
            _whiskers(axes, item, at)
            _line(axes, item, at, item.values)
        axes.set(xlim=(low, high), ylim=(low, high), xlabel=x_label, ylabel=y_label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(FuncFormatter(_percent))
        axes.grid()

    return _svg(draw)


def shares_by_bucket(buckets: Sequence[str], series: Sequence[Series], x_label: str, y_label: str, rule: float) -> str:
    """Shares with their intervals for each bucket, side by side where there are several series, beside a rule."""

    def draw(axes: Axes) -> None:
        axes.axhline(rule, color=_STAND_IN[INK], linewidth=1, linestyle=(0, (4, 3)))
        apart = 0.7 / max(1, len(series))
        for number, item in enumerate(series):
            at = [index + (number - (len(series) - 1) / 2) * apart for index in range(len(buckets))]
            _whiskers(axes, item, at)
            axes.plot(at, item.values, color=_STAND_IN[item.hue], marker=item.marker, markersize=5.5, linestyle="none")
        axes.set_xticks(range(len(buckets)), buckets)
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.6, len(buckets) - 0.4))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.grid(axis="y")

    return _svg(draw)


def shares_by_name(rows: Sequence[Series], x_label: str, target: float, band: tuple[float, float]) -> str:
    """One share with its interval on each row, beside the target and the band of what is accepted."""

    def draw(axes: Axes) -> None:
        axes.axvspan(*band, color=_STAND_IN[BAND], linewidth=0)
        axes.axvline(target, color=_STAND_IN[INK], linewidth=1, linestyle=(0, (4, 3)))
        for at, item in enumerate(rows):
            low, high = (item.low or item.values)[0], (item.high or item.values)[0]
            axes.plot([low, high], [at, at], color=_STAND_IN[item.hue], linewidth=2, solid_capstyle="round")
            axes.plot(item.values, [at], color=_STAND_IN[item.hue], marker=item.marker, markersize=6.5)
        axes.set_yticks(range(len(rows)), [item.name for item in rows])
        axes.tick_params(axis="y", labelcolor=_STAND_IN[INK])
        ends = [*band, *(end for item in rows for end in (*(item.low or ()), *(item.high or ()), *item.values))]
        axes.set(xlabel=x_label, ylim=(len(rows) - 0.4, -0.6), xlim=(min(ends) - 0.006, max(ends) + 0.006))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        axes.grid(axis="x")

    return _svg(draw, height=90 + 27 * len(rows))


def bars(names: Sequence[str], values: Sequence[float], x_label: str, says: Callable[[float], str]) -> str:
    """Horizontal bars, the first on top, each with its value written behind it."""

    def draw(axes: Axes) -> None:
        axes.barh(range(len(names)), values, color=_STAND_IN[HUES[0]], height=0.66)
        for at, value in enumerate(values):
            axes.annotate(says(value), (value, at), xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize=10.5, color=_STAND_IN[MUTED])  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelcolor=_STAND_IN[INK])
        axes.set(xlabel=x_label, ylim=(len(names) - 0.4, -0.6), xlim=(0, max(values) * 1.14))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        axes.grid(axis="x")

    return _svg(draw, height=70 + 18 * len(names))


def _line(axes: Axes, item: Series, at: Sequence[float], values: Sequence[float]) -> None:
    axes.plot(
        at,
        values,
        color=_STAND_IN[item.hue],
        linewidth=2.4 if item.bold else 1.5,
        linestyle=(0, (4, 2)) if item.dashed else "-",
        marker=item.marker or ("_" if len(values) == 1 else ""),  # a line through one month is a dash
        markersize=5.5 if item.bold else 9 if not item.marker else 4,
        zorder=4 if item.bold else 3,
    )


def _whiskers(axes: Axes, item: Series, at: Sequence[float]) -> None:
    if item.low is not None and item.high is not None:
        axes.vlines(at, item.low, item.high, color=_STAND_IN[item.hue], linewidth=1.6)


def _positions(months: Sequence[dt.date]) -> list[float]:
    """Where each month stands on the axis: one apart, with a gap where months without games lie between."""
    found: list[float] = []
    for index, month in enumerate(months):
        gap = 0.0 if index == 0 else 1 + _SEASON_GAP * (_months_between(months[index - 1], month) > 1)
        found.append((found[-1] if found else 0.0) + gap)
    return found


def _unbroken(months: Sequence[dt.date]) -> Iterator[list[int]]:
    """Indices of months that follow each other."""
    part: list[int] = []
    for index, month in enumerate(months):
        if part and _months_between(months[index - 1], month) > 1:
            yield part
            part = []
        part.append(index)
    if part:
        yield part


def _months_between(earlier: dt.date, later: dt.date) -> int:
    return 12 * (later.year - earlier.year) + later.month - earlier.month


def _month_names(months: Sequence[dt.date], positions: Sequence[float]) -> tuple[list[float], list[str]]:
    """Ticks: every month where they fit, else the first of each season and each January; the year where it is new."""
    starts = {part[0] for part in _unbroken(months)}
    every = len(months) <= _EVERY_MONTH_NAMED
    ticks, names = [], []
    for index, month in enumerate(months):
        if every or index in starts or month.month == 1:
            ticks.append(positions[index])
            names.append(f"{month:%b}\n{month:%Y}" if index in starts or month.month == 1 else f"{month:%b}")
    return ticks, names


def _percent(value: float, _: object = None) -> str:
    digits = 0 if math.isclose(100 * value, round(100 * value), abs_tol=1e-6) else 1
    return f"{100 * value:.{digits}f} %"


def _svg(draw: Callable[[Axes], None], width: int = WIDTH, height: int = HEIGHT) -> str:
    """The drawing as an `<svg>` element without size, namespace, ids of its own or anything to fetch."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        draw(figure.add_subplot())
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _inlined(written.getvalue())


_COLOUR = re.compile("|".join(_STAND_IN.values()))
_NAME_OF = {colour: name for name, colour in _STAND_IN.items()}


def _inlined(document: str) -> str:
    root = ElementTree.fromstring(document)
    # Several charts share a page, and an id may stand in it once: only what is referred to keeps one, unlike others'.
    own = "c" + hashlib.sha256(document.encode()).hexdigest()[:8]
    referred = set(re.findall(r"#([a-z]\w{10,})", document))
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            kept = _attribute(_local(name), value, referred, own)
            if kept is not None:
                element.set(_local(name), kept)
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true", "focusable": "false"}
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)).strip()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attribute(name: str, value: str, referred: set[str], own: str) -> str | None:
    if name == "id":
        return own + value if value in referred else None
    if name in ("href", "clip-path"):
        return value.replace("#", f"#{own}")
    if name == "d":
        return " ".join(value.split())
    if name == "style":
        value = re.sub(r"font-family:[^;]*;?\s*", "", value)
        value = _COLOUR.sub(lambda match: f"var(--{_NAME_OF[match.group()]})", value)
    return value
