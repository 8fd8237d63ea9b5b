"""One line out of many books: each book's most balanced number, the median over books, first or last seen."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.plan import targets_frame
from tasks.lines import consensus, known
from tests.leagues import (
    DAY,
    GAME_ID,
    steady,
)

NOON = dt.datetime(2025, 12, 29, 17, 0, tzinfo=dt.UTC)
SCHEMA = {
    "game_day": pl.Date,
    "game_id": pl.String,
    "player_id": pl.Int64,
    "bookmaker": pl.String,
    "line": pl.Float64,
    "over_price": pl.Float64,
    "under_price": pl.Float64,
    "snapshot_at": pl.Datetime("us", "UTC"),
    "snapshot_assumed": pl.Boolean,
}


def _quote(
    book: str, line: float, over: float | None = None, under: float | None = None, *, hours: float = 0, **more: Any
) -> dict[str, Any]:
    quote = {"game_day": DAY, "game_id": GAME_ID, "player_id": 2544, "bookmaker": book, "line": line}
    prices = {"over_price": over, "under_price": under}
    return quote | prices | {"snapshot_at": NOON + dt.timedelta(hours=hours), "snapshot_assumed": False} | more


def _lines(*quotes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(quotes, schema=SCHEMA)


def _one(which: Any, *quotes: dict[str, Any]) -> dict[str, Any]:
    return consensus(_lines(*quotes), which).row(0, named=True)


def test_of_a_ladder_the_most_balanced_line_counts() -> None:
    """Fair over-probabilities by hand: 22.5 -> 0.65, 24.5 -> 0.51, 26.5 -> 0.35."""
    ladder = [
        _quote("ladder", 22.5, -200, 160),
        _quote("ladder", 24.5, -115, -105),
        _quote("ladder", 26.5, 170, -220),
    ]
    assert _one("closing", *ladder)["line"] == 24.5
    assert _one("closing", *reversed(ladder))["line"] == 24.5


def test_of_a_ladder_without_prices_the_middle_counts() -> None:
    assert _one("closing", *(_quote("ladder", line) for line in (30.5, 18.5, 24.5, 20.5, 26.5)))["line"] == 24.5


def test_a_priced_line_goes_before_one_without_both_prices() -> None:
    assert _one("closing", _quote("ladder", 20.5, -110, None), _quote("ladder", 24.5, -130, 100))["line"] == 24.5


def test_the_line_is_the_median_over_books_whatever_the_number_of_lines_in_each() -> None:
    """Three books at 20.5, 24.5 and 25.5; the one with a long ladder has one vote."""
    ladder = [_quote("ladder", 10.5 + n, -1000 + 100 * n, 600 - 50 * n) for n in range(5)]
    found = _one(
        "closing", *ladder, _quote("ladder", 20.5, -110, -110), _quote("b", 24.5, -110, -110), _quote("c", 25.5)
    )
    assert (found["line"], found["books"]) == (24.5, 3)
    assert _one("closing", _quote("a", 20.5), _quote("b", 24.5))["line"] == 22.5


def test_opening_is_each_books_first_line_and_closing_its_last() -> None:
    quotes = [
        _quote("a", 20.5, hours=-3),
        _quote("a", 22.5, hours=-1),
        _quote("a", 24.5, hours=0),
        _quote("b", 21.5, hours=-1),
        _quote("b", 23.5, hours=1),
    ]
    opening, closing = _one("opening", *quotes), _one("closing", *quotes)
    assert (opening["line"], opening["snapshot_at"]) == (21.0, NOON - dt.timedelta(hours=1))
    assert (closing["line"], closing["snapshot_at"]) == (24.0, NOON + dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("over", "under", "fair"),
    [
        (-110, -110, 0.5),
        # 150/250 = 0.6 and 100/230 = 0.43478 come to 1.03478 with the vig.
        (-150, 130, 0.6 / (0.6 + 100 / 230)),
        # 100/220 = 0.45455 and 140/240 = 0.58333.
        (120, -140, (100 / 220) / (100 / 220 + 140 / 240)),
        (100, -100, 0.5),
        (-10000, 900, (10000 / 10100) / (10000 / 10100 + 0.1)),
    ],
)
def test_the_probability_of_over_is_what_the_odds_say_without_the_vig(over: float, under: float, fair: float) -> None:
    assert _one("closing", _quote("a", 24.5, over, under))["over_probability"] == pytest.approx(fair)


def test_the_probability_is_the_mean_over_books_that_quote_both_prices_and_null_where_none_does() -> None:
    priced = [_quote("a", 24.5, -110, -110), _quote("b", 24.5, -150, 130), _quote("c", 24.5, -120, None)]
    mean = (0.5 + 0.6 / (0.6 + 100 / 230)) / 2
    assert _one("closing", *priced)["over_probability"] == pytest.approx(mean)
    assert _one("closing", priced[2])["over_probability"] is None


def test_an_assumed_time_among_the_lines_used_is_passed_on() -> None:
    later = _quote("a", 24.5, hours=1)
    assumed = _quote("a", 24.5, snapshot_assumed=True)
    assert _one("opening", assumed, later)["snapshot_assumed"] is True
    assert _one("closing", assumed, later)["snapshot_assumed"] is False


def test_players_and_games_do_not_mix() -> None:
    found = consensus(
        _lines(_quote("a", 24.5), _quote("a", 10.5, player_id=7), _quote("a", 8.5, game_id="0022500448")), "closing"
    )
    assert sorted(found["line"].to_list()) == [8.5, 10.5, 24.5]


def test_only_lines_up_to_the_days_as_of_are_known() -> None:
    targets = targets_frame([(DAY, NOON)])
    quotes = _lines(_quote("a", 20.5, hours=-1), _quote("a", 21.5, hours=0), _quote("a", 22.5, hours=1 / 3600))
    assert known(quotes, targets)["line"].to_list() == [20.5, 21.5]
    assert known(quotes, targets_frame([(DAY + dt.timedelta(days=1), NOON)])).is_empty()


odds = st.one_of(st.none(), st.integers(-2000, -100), st.integers(100, 2000))
quotes = st.lists(
    st.builds(
        _quote,
        st.sampled_from("abc"),
        st.integers(1, 79).map(lambda n: n + 0.5),
        odds,
        odds,
        hours=st.integers(-5, 0),
    ),
    min_size=1,
    max_size=12,
)


@steady(80)
@given(quotes, st.sampled_from(["opening", "closing"]), st.randoms(use_true_random=False))
def test_the_consensus_lies_within_the_quotes_and_does_not_depend_on_their_order(
    found: Any, which: Any, random: Any
) -> None:
    whole = _one(which, *found)
    assert min(q["line"] for q in found) <= whole["line"] <= max(q["line"] for q in found)
    assert whole["books"] == len({q["bookmaker"] for q in found})
    assert whole["over_probability"] is None or 0 < whole["over_probability"] < 1
    shuffled = found[:]
    random.shuffle(shuffled)
    again = _one(which, *shuffled)
    assert {**again, "over_probability": None} == {**whole, "over_probability": None}
