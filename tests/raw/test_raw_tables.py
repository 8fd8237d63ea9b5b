"""What phase 2 makes of good rows: canonical ids, minutes, statuses, rosters by snapshot, lines before tip-off."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from tasks.identity import TEAM_IDS
from tasks.sources.base import Kind
from tests.leagues import (
    DAY,
    GAME_ID,
    TIP_OFF,
    Row,
    clean,
    game,
    injury_row,
    player_line,
    prop_line,
    roster_row,
    table,
    team_line,
)

NEXT_DAY = DAY + dt.timedelta(days=1)
PEOPLE = {
    "LAL": [("2544", "LeBron James"), ("1", "Gary Trent Jr."), ("2", "Moritz Wagner"), ("3", "Herbert Jones")],
    "BOS": [("4", "Nikola Jokić"), ("5", "Nicolas Claxton"), ("6", "Cameron Thomas"), ("7", "Carlton Carrington")],
}


def _schedule(*rows: Row) -> pl.DataFrame:
    return clean(Kind.SCHEDULE, table(rows or [game()]), [DAY, NEXT_DAY]).rows


def _rosters(people: dict[str, list[tuple[str, str]]] | None = None) -> pl.DataFrame:
    rows = [
        roster_row(team=team, player_id=player_id, player=name)
        for team, squad in (people or PEOPLE).items()
        for player_id, name in squad
    ]
    return clean(Kind.ROSTERS, table(rows)).rows


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("35:22", 35 + 22 / 60), ("PT35M22.00S", 35 + 22 / 60), ("35", 35.0), (None, None), ("", None)],
)
def test_minutes_come_in_three_formats_and_a_player_who_did_not_play_has_none(
    written: str | None, minutes: float | None
) -> None:
    points = {} if minutes else dict.fromkeys(("pts", "fgm", "fg3m", "ftm"), "0")
    made = clean(Kind.PLAYER_BOX_SCORES, table([player_line(minutes=written, **points)]))
    assert made.refused.is_empty()
    assert made.rows["minutes"].item() == (None if minutes is None else pytest.approx(minutes))


def test_a_did_not_play_row_without_any_statistics_is_kept_as_such() -> None:
    nothing = dict.fromkeys(("minutes", "pts", "fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb"), None)
    rest = dict.fromkeys(("ast", "stl", "blk", "tov", "pf", "plus_minus"), None)
    played = [player_line(player_id=str(n)) for n in range(1, 5)]
    made = clean(Kind.PLAYER_BOX_SCORES, table([*played, player_line(**nothing, **rest)]))
    assert made.refused.is_empty()
    assert made.rows.filter(player_id=2544).select("minutes", "points").row(0) == (None, None)


def test_box_scores_carry_team_ids_whatever_code_the_source_uses() -> None:
    player = player_line(team="GS", opponent="UTAH")
    team = team_line(team="Washington Wizards", opponent="BRK")
    for kind, row, ours, theirs in (
        (Kind.PLAYER_BOX_SCORES, player, "GSW", "UTA"),
        (Kind.TEAM_BOX_SCORES, team, "WAS", "BKN"),
    ):
        made = clean(kind, table([row])).rows.row(0, named=True)
        assert (made["team"], made["team_id"]) == (ours, TEAM_IDS[ours])
        assert (made["opponent"], made["opponent_id"]) == (theirs, TEAM_IDS[theirs])


def test_one_teams_repeat_under_another_code_is_a_repeat() -> None:
    made = clean(Kind.TEAM_BOX_SCORES, table([team_line(), team_line(team="Los Angeles Lakers")]))
    assert made.rows.height == 1
    assert made.refused["reason"].to_list() == ["repeats a row with the same game_id, team"]


@pytest.mark.parametrize(
    ("scores", "stated", "status"),
    [
        (("108", "101"), None, "final"),
        (("108", "101"), "scheduled", "final"),
        ((None, None), "final", "scheduled"),
        ((None, None), "Final", "scheduled"),
        (("108", None), None, "scheduled"),
        ((None, None), "Postponed", "postponed"),
        ((None, None), "cancelled", "cancelled"),
    ],
)
def test_a_game_is_final_by_its_scores_alone_and_a_postponement_stands(
    scores: tuple[str | None, str | None], stated: str | None, status: str
) -> None:
    row = game(home_pts=scores[0], away_pts=scores[1]) | {"status": stated}
    assert clean(Kind.SCHEDULE, table([row])).rows["status"].to_list() == [status]


def test_an_unknown_status_is_refused_by_name() -> None:
    made = clean(Kind.SCHEDULE, table([game() | {"status": "live"}]))
    assert made.refused.select("field", "value").row(0) == ("status", "live")


def test_a_trade_between_two_snapshots_puts_the_player_on_the_team_of_the_later_one() -> None:
    rows = [
        roster_row(snapshot_date="2025-12-20"),
        roster_row(team="BOS"),
        roster_row(player_id="9", snapshot_date="2025-12-20"),
    ]
    made = clean(Kind.ROSTERS, table(rows)).rows
    assert made.select("player_id", "team").sort("player_id").rows() == [(9, "LAL"), (2544, "BOS")]


def test_each_day_has_the_last_roster_taken_by_then() -> None:
    rows = [roster_row(snapshot_date="2025-12-28"), roster_row(snapshot_date=str(NEXT_DAY), player_id="9")]
    made = clean(Kind.ROSTERS, table(rows), [DAY, NEXT_DAY]).rows
    assert made.select("game_day", "player_id", "age_days").rows() == [(DAY, 2544, 1), (NEXT_DAY, 9, 0)]


def test_one_teams_bad_roster_does_not_lose_the_other_29() -> None:
    """One call of thirty answers with nonsense today: that team keeps its last roster, the others get today's."""
    old = [roster_row(team=team, player_id=str(n)) for n, team in enumerate(TEAM_IDS, 1)]
    new = [
        roster_row(team=team, player_id=str(n) if team != "LAL" else "<html>", snapshot_date=str(DAY))
        for n, team in enumerate(TEAM_IDS, 1)
    ]
    made = clean(Kind.ROSTERS, table(old + new))
    taken = dict(made.rows.select("team", "snapshot_day").iter_rows())
    assert len(taken) == 30
    assert {team for team, day in taken.items() if day != DAY} == {"LAL"}
    assert made.refused.select("field", "value").rows() == [("player_id", "<html>")]


