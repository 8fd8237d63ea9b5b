"""Who is who: spellings of one player meet, two players are never taken for each other, teams have many codes."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.identity import TEAM_IDS, game_id, plain_name, resolve_players, team_code, team_id
from tests.leagues import (
    DAY,
    steady,
)

LONG_AGO = dt.date(2025, 10, 21)
Person = tuple[int, str, str]


def _directory(*people: Person, known_from: dt.date = LONG_AGO) -> pl.DataFrame:
    return pl.DataFrame(
        [(*person, known_from) for person in people],
        schema={"player_id": pl.Int64, "player_name": pl.String, "team": pl.String, "known_from": pl.Date},
        orient="row",
    )


def _who(name: str, directory: pl.DataFrame, home: str = "LAL", away: str = "BOS") -> int | None:
    found = pl.DataFrame({"game_day": [DAY], "player": [name], "home_team": [home], "away_team": [away]})
    resolved = resolve_players(found, directory)
    assert resolved.height == 1
    return resolved["player_id"].item()


@pytest.mark.parametrize(
    ("full", "spellings"),
    [
        (
            "Gary Trent Jr.",
            ["Gary Trent Jr.", "Gary Trent", "gary trent jr", "GARYTRENTJR", "G. Trent", "G. Trent Jr."],
        ),
        ("Nikola Jokić", ["Nikola Jokic", "Nikola Jokić", "NIKOLA JOKIC", "Nikola Jokic\u0301", "N. Jokić"]),
        ("Moritz Wagner", ["Moe Wagner", "Moritz Wagner", "M. Wagner"]),
        ("Herbert Jones", ["Herb Jones", "Herbert Jones", "HERBERTJONES"]),
        ("Nicolas Claxton", ["Nic Claxton", "Nicolas Claxton"]),
        ("Nic Claxton", ["Nicolas Claxton"]),
        ("Cam Thomas", ["Cameron Thomas", "Cam Thomas"]),
        ("Cameron Thomas", ["Cam Thomas"]),
        ("Carlton Carrington", ["Bub Carrington", "Carlton Carrington"]),
        ("Bub Carrington", ["Carlton Carrington"]),
        ("Brandon Boston", ["B.J. Boston Jr", "BJ Boston"]),
        ("Shai Gilgeous-Alexander", ["Shai Gilgeous Alexander", "S. Gilgeous-Alexander"]),
        ("Royce O'Neale", ["Royce O’Neale", "Royce ONeale"]),
        ("Robert Williams III", ["Robert Williams", "Rob Williams III"]),
        ("Luka Dončić", ["Luka Doncic", "luka  doncic"]),
        ("Dāvis Bertāns", ["Davis Bertans"]),
        ("Alperen Şengün", ["Alperen Sengun"]),
    ],
)
def test_spellings_of_one_player_meet(full: str, spellings: list[str]) -> None:
    directory = _directory((1, full, "LAL"), (2, "Jayson Tatum", "BOS"))
    assert {name: _who(name, directory) for name in spellings} == dict.fromkeys(spellings, 1)


def test_two_players_with_the_same_initial_and_last_name_are_never_guessed() -> None:
    directory = _directory((1, "Jalen Williams", "LAL"), (2, "Jaylin Williams", "LAL"))
    assert _who("J. Williams", directory) is None
    assert (_who("Jalen Williams", directory), _who("Jaylin Williams", directory)) == (1, 2)


def test_two_players_of_opposing_teams_are_not_guessed_either() -> None:
    directory = _directory((1, "Marcus Morris", "LAL"), (2, "Markieff Morris", "BOS"))
    assert _who("M. Morris", directory) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [("Davion Mitchell", "Donovan Mitchell"), ("Terance Mann", "Tre Mann"), ("Jalen Williams", "Jaylin Williams")],
)
def test_a_full_first_name_never_stands_for_another_one_with_its_initial(name: str, other: str) -> None:
    """Where the named player is not known yet, his namesake by initial is not he."""
    assert _who(name, _directory((1, other, "LAL"))) is None


def test_a_father_and_a_son_on_two_teams_are_told_apart_by_the_suffix_or_not_at_all() -> None:
    directory = _directory((1, "Gary Payton", "BOS"), (2, "Gary Payton II", "LAL"))
    assert (_who("Gary Payton", directory), _who("Gary Payton II", directory)) == (1, 2)
    assert _who("G. Payton", directory) is None


def test_a_player_of_neither_team_is_not_found() -> None:
    assert _who("Jayson Tatum", _directory((1, "Jayson Tatum", "NYK"))) is None


def test_a_player_who_is_known_only_later_neither_answers_nor_makes_a_name_ambiguous() -> None:
    """A backfill sees later rosters too: they must not change what a name meant on the day."""
    later = _directory((2, "Jaylin Williams", "LAL"), known_from=DAY + dt.timedelta(days=1))
    assert _who("Jaylin Williams", later) is None
    assert _who("J. Williams", pl.concat([_directory((1, "Jalen Williams", "LAL")), later])) == 1


def test_a_player_traded_between_the_two_teams_is_one_player() -> None:
    before, after = (
        _directory((1, "Luka Dončić", "BOS")),
        _directory((1, "Luka Dončić", "LAL"), known_from=DAY + dt.timedelta(9)),
    )
    assert _who("Luka Doncic", pl.concat([after, before])) == 1


def test_resolving_keeps_every_row_in_its_order() -> None:
    names = ["Jayson Tatum", "Nobody", "LeBron James", "Jayson Tatum", ""]
    found = pl.DataFrame(
        {"player": names, "game_day": DAY, "home_team": "LAL", "away_team": ["BOS", None, "BOS", "BOS", "BOS"]}
    )
    resolved = resolve_players(found, _directory((1, "LeBron James", "LAL"), (2, "Jayson Tatum", "BOS")))
    assert resolved["player"].to_list() == names
    assert resolved["player_id"].to_list() == [2, None, 1, 2, None]


@steady(80)
@given(st.lists(st.text(max_size=20), max_size=5), st.lists(st.text(max_size=20), max_size=5))
def test_no_name_makes_resolving_raise_or_change_the_rows(names: list[str], known: list[str]) -> None:
    found = pl.DataFrame(
        {
            "player": names,
            "game_day": [DAY] * len(names),
            "home_team": ["LAL"] * len(names),
            "away_team": ["BOS"] * len(names),
        },
        schema={"player": pl.String, "game_day": pl.Date, "home_team": pl.String, "away_team": pl.String},
    )
    resolved = resolve_players(found, _directory(*((n, name, "LAL") for n, name in enumerate(known))))
    assert resolved["player"].to_list() == names
    # Nothing of the name being left to compare is no resemblance.
    hit = resolved.filter(pl.col("player_id").is_not_null())
    assert hit.filter(plain_name(pl.col("player")) == "").is_empty()


def _codes(*words: str) -> list[str | None]:
    return pl.DataFrame({"x": words}, schema={"x": pl.String}).select(team_code(pl.col("x")))["x"].to_list()


@pytest.mark.parametrize(
    ("word", "code"),
    [
        *(("GS", "GSW"), ("NO", "NOP"), ("NOH", "NOP"), ("NY", "NYK"), ("SA", "SAS"), ("UTAH", "UTA"), ("UTH", "UTA")),
        *(
            ("WSH", "WAS"),
            ("BRK", "BKN"),
            ("BK", "BKN"),
            ("PHO", "PHX"),
            ("PHL", "PHI"),
            ("CHO", "CHA"),
            ("NOR", "NOP"),
        ),
        *(("Los Angeles Clippers", "LAC"), ("LA Clippers", "LAC"), ("la lakers", "LAL"), (" bos ", "BOS")),
        ("Philadelphia 76ers", "PHI"),
    ],
)
def test_team_codes_and_names_of_every_source_come_to_one_tricode(word: str, code: str) -> None:
    assert _codes(word) == [code]


def test_all_thirty_teams_keep_their_tricode_and_have_an_id_of_their_own() -> None:
    assert len(TEAM_IDS) == 30
    assert _codes(*TEAM_IDS) == list(TEAM_IDS)
    ids = pl.DataFrame({"x": list(TEAM_IDS)}).select(team_id(pl.col("x")))["x"].to_list()
    assert sorted(ids) == list(range(1610612737, 1610612767))


@pytest.mark.parametrize("word", ["XYZ", "", "LA", "Seattle SuperSonics", "1610612747", "EST", "Team LeBron"])
def test_an_unknown_team_is_null_and_never_the_nearest_one(word: str) -> None:
    assert _codes(word) == [None]


@steady(80)
@given(st.text())
def test_no_text_but_a_known_word_is_a_team(text: str) -> None:
    assert _codes(text)[0] in (None, *TEAM_IDS)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("0022500447", "0022500447"), ("22500447", "0022500447"), ("62500001", "0062500001"), ("401809966", "401809966")],
)
def test_game_ids_get_back_the_zeros_that_spreadsheets_drop(written: str, canonical: str) -> None:
    assert pl.DataFrame({"x": [written]}).select(game_id(pl.col("x"))).item() == canonical
