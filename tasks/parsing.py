"""Text to typed values, as polars expressions: days, instants, minutes played. What cannot be read becomes null."""

from __future__ import annotations

import polars as pl

UTC_INSTANT = pl.Datetime("us", "UTC")

_INSTANT_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M")
_OFFSET = r"[+-]\d{2}:?\d{2}$"


def day(column: str, dtype: pl.DataType) -> pl.Expr:
    """A calendar date from a Date, a Datetime or ISO text."""
    values = pl.col(column)
    if dtype == pl.String:
        return values.str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return values.cast(pl.Date, strict=False)


def instant(column: str, dtype: pl.DataType) -> pl.Expr:
    """A UTC instant from a Datetime or ISO 8601 text; text without an offset is taken as UTC."""
    values = pl.col(column)
    if dtype != pl.String:
        aware = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        moment = values if aware else values.cast(pl.Datetime("us"), strict=False).dt.replace_time_zone("UTC")
        return moment.cast(UTC_INSTANT, strict=False)
    text = values.str.strip_chars().str.replace(" ", "T", literal=True)
    with_offset = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
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
        return values.cast(pl.Float64, strict=False)
    text = values.str.strip_chars().replace("", None)
    clock = text.str.extract_groups(r"^(?P<m>\d{1,3}):(?P<s>[0-5]?\d(?:\.\d+)?)$")
    iso = text.str.extract_groups(r"^PT(?P<m>\d{1,3})M(?P<s>\d{1,2}(?:\.\d+)?)S$")
    return pl.coalesce(
        text.cast(pl.Float64, strict=False),
        *(
            groups.struct.field("m").cast(pl.Float64, strict=False)
            + groups.struct.field("s").cast(pl.Float64, strict=False) / 60
            for groups in (clock, iso)
        ),
    )


def number(column: str, dtype: pl.DataType, to: pl.DataType) -> pl.Expr:
    """A number from a number or text. A fraction where a whole number is due becomes null, not a rounded guess."""
    values = pl.col(column)
    if dtype == pl.String:
        values = values.str.strip_chars().replace("", None)
    if to.is_integer():
        real = values.cast(pl.Float64, strict=False)
        return pl.when(real == real.round()).then(real).cast(to, strict=False)
    return values.cast(to, strict=False)


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
    return pl.when(values == 1).then(True).when(values == 0).then(False)
