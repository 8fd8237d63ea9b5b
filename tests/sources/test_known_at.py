"""What is known when: nothing is served before its time, all of it is after, and the future changes not a byte."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.warehouse import DayRange
from tasks.sources.base import Kind, SourceError
from tasks.sources.folder import FolderSource
from tests.leagues import (
    DAY,
    EASTERN,
    FILES,
    GAME_ID,
    clean,
    eastern,
    game,
    injury_row,
    one_game,
    player_line,
    prop_line,
    roster_row,
    served,
    steady,
    table,
    tables_of,
    team_line,
    tiny_league,
    write,
)

BOX_SCORES = (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
SEASON = DayRange(dt.date(2025, 10, 20), dt.date(2026, 4, 20))
NEXT_DAY = DAY + dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)

# To the second, and often exactly at the instants at which something becomes known.
instants = st.one_of(
    st.datetimes(dt.datetime(2025, 10, 20), dt.datetime(2026, 4, 20), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    st.builds(
        eastern,
        st.dates(dt.date(2025, 10, 20), dt.date(2026, 4, 20)),
        st.sampled_from([0, 3, 4, 12, 19, 20, 23]),
        st.sampled_from([0, 59]),
    ),
)


@pytest.fixture(scope="module")
def league_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("league"), tables_of(tiny_league()), "parquet")


@pytest.fixture(scope="module")
def league(league_folder: Path) -> FolderSource:
    return FolderSource(league_folder)


def _played(as_of: dt.datetime) -> pl.Expr:
    """Games of a day count as over at 4 AM Eastern of the next morning: here told from the Eastern clock alone."""
    wall = as_of.astimezone(EASTERN)
    last = wall.date() - dt.timedelta(days=1 if wall.hour >= 4 else 2)
    return pl.col("game_date") <= last


def _passed(column: str, as_of: dt.datetime) -> pl.Expr:
    """By how the league itself writes instants; null (never stamped) is from the start."""
    return pl.col(column).is_null() | (pl.col(column) <= as_of)


def _snapshot() -> pl.Expr:
    return pl.col("snapshot").str.to_datetime("%Y-%m-%dT%H:%MZ").dt.replace_time_zone("UTC")


def _known(kind: Kind, frame: pl.DataFrame, as_of: dt.datetime) -> pl.DataFrame:
    """The league's rows that are known at `as_of`, by rules written down anew."""
    if kind in BOX_SCORES:
        return frame.filter(_played(as_of))
    if kind == Kind.PROP_LINES:
        return frame.filter(_snapshot() <= as_of)
    if kind == Kind.INJURY_REPORT:
        return frame.filter(pl.col("reported_at") <= as_of)
    if kind == Kind.ROSTERS:
        return frame.filter(pl.col("snapshot_date") <= as_of.astimezone(EASTERN).date())
    result = pl.when(_played(as_of)).then(pl.col("home_pts", "away_pts"))
    stated = pl.when(_passed("status_at", as_of)).then(pl.col("status", "status_at"))
    return frame.filter(_passed("announced_at", as_of)).with_columns(result.name.keep(), stated.name.keep())


@steady(30)
@given(instants)
def test_exactly_what_is_known_at_any_time_is_served(league: FolderSource, as_of: dt.datetime) -> None:
    for kind, frame in tables_of(tiny_league()).items():
        found = served(league, kind, SEASON if kind != Kind.ROSTERS else DayRange(), as_of)
        assert found.select(frame.columns).equals(_known(kind, frame, as_of)), kind


def _altered(kind: Kind, frame: pl.DataFrame, as_of: dt.datetime) -> pl.DataFrame:
    """The league with every fact changed that is not known yet; what is known stays as it is."""
    unknown = ~_played(as_of)
    if kind in BOX_SCORES:
        counts = pl.col("minutes", "fgm", "fga", "ftm", "fta", "pts", "plus_minus")
        return frame.with_columns(pl.when(unknown).then(counts + 1).otherwise(counts), win=pl.col("win") ^ unknown)
    if kind == Kind.PROP_LINES:
        prices = pl.col("line", "over_price", "under_price")
        return frame.with_columns(pl.when(_snapshot() > as_of).then(prices - 7).otherwise(prices))
    if kind == Kind.INJURY_REPORT:
        return frame.with_columns(
            status=pl.when(pl.col("reported_at") > as_of).then(pl.lit("AVAILABLE")).otherwise("status")
        )
    if kind == Kind.ROSTERS:
        later = pl.col("snapshot_date") > as_of.astimezone(EASTERN).date()
        return frame.with_columns(team=pl.when(later).then(pl.lit("SEA")).otherwise("team"))
    score = pl.col("home_pts", "away_pts")
    stated = ~_passed("status_at", as_of)
    unannounced = ~_passed("announced_at", as_of)
    return frame.with_columns(
        pl.when(unknown).then(score + 9).otherwise(score),
        status=pl.when(stated).then(pl.lit("cancelled")).otherwise("status"),
        status_at=pl.when(stated).then(pl.col("status_at") + pl.duration(hours=3)).otherwise("status_at"),
        tip_utc=pl.when(unannounced).then(pl.col("tip_utc") + pl.duration(minutes=30)).otherwise("tip_utc"),
        announced_at=pl.when(unannounced).then(pl.col("announced_at") + pl.duration(hours=1)).otherwise("announced_at"),
    )