@pytest.mark.parametrize("written", ["Out", "OUT", " doubtful ", "Questionable", "PROBABLE", "available"])
def test_the_five_official_statuses_are_read_in_any_case(written: str) -> None:
    made = clean(Kind.INJURY_REPORT, table([injury_row(status=written)]))
    assert made.rows["status"].to_list() == [written.strip().upper()]


def test_a_later_report_about_the_same_player_is_kept_beside_the_earlier() -> None:
    made = clean(
        Kind.INJURY_REPORT, table([injury_row(), injury_row(status="Out", reported_at="2025-12-29T20:00:00Z")])
    )
    assert made.rows["status"].to_list() == ["QUESTIONABLE", "OUT"]


@pytest.mark.parametrize(
    ("written", "player_id"),
    [
        *(("Gary Trent Jr.", 1), ("GARYTRENTJR", 1), ("G. Trent", 1), ("Moe Wagner", 2), ("Herb Jones", 3)),
        *(("Nikola Jokic", 4), ("NIKOLA JOKIĆ", 4), ("Nic Claxton", 5), ("Cam Thomas", 6), ("Bub Carrington", 7)),
    ],
)
def test_a_books_spelling_leads_to_the_players_id(written: str, player_id: int) -> None:
    made = clean(Kind.PROP_LINES, table([prop_line(player=written)]), schedule=_schedule(), rosters=_rosters())
    assert made.refused.is_empty()
    assert made.rows.select("player_id", "game_id").row(0) == (player_id, GAME_ID)


def test_a_name_that_two_players_share_goes_to_the_unresolved_and_to_nobody() -> None:
    rosters = _rosters({"LAL": [("1", "Jalen Williams"), ("2", "Jaylin Williams")]})
    rows = [prop_line(player=name) for name in ("J. Williams", "Jalen Williams")]
    made = clean(Kind.PROP_LINES, table(rows), schedule=_schedule(), rosters=rosters)
    assert made.rows["player_id"].to_list() == [1]
    assert made.refused.select("field", "value").row(0) == ("player", "J. Williams")
    assert "unresolved name" in made.refused["reason"].item()


def test_box_scores_make_a_player_known_from_the_day_after_his_game() -> None:
    """A debut is no way to know a name on the day of the debut itself."""
    debut = clean(Kind.PLAYER_BOX_SCORES, table([player_line()])).rows
    schedule = _schedule(game(), game(game_id="0022500460", game_date=str(NEXT_DAY), tip_utc=None))
    rows = [prop_line(), prop_line(game_date=str(NEXT_DAY))]
    made = clean(Kind.PROP_LINES, table(rows), [DAY, NEXT_DAY], schedule=schedule, player_box_scores=debut)
    assert made.rows.select("game_day", "player_id").rows() == [(NEXT_DAY, 2544)]
    assert made.refused["row"].to_list() == [0]


