"""Any bytes from any site: an error that says what is wrong, or rows whose every value stands in the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.warehouse import DayRange
from tasks.sources.base import FILE, REQUIRED_COLUMNS, ROW, Kind, SourceError
from tasks.sources.live import balldontlie, directory, espn_rosters, injury_report, nba_box_scores, nba_schedule
from tasks.sources.live import odds_api as odds
from tasks.sources.live.bundle import Bundle
from tasks.sources.live.web import Response
from tests.leagues import DAY, GAME_ID, clean, steady
from tests.sources.live import pages
from tests.sources.live.test_traps import _odds, _report, a_game, answer

# Few for every run; many, in `make test-all`, for the claim that is made of them.
EXAMPLES = (12, pytest.param(1_000, marks=pytest.mark.slow))
amounts = pytest.mark.parametrize("examples", EXAMPLES)
GAMES = pl.DataFrame({"game_id": [GAME_ID], "game_date": [str(DAY)], "home": ["LAL"], "away": ["BOS"]})
PLAYERS = pl.DataFrame({"player_id": [2544], "player_name": ["LeBron James"], "team": ["LAL"]})
_LINE = dict.fromkeys(pages.COUNTS, 0) | {
    "plus_minus": 1, "minutes": 35.0, "game_id": GAME_ID, "team": "LAL", "player_id": 2544, "season": "2025-26",
    "player_name": "LeBron James", "started": True, "is_home": True, "opponent": "BOS", "win": True, "game_date": DAY,
}  # fmt: skip
_TEAMS = [_LINE | {"minutes": 240}, _LINE | {"minutes": 240, "team": "BOS", "is_home": False}]
_SQUAD = [{"player_id": n, "player": "LeBron James", "team": "LAL", "position": "F"} for n in range(8)]
_GAME = {"game_id": GAME_ID, "game_date": DAY, "home": "LAL", "away": "BOS", "home_pts": 100, "away_pts": 90}
Parser = Callable[[Response], pl.DataFrame]


def _stats(response: Response) -> pl.DataFrame:
    named = Response("stats", nba_box_scores.GAME, response.url, response.fetched_at, {}, response.body)
    nba_box_scores.notes(named)
    return nba_box_scores.rows(named, Kind.PLAYER_BOX_SCORES, GAMES, "f")


def _judged(notes: Callable[[Response], object], rows: Parser) -> Parser:
    def parse(response: Response) -> pl.DataFrame:
        notes(response)
        return rows(response)

    return parse


PARSERS: dict[str, tuple[Kind, Any, Parser]] = {
    "schedule": (
        Kind.SCHEDULE,
        {"leagueSchedule": {"seasonYear": "2025-26", "gameDates": [{"games": [a_game(), a_game(gameStatus=3)]}]}},
        _judged(nba_schedule.notes, lambda response: nba_schedule.rows(response, "f")),
    ),
    "game log": (
        Kind.PLAYER_BOX_SCORES,
        pages.game_log([_LINE], "P"),
        lambda response: nba_box_scores.rows(response, Kind.PLAYER_BOX_SCORES, GAMES, "f"),
    ),
    "box score": (Kind.PLAYER_BOX_SCORES, pages.box_score([_LINE], _TEAMS, GAME_ID), _stats),
    "roster": (
        Kind.ROSTERS,
        pages.roster(_SQUAD, "LAL"),
        _judged(
            lambda response: espn_rosters.notes([response], espn_rosters.rows([("f", response)], PLAYERS, {})),
            lambda response: espn_rosters.rows([("f", response)], PLAYERS, {}),
        ),
    ),
    "odds": (
        Kind.PROP_LINES,
        json.loads(_odds().body),
        _judged(lambda response: odds.notes([response]), lambda response: odds.rows(response, "f")),
    ),
    "balldontlie": (
        Kind.PLAYER_BOX_SCORES,
        pages.balldontlie([_GAME], [_LINE]),
        _judged(
            balldontlie.notes,
            lambda response: balldontlie.rows(response, Kind.PLAYER_BOX_SCORES, GAMES, PLAYERS, {}, "f"),
        ),
    ),
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for key, value in inside for place in _places(value, (*path, key)))]


def _altered(document: Any, path: tuple[Any, ...], value: Any, how: str) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    if len(path) == 1 and how == "gone":
        del copy[path[0]]
    else:
        copy[path[0]] = _altered(copy[path[0]], path[1:], value, how)
    return copy


# What rows may hold that does not stand in the answer: what a game id, an outcome or a place in it says.
DERIVED = {
    *("true", "false", "2025-26", "regular", "scheduled", "postponed", "cancelled", "final", str(DAY)),
    *("LAL", "BOS", "2544", GAME_ID),
}


def _leaves(document: Any) -> set[str]:
    if isinstance(document, dict):
        return set().union(*map(_leaves, document.values()))
    if isinstance(document, list):
        return set().union(*map(_leaves, document))
    return {str(document)}


@amounts
@pytest.mark.parametrize("name", PARSERS)
def test_an_altered_answer_is_an_error_or_rows_of_what_stands_in_it(name: str, examples: int) -> None:
    kind, document, parse = PARSERS[name]
    places = _places(document)

    @steady(examples)
    @given(st.sampled_from(places), values, st.sampled_from(["changed", "gone"]))
    def hold(path: tuple[Any, ...], value: Any, how: str) -> None:
        changed = _altered(document, path, value, how)
        response = answer(changed, "fuzzed")
        try:
            found = parse(response)
        except SourceError:
            return
        assert set(REQUIRED_COLUMNS[kind]) <= set(found.columns)
        texts = " ".join(_leaves(json.loads(response.body))) + " ".join(DERIVED)
        for column in set(REQUIRED_COLUMNS[kind]) - {"tip_utc", "commence_time", "snapshot_date", "player_id"}:
            for text in found[column].drop_nulls():
                assert all(word in texts for word in text.split()), (column, text)
        # Phase 2 takes whatever it is given: each row ends up good or refused.
        made = clean(kind, found)
        assert found.height == 0 or made.rows.height + made.refused.height > 0

    hold()


@amounts
@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_are_an_error_that_says_what_they_begin_with(name: str, examples: int) -> None:
    _, document, parse = PARSERS[name]
    whole = json.dumps(document).encode()

    @steady(examples)
    @given(st.binary(max_size=40) | st.integers(0, len(whole) - 1).map(lambda end: whole[:end]) | values.map(_dumped))
    def hold(body: bytes) -> None:
        with pytest.raises(SourceError):
            parse(answer(body, "fuzzed"))

    hold()


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@amounts
def test_any_damage_to_a_report_is_an_error_or_a_report_of_what_stands_in_it(examples: int) -> None:
    whole = _report(listed=6)
    names = {f"First{n} Last{n} Jr." for n in range(6)}

    @steady(examples)
    @given(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=6), st.booleans())
    def hold(at: int, inserted: bytes, cut: bool) -> None:
        body = whole[:at] if cut else whole[:at] + inserted + whole[at + len(inserted) :]
        try:
            report = injury_report.read(answer(body, "fuzzed"))
        except SourceError:
            return
        # A few bytes changed in a text are another text; a listed row never comes from nowhere.
        assert len(report.listed) <= 7
        assert cut is False or len(report.listed) == len(names)
        _ = injury_report.notes(answer(body, "fuzzed"), DayRange.on(DAY))

    hold()


@amounts
@pytest.mark.parametrize("name", ["index", "bundle"])
def test_a_damaged_index_or_archive_is_an_error(name: str, examples: int) -> None:
    index = json.dumps(pages.player_index(_SQUAD)).encode()
    archive = Bundle(
        Kind.ROSTERS, DayRange.on(DAY), answer(b"").fetched_at, None, (answer(index),), {"players": PLAYERS}
    ).to_bytes()
    whole = index if name == "index" else archive

    @steady(examples)
    @given(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=6))
    def hold(at: int, inserted: bytes) -> None:
        body = whole[:at] + inserted + whole[at + len(inserted) :]
        try:
            if name == "index":
                directory.indexed(answer(body, "fuzzed"))
            else:
                read = Bundle.from_bytes(body, "fuzzed")
                assert [item.body for item in read.responses] in ([index], [])
        except SourceError:
            return

    hold()


def test_rows_keep_their_place_in_the_answer() -> None:
    found = PARSERS["odds"][2](answer(PARSERS["odds"][1], "fuzzed"))
    assert found.select(FILE, ROW).rows() == [("f", 0), ("f", 1)]