@steady(30)
@given(instants)
def test_altering_all_that_comes_later_changes_not_a_byte_of_a_payload(
    league: FolderSource, tmp_path_factory: pytest.TempPathFactory, as_of: dt.datetime
) -> None:
    folder = tmp_path_factory.mktemp("altered")
    tables = {kind: _altered(kind, frame, as_of) for kind, frame in tables_of(tiny_league()).items()}
    altered = FolderSource(write(folder, tables, "parquet"))
    changed = 0
    for kind, frame in tables_of(tiny_league()).items():
        one, other = (source.fetch(kind, SEASON, as_of, now=as_of) for source in (league, altered))
        assert one == other, kind
        changed += not tables[kind].equals(frame)
    assert changed > 0 or as_of > eastern(dt.date(2026, 4, 13), 4)


@steady(20)
@given(instants, instants)
def test_what_is_known_once_stays_known(league: FolderSource, one: dt.datetime, other: dt.datetime) -> None:
    early, late = sorted([one, other])
    for kind in (*BOX_SCORES, Kind.PROP_LINES, Kind.INJURY_REPORT):
        before, after = served(league, kind, SEASON, early), served(league, kind, SEASON, late)
        assert before.join(after, on=["_file", "_row"], how="anti").is_empty()


def _source(tmp_path: Path, **tables: pl.DataFrame) -> FolderSource:
    return FolderSource(write(tmp_path, one_game(**tables)))


def _at(source: FolderSource, kind: Kind, as_of: dt.datetime, *, days: DayRange | None = None) -> pl.DataFrame:
    return served(source, kind, days or DayRange.on(DAY), as_of)


def test_no_result_is_served_before_4_am_eastern_of_the_next_day(tmp_path: Path) -> None:
    source = _source(
        tmp_path,
        schedule=table([game(home_pts="108", away_pts="101")]),
        player_box_scores=table([player_line()]),
        team_box_scores=table([team_line()]),
    )
    known = eastern(NEXT_DAY, 4)
    for kind in BOX_SCORES:
        assert _at(source, kind, known - SECOND).is_empty()
        assert _at(source, kind, known).height == 1
    assert _at(source, Kind.SCHEDULE, known - SECOND)["home_pts"].to_list() == [None]
    assert _at(source, Kind.SCHEDULE, known)["home_pts"].to_list() == ["108"]


@pytest.mark.parametrize("day", [dt.date(2025, 11, 1), dt.date(2025, 3, 8)])
def test_4_am_is_eastern_wall_clock_on_the_nights_on_which_clocks_change(tmp_path: Path, day: dt.date) -> None:
    source = _source(tmp_path, player_box_scores=table([player_line(game_date=str(day))]))
    known = eastern(day + dt.timedelta(days=1), 4)
    assert known.hour == (9 if day.month == 11 else 8)
    assert _at(source, Kind.PLAYER_BOX_SCORES, known - SECOND, days=DayRange.on(day)).is_empty()
    assert _at(source, Kind.PLAYER_BOX_SCORES, known, days=DayRange.on(day)).height == 1