@pytest.mark.parametrize(
    ("snapshot", "kept"),
    [
        ("2025-12-30T00:29:59Z", True),
        (TIP_OFF, False),
        ("2025-12-30T01:15:00Z", False),
        ("2025-12-29T19:30:00-05:00", False),
    ],
)
def test_a_snapshot_at_or_after_tip_off_is_refused_as_leakage(snapshot: str, kept: bool) -> None:
    made = clean(Kind.PROP_LINES, table([prop_line(snapshot=snapshot)]), schedule=_schedule(), rosters=_rosters())
    assert made.rows.height == kept
    if not kept:
        assert made.refused["reason"].to_list() == ["is at or after tip-off: not a line but leakage"]


def test_the_schedules_tip_off_counts_and_the_books_only_where_there_is_none() -> None:
    """A book's stale start time must not let an in-game line through, nor refuse a good one."""
    line = prop_line(snapshot="2025-12-30T00:45:00Z", commence_time="2025-12-30T03:00:00Z")
    late = clean(Kind.PROP_LINES, table([line]), schedule=_schedule(), rosters=_rosters())
    assert late.refused["field"].to_list() == ["snapshot"]
    untimed = _schedule(game(tip_utc=None))
    assert clean(Kind.PROP_LINES, table([line]), schedule=untimed, rosters=_rosters()).rows.height == 1
    early = line | {"commence_time": "2025-12-30T00:40:00Z"}
    assert clean(Kind.PROP_LINES, table([early]), schedule=untimed, rosters=_rosters()).rows.is_empty()


def test_a_line_finds_its_game_by_id_or_by_its_two_teams_and_never_by_less() -> None:
    schedule = _schedule(game(), game(game_id="0022500448", home="GSW", away="UTA"))
    rows = [
        prop_line(game_id="22500447", home_team=None, away_team=None, player_id="2544"),
        prop_line(bookmaker="b", home_team="LAL"),
        prop_line(bookmaker="c", home_team="Boston Celtics", away_team="Los Angeles Lakers"),
        prop_line(bookmaker="d", home_team="Golden State Warriors"),
        prop_line(bookmaker="e", home_team=None, away_team=None),
    ]
    made = clean(Kind.PROP_LINES, table(rows), schedule=schedule, rosters=_rosters())
    assert made.rows["bookmaker"].sort().to_list() == ["b", "harborline"]
    assert made.refused["field"].unique().to_list() == ["game_id"]


def test_two_games_of_the_same_teams_on_one_day_are_not_told_apart_by_teams() -> None:
    """One called off and its make-up: with an id the line is placed, without one it is refused, and no row doubles."""
    schedule = _schedule(game(), game(game_id="0022501231"))
    rows = [prop_line(), prop_line(bookmaker="b", game_id="0022501231")]
    made = clean(Kind.PROP_LINES, table(rows), schedule=schedule, rosters=_rosters())
    assert made.rows.select("bookmaker", "game_id").rows() == [("b", "0022501231")]
    assert made.refused["row"].to_list() == [0]


def test_a_game_that_kept_its_id_when_it_was_moved_gets_the_tip_off_of_each_lines_own_day() -> None:
    moved = game(game_date=str(NEXT_DAY), tip_utc="2025-12-31T00:30:00Z")
    schedule = pl.concat([_schedule(), _schedule(moved)])
    rows = [
        prop_line(snapshot="2025-12-30T00:45:00Z"),
        prop_line(snapshot="2025-12-30T00:45:00Z", game_date=str(NEXT_DAY)),
    ]
    rosters = _rosters().with_columns(game_day=pl.lit(DAY))
    made = clean(Kind.PROP_LINES, table(rows), [DAY, NEXT_DAY], schedule=schedule, rosters=rosters)
    assert made.rows["game_day"].to_list() == [NEXT_DAY]
    assert made.refused["row"].to_list() == [0]


def test_ladders_keep_all_their_lines_and_a_book_with_one_price_keeps_its_line() -> None:
    rows = [prop_line(line=line, under_price=None) for line in ("19.5", "24.5", "29.5")]
    made = clean(Kind.PROP_LINES, table(rows), schedule=_schedule(), rosters=_rosters())
    assert made.rows["line"].to_list() == [19.5, 24.5, 29.5]
    assert made.rows["under_price"].null_count() == 3
