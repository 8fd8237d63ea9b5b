"""How numbers and names are written for people, the same in every table, chart and tile of a report."""

from __future__ import annotations

import math

NONE = "–"
MINUS = "−"


def said(name: str) -> str:
    """A system's or variant's name as words."""
    return name.replace("_", " ")


def start(name: str) -> str:
    """A name as the first words of a sentence."""
    return said(name)[:1].upper() + said(name)[1:]


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return NONE if _missing(value) else f"{value:,.0f}"


def number(value: float | None, decimals: int = 3) -> str:
    """A value with its decimals."""
    return NONE if _missing(value) else f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float | None, decimals: int = 3) -> str:
    """A difference, its sign always written."""
    return NONE if _missing(value) else f"{value:+.{decimals}f}".replace("-", MINUS)


def with_error(value: float | None, error: float | None, decimals: int = 3) -> str:
    """A difference and its standard error."""
    return NONE if _missing(value) else f"{signed(value, decimals)} ± {number(error, decimals)}"


def percent(value: float | None, decimals: int = 1) -> str:
    """A share in percent."""
    return NONE if _missing(value) else f"{100 * value:.{decimals}f} %"  # type: ignore[operator]


def interval(low: float | None, high: float | None) -> str:
    """An interval of shares in percent."""
    return NONE if _missing(low) or _missing(high) else f"{100 * low:.1f} to {100 * high:.1f} %"  # type: ignore[operator]


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