def test_no_line_or_report_is_served_before_it_was_seen(tmp_path: Path) -> None:
    at = dt.datetime(2025, 12, 29, 16, 0, tzinfo=dt.UTC)
    source = _source(tmp_path, prop_lines=table([prop_line()]), injury_report=table([injury_row()]))
    for kind in (Kind.PROP_LINES, Kind.INJURY_REPORT):
        assert _at(source, kind, at - SECOND).is_empty()
        assert _at(source, kind, at).height == 1


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_an_unstamped_line_is_dated_to_noon_eastern_of_its_game_day_and_says_so(
    tmp_path: Path, blank: str | None
) -> None:
    lines = [prop_line(snapshot=blank, game_date=str(day)) for day in (DAY, dt.date(2025, 7, 1))]
    source = _source(tmp_path, prop_lines=table([*lines, prop_line()]))
    late = eastern(NEXT_DAY, 0)
    found = served(source, Kind.PROP_LINES, DayRange(), late)
    assert found["snapshot"].to_list() == ["2025-12-29T17:00:00Z", "2025-07-01T16:00:00Z", "2025-12-29T16:00:00Z"]
    assert found["snapshot_assumed"].to_list() == [True, True, False]
    assert _at(source, Kind.PROP_LINES, eastern(DAY, 12) - SECOND).height == 1
    assert _at(source, Kind.PROP_LINES, eastern(DAY, 12)).height == 2


def test_rows_whose_time_cannot_be_read_are_served_to_be_refused_rather_than_lost(tmp_path: Path) -> None:
    lines = table([prop_line(snapshot="around noon"), prop_line(game_date="today")])
    injuries = table([injury_row(reported_at="?")])
    rosters = table([roster_row(snapshot_date="new")])
    source = _source(tmp_path, prop_lines=lines, injury_report=injuries, rosters=rosters)
    early = eastern(DAY, 11)
    for kind, rows in ((Kind.PROP_LINES, 2), (Kind.INJURY_REPORT, 1), (Kind.ROSTERS, 1)):
        made = clean(kind, _at(source, kind, early))
        assert made.rows.is_empty()
        assert made.refused.height == rows


def _with_status(status: str, status_at: str | None, announced_at: str | None = None) -> dict[str, str | None]:
    return game() | {"status": status, "status_at": status_at, "announced_at": announced_at}


def test_a_postponement_and_its_time_are_hidden_until_it_was_made_known(tmp_path: Path) -> None:
    called_off = "2025-12-29T20:30:00Z"
    source = _source(tmp_path, schedule=table([_with_status("postponed", called_off)]))
    at = dt.datetime.fromisoformat(called_off)
    before = _at(source, Kind.SCHEDULE, at - SECOND)
    assert before.select("status", "status_at").row(0) == (None, None)
    assert clean(Kind.SCHEDULE, before).rows["status"].to_list() == ["scheduled"]
    assert clean(Kind.SCHEDULE, _at(source, Kind.SCHEDULE, at)).rows["status"].to_list() == ["postponed"]


def test_a_make_up_game_is_hidden_until_it_was_announced(tmp_path: Path) -> None:
    announced = "2025-12-20T15:00:00Z"
    rows = [game() | {"announced_at": announced}, game(game_id="2") | {"announced_at": None}]
    source = _source(tmp_path, schedule=table(rows))
    at = dt.datetime.fromisoformat(announced)
    assert _at(source, Kind.SCHEDULE, at - SECOND)["game_id"].to_list() == ["2"]
    assert _at(source, Kind.SCHEDULE, at)["game_id"].to_list() == [GAME_ID, "2"]


def test_a_status_time_that_cannot_be_read_refuses_the_row_and_hides_nothing(
    tmp_path: Path,
) -> None:
    for column in ("status_at", "announced_at"):
        row = _with_status("postponed", None) | {column: "on Monday"}
        source = _source(tmp_path / column, schedule=table([row]))
        made = clean(Kind.SCHEDULE, _at(source, Kind.SCHEDULE, eastern(DAY, 11)))
        assert made.rows.is_empty()
        assert made.refused.select("field", "value").row(0) == (column, "on Monday")


def test_status_at_without_a_status_is_no_error(tmp_path: Path) -> None:
    source = _source(tmp_path, schedule=table([game() | {"status_at": "2025-12-30T03:00:00Z"}]))
    assert _at(source, Kind.SCHEDULE, eastern(DAY, 11))["status_at"].to_list() == [None]


def test_a_game_at_10_30_pm_eastern_belongs_to_its_eastern_day_though_utc_says_the_next(tmp_path: Path) -> None:
    """03:30Z on December 30 is 10:30 PM Eastern, 7:30 PM Pacific, on December 29."""
    late = {"tip_utc": "2025-12-30T03:30:00Z"}
    source = _source(tmp_path, schedule=table([game(**late)]), player_box_scores=table([player_line()]))
    made = clean(Kind.SCHEDULE, _at(source, Kind.SCHEDULE, eastern(DAY, 11)))
    assert made.rows.select("game_day", "tip_off").row(0) == (DAY, dt.datetime(2025, 12, 30, 3, 30, tzinfo=dt.UTC))
    with_next_day = _at(source, Kind.SCHEDULE, eastern(DAY, 11), days=DayRange.on(NEXT_DAY))
    assert with_next_day.is_empty()


