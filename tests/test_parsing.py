"""Text to typed values: what is read, in which formats, and that what is unclear becomes null instead of a guess."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import parsing
from tests.leagues import steady


def _read(parse: Any, value: Any, dtype: Any = pl.String, *args: Any) -> Any:
    frame = pl.DataFrame({"x": [value]}, schema={"x": dtype})
    return frame.select(parse("x", frame.schema["x"], *args).alias("x")).item()


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("35:22", 35 + 22 / 60),
        ("0:07", 7 / 60),
        ("240:00", 240.0),
        ("PT35M22.00S", 35 + 22 / 60),
        ("PT00M00.00S", 0.0),
        ("35", 35.0),
        ("35.5", 35.5),
        (" 35 ", 35.0),
        ("", None),
        (None, None),
    ],
)
def test_minutes_are_read_in_all_three_formats_and_empty_means_did_not_play(text: str, minutes: float | None) -> None:
    assert _read(parsing.minutes, text) == (None if minutes is None else pytest.approx(minutes))


@pytest.mark.parametrize("text", ["35:75", "PT35M75S", "PT35M", "DNP", "1:02:03", "nan", "inf", "35,5", "thirty"])
def test_minutes_that_no_format_explains_are_null(text: str) -> None:
    assert _read(parsing.minutes, text) is None


def test_minutes_as_numbers_are_taken_as_they_are_and_nan_is_null() -> None:
    assert _read(parsing.minutes, 35, pl.Int16) == 35.0
    assert _read(parsing.minutes, 35.5, pl.Float32) == 35.5
    assert _read(parsing.minutes, math.nan, pl.Float64) is None


@pytest.mark.parametrize("text", ["3.5", "3.0000001", "nan", "inf", "1e400", "12a", "0x10", "1_000", "--1", "９.5"])
def test_a_fraction_or_no_number_in_a_whole_number_field_is_null_and_never_rounded(text: str) -> None:
    assert _read(parsing.number, text, pl.String, pl.Int64()) is None


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("3.0", 3), (" 3 ", 3), ("-3", -3), ("1e2", 100), ("", None)])
def test_a_whole_number_is_read_however_it_is_written(text: str, value: int | None) -> None:
    assert _read(parsing.number, text, pl.String, pl.Int64()) == value


def test_a_whole_number_too_long_to_be_exact_is_null_instead_of_its_neighbour() -> None:
    assert _read(parsing.number, str(2**53 - 1), pl.String, pl.Int64()) == 2**53 - 1
    assert _read(parsing.number, str(2**53 + 1), pl.String, pl.Int64()) is None


@steady(100)
@given(st.integers(-(2**52), 2**52))
def test_every_whole_number_survives_being_written_as_text_or_as_a_float(value: int) -> None:
    assert _read(parsing.number, str(value), pl.String, pl.Int64()) == value
    assert _read(parsing.number, float(value), pl.Float64, pl.Int64()) == value


def test_a_number_of_another_kind_of_column_is_null() -> None:
    for value, dtype in (
        (dt.date(2025, 12, 29), pl.Date),
        (True, pl.Boolean),
        (_utc(2025, 1, 1), pl.Datetime("us", "UTC")),
    ):
        assert _read(parsing.number, value, dtype, pl.Int64()) is None
        assert _read(parsing.minutes, value, dtype) is None


@pytest.mark.parametrize("text", ["2025-12-29", " 2025-12-29 ", "2025-12-29 00:00:00", "2025-12-29T00:00:00Z"])
def test_a_day_is_read_from_a_date_or_the_midnight_that_stands_for_it(text: str) -> None:
    assert _read(parsing.day, text) == dt.date(2025, 12, 29)


def test_a_day_is_read_from_date_and_midnight_columns() -> None:
    assert _read(parsing.day, dt.date(2025, 12, 29), pl.Date) == dt.date(2025, 12, 29)
    assert _read(parsing.day, _utc(2025, 12, 29).replace(tzinfo=None), pl.Datetime("ns")) == dt.date(2025, 12, 29)


def test_an_instant_is_no_day_because_its_date_depends_on_the_zone() -> None:
    """03:30Z on the 30th is 10:30 PM Eastern on the 29th: taking the date as it stands moves the game by a day."""
    assert _read(parsing.day, "2025-12-30T03:30:00Z") is None
    assert _read(parsing.day, _utc(2025, 12, 30, 3, 30), pl.Datetime("us", "UTC")) is None


@pytest.mark.parametrize(
    "text", ["12/29/2025", "2025-12-299", "2025-12-29 maybe", "2025-13-01", "2025-1-5", "20251229"]
)
def test_text_that_only_starts_like_a_day_is_null(text: str) -> None:
    assert _read(parsing.day, text) is None


def test_a_number_is_neither_a_day_nor_an_instant() -> None:
    """Epochs in unknown units: 20251229 as days since 1970 would be in the year 57417."""
    assert _read(parsing.day, 20251229, pl.Int64) is None
    assert _read(parsing.instant, 1767000000, pl.Int64) is None


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-30T03:30:00Z",
        "2025-12-30T03:30:00",
        "2025-12-30T03:30",
        "2025-12-30 03:30:00.000000",
        "2025-12-30 03:30:00+00:00",
        "2025-12-29T22:30:00-05:00",
        "2025-12-29T22:30-05:00",
        "2025-12-29T22:30:00.000-0500",
        "2025-12-29 19:30:00-08:00",
    ],
)
def test_instants_are_read_in_every_iso_form_and_keep_their_offset(text: str) -> None:
    assert _read(parsing.instant, text) == _utc(2025, 12, 30, 3, 30)


def test_instants_of_other_zones_and_units_become_utc_microseconds() -> None:
    pacific = dt.datetime.fromisoformat("2025-12-29T19:30:00-08:00")
    assert _read(parsing.instant, pacific, pl.Datetime("ns", "America/Los_Angeles")) == _utc(2025, 12, 30, 3, 30)
    assert _read(parsing.instant, _utc(2025, 12, 30, 3, 30).replace(tzinfo=None), pl.Datetime("ms")) == _utc(
        2025, 12, 30, 3, 30
    )


@pytest.mark.parametrize(
    "text", ["2025-12-29", "7:30 pm ET", "2025-12-30T25:00:00Z", "2025-12-30T03:30:00ZZ", "TBD", ""]
)
def test_what_has_no_time_of_day_is_no_instant_rather_than_midnight(text: str) -> None:
    assert _read(parsing.instant, text) is None


def test_a_date_column_is_no_instant_rather_than_midnight() -> None:
    assert _read(parsing.instant, dt.date(2025, 12, 29), pl.Date) is None


@pytest.mark.parametrize("text", ["true", "True", " TRUE ", "t", "1", "yes", "Y", "W"])
def test_true_is_read_in_the_ways_sources_write_it(text: str) -> None:
    assert _read(parsing.flag, text) is True


@pytest.mark.parametrize("text", ["false", "F", "0", "no", "N", "L"])
def test_false_is_read_in_the_ways_sources_write_it(text: str) -> None:
    assert _read(parsing.flag, text) is False


def test_anything_else_is_neither_true_nor_false() -> None:
    for value, dtype in (("maybe", pl.String), ("", pl.String), (2, pl.Int64), (dt.date(2025, 1, 1), pl.Date)):
        assert _read(parsing.flag, value, dtype) is None


@steady(100)
@given(st.text())
def test_no_text_makes_a_parser_raise(text: str) -> None:
    for parse in (parsing.day, parsing.instant, parsing.minutes, parsing.flag):
        _read(parse, text)
    value = _read(parsing.number, text, pl.String, pl.Float64())
    assert value is None or math.isfinite(value)
