"""How phase 2 reads a payload row: each field parsed and judged; a row with a bad field is refused, the rest go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from tasks.engine.processor import Cleaned
from tasks.identity import game_id, team_code
from tasks.parsing import number
from tasks.sources.base import FILE, ROW, SURPLUS

Parser = Callable[[str, pl.DataType], pl.Expr]
# Where something is wrong (the found column), the condition, and what to say.
Judgement = tuple[str, pl.Expr, str]

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


def game(column: str, dtype: pl.DataType) -> pl.Expr:
    """A canonical game id."""
    return game_id(text(column, dtype))


def team(column: str, dtype: pl.DataType) -> pl.Expr:
    """A canonical tricode from any code or name of a team."""
    return team_code(text(column, dtype))


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

    `derive` adds columns (ids resolved from names) after reading and before the rules; it keeps the rows and their
    order. Rows of game days outside `targets` are refused too: a payload about another day than asked for is not data
    about this one. A key counts as repeated only after a good row: a refused one does not cost its good twin.
    """
    # NaN is how numpy and pandas write that there is no number.
    found = found.with_columns(cs.float().fill_nan(None))
    if SURPLUS not in found.columns:
        found = found.with_columns(pl.lit(None, dtype=pl.String).alias(SURPLUS))
    read = found.with_columns(
        [item.parse(item.found, found.schema[item.found]).alias(f"={item.name}") for item in fields]
    )
    kept = read.select(FILE, ROW, *(pl.col(f"={item.name}").alias(item.name) for item in fields))
    kept = derive(kept) if derive else kept
    judged: list[Judgement] = [
        (SURPLUS, pl.col(f"~{SURPLUS}").is_not_null(), "stands beyond the last column of the header"),
        *(_unreadable(item) for item in fields),
        *((rule.found, rule.broken, rule.reason) for rule in rules),
        (
            "game_date",
            ~pl.col("game_day").is_in(targets["game_day"].to_list()),
            "is not a game day that was asked for",
        ),
    ]
    originals = read.select(
        pl.col(name).cast(pl.String).alias(f"~{name}") for name in (SURPLUS, *(item.found for item in fields))
    )
    rows = pl.concat([kept, originals], how="horizontal").with_columns(_verdict=_first_wrong(judged))
    if unique:
        good = pl.col("_verdict").is_null()
        repeats = good & (pl.int_range(pl.len()).over([*unique, good.alias("_good")]) > 0)
        rows = rows.with_columns(_verdict=pl.when(repeats).then(len(judged)).otherwise("_verdict"))
        judged.append((fields[0].found, repeats, f"repeats a row with the same {', '.join(unique)}"))
    return _split(rows, kept.columns, judged, targets)


def _unreadable(item: Field) -> Judgement:
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


def _first_wrong(judged: Sequence[Judgement]) -> pl.Expr:
    return pl.coalesce(
        pl.when(broken.fill_null(value=False)).then(pl.lit(number, dtype=pl.Int32))
        for number, (_, broken, _) in enumerate(judged)
    )


def _split(
    rows: pl.DataFrame,
    columns: Sequence[str],
    judged: Sequence[Judgement],
    targets: pl.DataFrame,
) -> Cleaned:
    """Part the rows into good and refused; a refused row names the first thing that was wrong with it."""
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
    return Cleaned(good, refused.cast(REFUSED_SCHEMA))
