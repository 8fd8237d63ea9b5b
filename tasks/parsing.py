"""Text to typed values, as polars expressions: days, instants, minutes played. What cannot be read becomes null."""

from __future__ import annotations

import datetime as dt

import polars as pl

UTC_INSTANT = pl.Datetime("us", "UTC")

_INSTANT_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M")
_OFFSET_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
_OFFSET = r"[+-]\d{2}:?\d{2}$"
# A day, or the midnight as which some sources write a day. Any other time of day would say that it is an instant.
_DAY = r"^(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?$"
_EXACT_IN_FLOAT = 2**53


def day(column: str, dtype: pl.DataType) -> pl.Expr:
    """A calendar date from a Date, a midnight or ISO text. An instant is no date: its day depends on the zone."""
    values = pl.col(column)
    if dtype == pl.String:
        return values.str.strip_chars().str.extract(_DAY).str.to_date("%Y-%m-%d", strict=False)
    if isinstance(dtype, pl.Datetime):
        return pl.when(values.dt.time() == dt.time()).then(values.dt.date())
    return values if dtype == pl.Date else pl.lit(None, dtype=pl.Date)


def instant(column: str, dtype: pl.DataType) -> pl.Expr:
    """A UTC instant from a Datetime or ISO 8601 text; without an offset it is taken as UTC. A bare date is none."""
    values = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        moment = values if dtype.time_zone is not None else values.dt.replace_time_zone("UTC")
        return moment.cast(UTC_INSTANT, strict=False)
    if dtype != pl.String:
        return pl.lit(None, dtype=UTC_INSTANT)
    text = values.str.strip_chars().str.replace(" ", "T", literal=True)
    with_offset = pl.coalesce(
        text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in _OFFSET_FORMATS
    )
    plain = text.str.strip_suffix("Z")
    naive = pl.coalesce(plain.str.to_datetime(form, time_unit="us", strict=False) for form in _INSTANT_FORMATS)
    return (
        pl.when(text.str.contains(_OFFSET) & text.str.contains("T"))
        .then(with_offset)
        .otherwise(naive.dt.replace_time_zone("UTC"))
    )


def minutes(column: str, dtype: pl.DataType) -> pl.Expr:
    """Minutes played from a number, "35:22", "PT35M22.00S" or "35"; empty text is null (did not play)."""
    values = pl.col(column)
    if dtype != pl.String:
        return number(column, dtype, pl.Float64())
    text = values.str.strip_chars()
    clock = text.str.extract_groups(r"^(?P<m>\d{1,3}):(?P<s>[0-5]?\d(?:\.\d+)?)$")
    iso = text.str.extract_groups(r"^PT(?P<m>\d{1,3})M(?P<s>[0-5]?\d(?:\.\d+)?)S$")
    return pl.coalesce(
        number(column, dtype, pl.Float64()),
        *(
            groups.struct.field("m").cast(pl.Float64, strict=False)
            + groups.struct.field("s").cast(pl.Float64, strict=False) / 60
            for groups in (clock, iso)
        ),
    )


def number(column: str, dtype: pl.DataType, to: pl.DataType) -> pl.Expr:
    """A finite number from a number or text. Where a whole number is due a fraction is null, not a rounded guess."""
    values = pl.col(column)
    if dtype == pl.String:
        values = values.str.strip_chars()
    elif not dtype.is_numeric():
        return pl.lit(None, dtype=to)
    real = values.cast(pl.Float64, strict=False)
    if to.is_integer():
        whole = (real == real.round()) & (real.abs() < _EXACT_IN_FLOAT)
        return pl.when(whole).then(real).cast(to, strict=False)
    return pl.when(real.is_finite()).then(real).cast(to, strict=False)


def flag(column: str, dtype: pl.DataType) -> pl.Expr:
    """True or false from a boolean, 0/1, or the words true/false, yes/no, W/L in any case."""
    values = pl.col(column)
    if dtype == pl.Boolean:
        return values
    if dtype == pl.String:
        word = values.str.strip_chars().str.to_lowercase()
        yes, no = (
            word.is_in(["true", "t", "1", "yes", "y", "w"]),
            word.is_in(["false", "f", "0", "no", "n", "l"]),
        )
        return pl.when(yes).then(True).when(no).then(False)
    if not dtype.is_numeric():
        return pl.lit(None, dtype=pl.Boolean)
    return pl.when(values == 1).then(True).when(values == 0).then(False)
