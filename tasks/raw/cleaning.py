"""How phase 2 reads a payload row: each field parsed and judged; a row with a bad field is refused, the rest go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from tasks.engine.processor import Cleaned
from tasks.parsing import number
from tasks.sources.base import FILE, ROW

Parser = Callable[[str, pl.DataType], pl.Expr]

REFUSED_SCHEMA = pl.Schema(
    {
        "game_day": pl.Date(),
        "file": pl.String(),
        "row": pl.Int64(),
        "field": pl.String(),
        "value": pl.String(),
        "reason": pl.String(),
    }
)


@dataclass(frozen=True)
class Field:
    """One field of a found row: the column it is found in, the name it gets, how it is read, what it may be."""

    found: str
    name: str
    parse: Parser
    required: bool = True
    ge: float | None = None
    le: float | None = None
    reason: str = "is not a value of this field"


@dataclass(frozen=True)
class Rule:
    """A judgement on a read row: where `broken` is true the row is refused, naming the found column and the reason."""

    found: str
    broken: pl.Expr
    reason: str


def text(column: str, dtype: pl.DataType) -> pl.Expr:
    """Text without surrounding blanks; empty text is null."""
    return pl.col(column).cast(pl.String).str.strip_chars().replace("", None)


def whole(column: str, dtype: pl.DataType) -> pl.Expr:
    """A whole number."""
    return number(column, dtype, pl.Int64())


def real(column: str, dtype: pl.DataType) -> pl.Expr:
    """A number."""
    return number(column, dtype, pl.Float64())


def clean(
    found: pl.DataFrame,
    fields: Sequence[Field],
    targets: pl.DataFrame,
    rules: Sequence[Rule] = (),
    unique: Sequence[str] = (),
    derive: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> Cleaned:
    """Read `found` by `fields`; refuse rows with an unreadable, missing or impossible value, and repeated keys.

    `derive` adds columns (ids resolved from names) after reading and before the rules. Rows of game days outside
    `targets` are refused too: a payload about another day than asked for is not data about this one.
    """
    read = found.with_columns(
        [item.parse(item.found, found.schema[item.found]).alias(f"={item.name}") for item in fields]
    )
    kept = read.select(FILE, ROW, *(pl.col(f"={item.name}").alias(item.name) for item in fields))
    kept = derive(kept) if derive else kept
    judged = [
        *(_unreadable(item, found.schema[item.found]) for item in fields),
        *((rule.found, rule.broken, rule.reason) for rule in rules),
        (
            "game_date",
            ~pl.col("game_day").is_in(targets["game_day"].to_list()),
            "is not a game day that was asked for",
        ),
    ]
    if unique:
        repeats = (pl.int_range(pl.len()).over(list(unique)) > 0) & pl.all_horizontal(
            pl.col(name).is_not_null() for name in unique
        )
        judged.append((fields[0].found, repeats, f"repeats a row with the same {', '.join(unique)}"))
    originals = read.select(pl.col(item.found).cast(pl.String).alias(f"~{item.found}") for item in fields)
    return _split(pl.concat([kept, originals], how="horizontal"), kept.columns, judged, targets)


def _unreadable(item: Field, dtype: pl.DataType) -> tuple[str, pl.Expr, str]:
    value, original = pl.col(item.name), pl.col(f"~{item.found}")
    broken = value.is_null() & (original.is_not_null() & (original.str.strip_chars() != ""))
    reason = item.reason
    if item.required:
        broken = value.is_null()
        reason = f"{reason}, or is missing"
    if item.ge is not None:
        broken |= (value < item.ge).fill_null(value=False)
    if item.le is not None:
        broken |= (value > item.le).fill_null(value=False)
    limits = [f"at least {item.ge:g}"] if item.ge is not None else []
    limits += [f"at most {item.le:g}"] if item.le is not None else []
    return item.found, broken, reason + (f" ({', '.join(limits)})" if limits else "")


def _split(
    rows: pl.DataFrame,
    columns: Sequence[str],
    judged: Sequence[tuple[str, pl.Expr, str]],
    targets: pl.DataFrame,
) -> Cleaned:
    """Part the rows into good and refused; a refused row names the first thing that was wrong with it."""
    verdict = pl.coalesce(
        pl.when(broken.fill_null(value=False)).then(pl.lit(number, dtype=pl.Int32))
        for number, (_, broken, _) in enumerate(judged)
    )
    rows = rows.with_columns(_verdict=verdict)
    bad = rows.filter(pl.col("_verdict").is_not_null())
    if bad.is_empty():
        return Cleaned(rows.select(columns).drop(FILE, ROW), REFUSED_SCHEMA.to_frame())
    shown = {f"~{field}" for field, _, _ in judged} & set(rows.columns)
    value = pl.coalesce(
        pl.when(pl.col("_verdict") == number).then(pl.col(f"~{field}"))
        for number, (field, _, _) in enumerate(judged)
        if f"~{field}" in shown
    )
    asked = targets["game_day"]
    day = pl.when(pl.col("game_day").is_in(asked.to_list())).then("game_day").otherwise(asked.max())
    refused = bad.select(
        day.alias("game_day"),
        pl.col(FILE).alias("file"),
        pl.col(ROW).alias("row"),
        pl.col("_verdict").replace_strict({n: field for n, (field, _, _) in enumerate(judged)}).alias("field"),
        value.alias("value"),
        pl.col("_verdict").replace_strict({n: reason for n, (_, _, reason) in enumerate(judged)}).alias("reason"),
    )
    good = rows.filter(pl.col("_verdict").is_null()).select(columns).drop(FILE, ROW)
    return Cleaned(good, refused.cast(dict(REFUSED_SCHEMA)).unique(["game_day", "file", "row"], keep="first"))
