"""What a contract promises: every rule breaks as stated, by column and value, and a cast never loses anything."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from tasks.engine.contracts import Column, Contract, ContractError, Severity

DAY = dt.date(2025, 12, 29)
CONTRACT = Contract(
    table="feats",
    grain="a player on a day",
    key=("game_day", "player_id"),
    columns=(
        Column("game_day", pl.Date),
        Column("player_id", pl.Int64),
        Column("minutes", pl.Float64, "minutes", max_null=0.10, ge=0, le=60, varies=True),
        Column("points", pl.Int64, "points", ge=0, le=120),
        Column("age_days", pl.Int64, "days", max_null=None, degrades_above=3),
        Column("note", pl.String, max_null=None),
        Column("seen_at", pl.Datetime("us", "UTC"), max_null=None),
    ),
)


def frame(rows: int = 40, **changed: Any) -> pl.DataFrame:
    """A frame that keeps every promise, with some columns replaced."""
    good = {
        "game_day": [DAY] * rows,
        "player_id": list(range(rows)),
        "minutes": [float(n % 40) for n in range(rows)],
        "points": [n % 50 for n in range(rows)],
        "age_days": [1] * rows,
        "note": [None] * rows,
        "seen_at": [dt.datetime(2025, 12, 29, 17, tzinfo=dt.UTC)] * rows,
    }
    return pl.DataFrame({**good, **changed}, schema=dict(CONTRACT.spec.schema), strict=False)


def broken(**changed: Any) -> tuple[str, Severity]:
    """The one promise that the changed frame breaks."""
    [violation] = CONTRACT.check(CONTRACT.conform(frame(**changed)))
    return str(violation), violation.severity


def with_one(value: Any, usual: Any, rows: int = 40) -> list[Any]:
    return [value] + [usual] * (rows - 1)


def test_a_good_frame_breaks_nothing() -> None:
    assert CONTRACT.check(CONTRACT.conform(frame())) == []


@pytest.mark.parametrize(
    ("changed", "said", "severity"),
    [
        (
            {"minutes": [None] * 5 + [float(n) for n in range(35)]},
            "feats.minutes: is null in at most 10% of rows, found 12.5%",
            Severity.BLOCKS,
        ),
        ({"points": with_one(None, 7)}, "feats.points: is null in at most 0% of rows, found 2.5%", Severity.BLOCKS),
        ({"points": with_one(-1, 7)}, "feats.points: is at least 0 points, found -1", Severity.BLOCKS),
        ({"points": with_one(121, 7)}, "feats.points: is at most 120 points, found 121", Severity.BLOCKS),
        ({"age_days": with_one(4, 1)}, "feats.age_days: is at most 3 days, found 4", Severity.DEGRADES),
        ({"minutes": [12.0] * 40}, "feats.minutes: varies, found 12.0 in every row", Severity.DEGRADES),
        (
            {"minutes": [float("nan"), *map(float, range(39))]},
            "feats.minutes: is a finite number, found 1 NaN or infinite",
            Severity.BLOCKS,
        ),
        (
            {"player_id": [0, *range(39)]},
            "feats.game_day, player_id: is unique, found 1 repeats, as (datetime.date(2025, 12, 29), 0)",
            Severity.BLOCKS,
        ),
    ],
    ids=["null share", "null", "least", "most", "degrades", "varies", "nan", "unique"],
)
def test_each_promise_breaks_by_column_rule_and_value(changed: Any, said: str, severity: Severity) -> None:
    assert broken(**changed) == (said, severity)


@pytest.mark.parametrize(
    "kept",
    [
        {"minutes": [None] * 4 + [float(n) for n in range(36)]},
        {"minutes": with_one(0.0, 60.0)},
        {"points": with_one(0, 120)},
        {"age_days": with_one(None, 3)},
        {"minutes": [None] * 4 + [0.5] * 18 + [0.25] * 18},
    ],
    ids=["as many nulls as allowed", "the limits of minutes", "the limits of points", "at the limit", "two values"],
)
def test_limits_belong_to_what_is_promised(kept: Any) -> None:
    assert CONTRACT.check(CONTRACT.conform(frame(**kept))) == []


def test_an_infinite_value_is_no_number() -> None:
    unbounded = Contract("t", "g", ("game_day",), (Column("game_day", pl.Date), Column("ratio", pl.Float64)))
    [violation] = unbounded.check(pl.DataFrame({"game_day": [DAY], "ratio": [float("inf")]}))
    assert violation.rule == "is a finite number"


def test_a_key_is_never_null_whatever_its_column_allows() -> None:
    lenient = Contract(
        "t", "g", ("game_day", "book"), (Column("game_day", pl.Date), Column("book", pl.String, max_null=None))
    )
    [violation] = lenient.check(pl.DataFrame({"game_day": [DAY, DAY], "book": ["a", None]}))
    assert violation.column == "book"
    assert violation.severity == Severity.BLOCKS


def test_variance_is_not_asked_of_a_short_day() -> None:
    assert CONTRACT.check(CONTRACT.conform(frame(rows=29, minutes=[12.0] * 29))) == []
    assert CONTRACT.check(CONTRACT.conform(frame(rows=30, minutes=[12.0] * 30))) != []


def test_several_broken_promises_are_all_told() -> None:
    found = CONTRACT.check(CONTRACT.conform(frame(points=with_one(-1, 130), age_days=[9] * 40)))
    assert [(item.column, item.rule.split()[2]) for item in found] == [
        ("points", "least"),
        ("points", "most"),
        ("age_days", "most"),
    ]


def test_a_frame_without_rows_breaks_nothing() -> None:
    assert CONTRACT.check(frame().clear()) == []


def test_conform_puts_columns_and_rows_in_order_and_drops_what_is_not_promised() -> None:
    eve = DAY - dt.timedelta(days=1)
    mixed = (
        frame(rows=3, game_day=[DAY, DAY, eve], player_id=[2, 1, 9])
        .with_columns(extra=1)
        .select(pl.col("extra", "seen_at", "note"), pl.exclude("extra", "seen_at", "note"))
    )
    found = CONTRACT.conform(mixed)
    assert tuple(found.columns) == CONTRACT.names
    assert found.select("game_day", "player_id").rows() == [(eve, 9), (DAY, 1), (DAY, 2)]


def test_conform_casts_what_loses_nothing() -> None:
    found = CONTRACT.conform(
        frame().with_columns(
            pl.col("player_id").cast(pl.Int32),
            pl.col("points").cast(pl.Float64),
            pl.col("minutes").cast(pl.Float32),
            pl.col("age_days").cast(pl.String),
            pl.col("seen_at").cast(pl.Datetime("ms", "UTC")),
        )
    )
    assert found.equals(CONTRACT.conform(frame()))
    assert dict(found.schema) == dict(CONTRACT.spec.schema)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("points", [1.7, *[2.0] * 39], "feats.points: is Int64 without losing a value, found 1 as 1.7"),
        ("points", ["twelve", *["2"] * 39], "feats.*: has the contract's types, found conversion from `str` to `i64`"),
        ("points", [2**63, *[2] * 39], "feats.*: has the contract's types, found conversion from"),
        (
            "game_day",
            [dt.datetime(2025, 12, 29, 19, 30)] * 40,  # noqa: DTZ001
            "feats.game_day: is Date without losing a value, found 40 as 2025-12-29 19:30:00",
        ),
        ("minutes", [2**53 + 1, *[2] * 39], "feats.minutes: is Float64 without losing a value, found 1 as 9007"),
    ],
    ids=["fraction", "word", "too large", "time of day", "too large for a float"],
)
def test_conform_refuses_a_cast_that_loses_something(column: str, values: list[Any], said: str) -> None:
    lossy = frame().with_columns(pl.Series(column, values, strict=True))
    with pytest.raises(ContractError) as caught:
        CONTRACT.conform(lossy)
    assert str(caught.value).startswith(said)


def test_conform_names_every_missing_column() -> None:
    with pytest.raises(ContractError, match=r"feats\.points: is missing.*feats\.note: is missing") as caught:
        CONTRACT.conform(frame().drop("points", "note"))
    assert [violation.column for violation in caught.value.violations] == ["points", "note"]


@pytest.mark.parametrize(
    ("key", "names", "said"),
    [
        (("player_id",), ("player_id",), "lacks the columns \\['game_day'\\]"),
        (("game_day", "book"), ("game_day",), "lacks the columns \\['book'\\]"),
        (("game_day",), ("game_day", "x", "x"), "names a column twice"),
    ],
)
def test_a_contract_that_cannot_hold_is_refused_when_it_is_made(
    key: tuple[str, ...], names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Contract("t", "g", key, tuple(Column(name, pl.Date) for name in names))


def test_the_store_learns_columns_key_and_version() -> None:
    spec = CONTRACT.spec
    assert (spec.name, spec.key, spec.version) == ("feats", ("game_day", "player_id"), 1)
    assert spec.schema["seen_at"] == pl.Datetime("us", "UTC")
    assert CONTRACT["minutes"].unit == "minutes"