def test_a_tip_off_at_10_30_pm_pacific_belongs_to_the_eastern_day_that_has_begun() -> None:
    """06:30Z on December 30 is 1:30 AM Eastern on December 30."""
    tip = "2025-12-29T22:30:00-08:00"
    made = clean(Kind.SCHEDULE, table([game(tip_utc=tip, game_date=str(NEXT_DAY))]), [DAY, NEXT_DAY])
    assert made.rows["game_day"].to_list() == [NEXT_DAY]


def test_a_game_day_taken_from_utc_is_refused_by_its_tip_off() -> None:
    """The trap of the `Est` fields: one source's Z is Eastern, and the day moves by one."""
    made = clean(Kind.SCHEDULE, table([game(game_date="2025-12-30")]), [DAY, NEXT_DAY])
    assert made.rows.is_empty()
    assert made.refused.select("field", "value", "reason").row(0) == (
        "tip_utc",
        "2025-12-30T00:30:00Z",
        "is on another day in America/New_York than game_date",
    )


def test_a_roster_taken_tomorrow_is_not_known_tonight_though_utc_is_already_there(tmp_path: Path) -> None:
    """At 8 PM Eastern it is tomorrow in UTC."""
    rows = [roster_row(), roster_row(snapshot_date=str(NEXT_DAY), team="BOS")]
    source = _source(tmp_path, rosters=table(rows))
    tonight = eastern(DAY, 20)
    assert tonight.date() == NEXT_DAY
    for days in (DayRange.on(DAY), DayRange(DAY, NEXT_DAY), DayRange.on(NEXT_DAY)):
        assert _at(source, Kind.ROSTERS, tonight, days=days)["team"].to_list() == ["LAL"]
    at_midnight = _at(source, Kind.ROSTERS, eastern(NEXT_DAY, 0), days=DayRange.on(NEXT_DAY))
    assert at_midnight["team"].to_list() == ["LAL", "BOS"]


def test_of_earlier_rosters_the_latest_of_each_team_is_served(tmp_path: Path) -> None:
    rows = [
        roster_row(snapshot_date="2025-12-01"),
        roster_row(snapshot_date="2025-12-20"),
        roster_row(snapshot_date="2025-12-10", team="BOS", player_id="1628369"),
    ]
    found = _at(_source(tmp_path, rosters=table(rows)), Kind.ROSTERS, eastern(DAY, 11))
    assert found.select("team", "snapshot_date").rows() == [("LAL", "2025-12-20"), ("BOS", "2025-12-10")]


def test_an_as_of_in_any_zone_means_the_same_instant(league: FolderSource) -> None:
    for hour in (3, 4, 12, 20):
        at = eastern(dt.date(2026, 2, 9), hour)
        for kind in Kind:
            bodies = {
                league.fetch(kind, SEASON, at.astimezone(zone), now=at).body
                for zone in (dt.UTC, EASTERN, dt.timezone(dt.timedelta(hours=14)), dt.timezone(dt.timedelta(hours=-12)))
            }
            assert len(bodies) == 1, kind


def test_an_as_of_without_a_zone_is_refused_instead_of_taken_for_local_time(league: FolderSource) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        league.fetch(Kind.SCHEDULE, SEASON, eastern(DAY, 11).replace(tzinfo=None), eastern(DAY, 11))


def test_a_payload_says_what_it_is_about_and_as_of_when(league: FolderSource) -> None:
    at, now = eastern(DAY, 11), eastern(DAY, 12)
    payload = league.fetch(Kind.SCHEDULE, DayRange.on(DAY), at, now)
    assert (payload.source, payload.kind, payload.first, payload.last) == ("folder", "schedule", DAY, DAY)
    assert (payload.as_of, payload.fetched_at, payload.suffix) == (at, now, "parquet")


def test_tables_of_the_tests_lie_where_the_folder_looks(league_folder: Path) -> None:
    assert {str(path.relative_to(league_folder)) for path in league_folder.rglob("*.parquet")} == {
        f"{file}.parquet" for file in FILES.values()
    }


def test_an_absent_kind_is_an_error_at_any_time_and_never_an_empty_payload(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, one_game()))
    for at in (eastern(dt.date(2020, 1, 1), 0), eastern(dt.date(2030, 1, 1), 0)):
        with pytest.raises(SourceError, match="has no prop lines"):
            source.fetch(Kind.PROP_LINES, DayRange.on(DAY), at, at)
