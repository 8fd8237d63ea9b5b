"""What the simulated league promises: identities, dates, instants and repeatability."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from datetime import date, time, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from tasks.sources.league import League, LeagueConfig, generate_league
from tasks.sources.league.players import SQUAD_SIZES

SMALL = LeagueConfig(seed=3, seasons=("2025-26",), teams=4, games_per_team=20, worlds=2)
FRAMES = (
    "schedule",
    "player_games",
    "team_games",
    "lines",
    "rosters",
    "injuries",
    "positions",
    "truth",
)


@cache
def _full() -> League:
    return generate_league(LeagueConfig(seasons=("2025-26",)))


@pytest.fixture
def league() -> League:
    return _full()


def _digest(league: League) -> str:
    whole = hashlib.sha256()
    for name in FRAMES:
        frame: pl.DataFrame = getattr(league, name)
        whole.update(f"{name} {frame.schema}".encode())
        whole.update(frame.write_csv().encode())
    return whole.hexdigest()


def _eastern(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone("America/New_York")


def _instant(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%MZ").dt.replace_time_zone("UTC")


def test_equal_seeds_give_identical_leagues() -> None:
    assert _digest(generate_league(SMALL)) == _digest(generate_league(SMALL))


def test_another_seed_gives_another_league() -> None:
    other = LeagueConfig(seed=4, seasons=SMALL.seasons, teams=4, games_per_team=20, worlds=2)
    assert _digest(generate_league(SMALL)) != _digest(generate_league(other))


def test_a_season_is_the_same_whatever_seasons_follow_it() -> None:
    longer = LeagueConfig(seed=3, seasons=("2024-25", "2025-26"), teams=4, games_per_team=20, worlds=2)
    alone = LeagueConfig(seed=3, seasons=("2024-25",), teams=4, games_per_team=20, worlds=2)
    both = generate_league(longer).player_games.filter(pl.col("season") == "2024-25")
    assert both.equals(generate_league(alone).player_games)


def test_points_and_rebounds_add_up_in_every_line(league: League) -> None:
    wrong = league.player_games.filter(
        (pl.col("pts") != 2 * pl.col("fgm") + pl.col("fg3m") + pl.col("ftm"))
        | (pl.col("reb") != pl.col("oreb") + pl.col("dreb"))
        | (pl.col("fgm") > pl.col("fga"))
        | (pl.col("fg3m") > pl.col("fg3a"))
        | (pl.col("ftm") > pl.col("fta"))
        | (pl.col("fg3m") > pl.col("fgm"))
        | (pl.col("fg3a") > pl.col("fga"))
        | (pl.col("pf") > 6)
        | (pl.min_horizontal("pts", "minutes", "ast", "stl", "blk", "tov", "oreb", "dreb") < 0)
    )
    assert wrong.is_empty()


def test_players_minutes_fill_the_game(league: League) -> None:
    sums = league.player_games.group_by("game_id", "team").agg(pl.col("minutes").sum().alias("played"))
    both = sums.join(league.team_games.select("game_id", "team", "minutes"), on=["game_id", "team"])
    # Whole minutes: each of about eleven players is up to half a minute off.
    assert (both["played"].cast(pl.Float64) - both["minutes"]).abs().max() <= 5
    assert set(league.team_games["minutes"].unique()) >= {240, 265}
    assert ((league.team_games["minutes"] - 240) % 25 == 0).all()


def test_team_totals_are_the_sums_of_the_players(league: League) -> None:
    counts = ["fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "reb", "ast", "stl", "blk", "tov", "pf", "pts"]
    sums = league.player_games.group_by("game_id", "team").agg(pl.col(c).cast(pl.Int64).sum() for c in counts)
    joined = league.team_games.join(sums, on=["game_id", "team"], suffix="_sum")
    assert joined.height == league.team_games.height == 2 * 1230
    for c in counts:
        assert (joined[c] == joined[f"{c}_sum"]).all(), c


def test_schedule_scores_winners_and_team_totals_agree(league: League) -> None:
    finals = league.schedule.filter(pl.col("status") == "final")
    home = league.team_games.filter("is_home").select("game_id", "pts", "win", home_team="team")
    joined = finals.join(home, on="game_id")
    assert joined.height == 1230
    assert (joined["home"] == joined["home_team"]).all()
    assert (joined["home_pts"] == joined["pts"]).all()
    assert (joined["home_pts"] != joined["away_pts"]).all()
    assert ((joined["home_pts"] > joined["away_pts"]) == joined["win"]).all()


def test_player_rows_are_unique_and_typed_like_the_folder_layout(league: League) -> None:
    rows = league.player_games
    assert rows.select("game_id", "player_id").is_unique().all()
    assert rows.width == 30
    assert rows["minutes"].dtype == pl.Float32
    assert rows["pts"].dtype == pl.Int16
    assert rows["player_id"].dtype == pl.Int64
    assert rows["dnp_comment"].null_count() == rows.height
    assert rows["game_id"].str.contains(r"^00225\d{5}$").all()
    starters = rows.group_by("game_id", "team").agg(pl.col("started").sum())["started"]
    assert set(starters.unique()) == {5}


def test_december_29_2025_has_its_eleven_games(league: League) -> None:
    day = league.schedule.filter(pl.col("game_date") == date(2025, 12, 29)).sort("game_id")
    found = day.select("game_id", "home", "away", tip=_eastern("tip_utc").dt.strftime("%H:%M")).rows()
    assert found == [
        ("0022500447", "CHA", "MIL", "19:00"),
        ("0022500448", "WAS", "PHX", "19:00"),
        ("0022500449", "BKN", "GSW", "19:30"),
        ("0022500450", "MIA", "DEN", "19:30"),
        ("0022500451", "TOR", "ORL", "19:30"),
        ("0022500452", "CHI", "MIN", "20:00"),
        ("0022500453", "HOU", "IND", "20:00"),
        ("0022500454", "NOP", "NYK", "20:00"),
        ("0022500455", "OKC", "ATL", "20:00"),
        ("0022500456", "SAS", "CLE", "20:00"),
        ("0022500457", "POR", "DAL", "23:00"),
    ]
    assert (day["status"] == "final").all()


def test_every_team_plays_82_games_41_at_home_and_never_twice_a_day(league: League) -> None:
    finals = league.schedule.filter(pl.col("status") == "final")
    assert set(finals["home"].value_counts()["count"]) == {41}
    assert set(finals["away"].value_counts()["count"]) == {41}
    # Postponed rows count too: on their morning they were still to be played.
    both = pl.concat(
        [league.schedule.select("game_date", team="home"), league.schedule.select("game_date", team="away")]
    )
    assert both.is_unique().all()
    assert league.schedule["game_id"].is_unique().all()


def test_the_calendar_is_a_real_season(league: League) -> None:
    days = league.schedule["game_date"]
    assert (days.min(), days.max()) == (date(2025, 10, 21), date(2026, 4, 12))
    assert date(2025, 12, 24) not in days.to_list()
    assert not days.is_between(date(2026, 2, 13), date(2026, 2, 18)).any()
    local = league.schedule.select("game_date", tip=_eastern("tip_utc"))
    assert (local["tip"].dt.date() == local["game_date"]).all()
    christmas = local.filter(pl.col("game_date") == date(2025, 12, 25))["tip"]
    assert christmas.dt.hour().min() == 12


def test_a_postponed_game_has_no_result_and_is_made_up_under_another_id(league: League) -> None:
    postponed = league.schedule.filter(pl.col("status") == "postponed")
    made_up = league.schedule.filter(pl.col("announced_at").is_not_null())
    assert postponed.height == made_up.height == 2
    assert postponed["home_pts"].null_count() == 2
    assert (postponed["status_at"] < postponed["tip_utc"]).all()
    assert (made_up["announced_at"] < made_up["tip_utc"]).all()
    meetings = {tuple(r) for r in made_up.select("home", "away").rows()}
    assert meetings == {tuple(r) for r in postponed.select("home", "away").rows()}
    for frame in (league.player_games, league.lines, league.injuries, league.truth):
        assert not frame["game_id"].is_in(postponed["game_id"].to_list()).any()


def test_results_become_known_only_after_the_game(league: League) -> None:
    finals = league.schedule.filter(pl.col("status") == "final")
    assert (finals["status_at"] - finals["tip_utc"] >= timedelta(hours=2)).all()


def test_lines_come_from_ten_in_the_morning_and_most_are_there_by_a_quarter_past_twelve(
    league: League,
) -> None:
    evening = league.schedule.filter(_eastern("tip_utc").dt.hour() >= 15).select("game_id", "tip_utc")
    rows = league.lines.join(evening, on="game_id").with_columns(at=_instant("snapshot"))
    first = rows.group_by("game_id", "player_id", "bookmaker").agg(pl.col("at").min())
    clock = first.select(_eastern("at"))["at"]
    assert (clock.dt.hour() >= 10).all()
    assert (clock.dt.hour().cast(pl.Int32) * 60 + clock.dt.minute() <= 12 * 60 + 15).mean() > 0.85
    assert (rows["game_date"] == rows.select(_eastern("at").dt.date())["at"]).mean() > 0.999


def test_lines_move_close_before_tip_off_and_go_on_during_the_game(league: League) -> None:
    rows = league.lines.with_columns(
        at=_instant("snapshot"),
        tip=pl.col("commence_time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"),
    )
    ahead = (rows["tip"] - rows["at"]).dt.total_minutes()
    assert ((ahead > 0) & (ahead <= 10)).mean() > 0.15  # closing
    assert (ahead < 0).mean() > 0.05  # in-game: leakage for whoever takes them
    before = rows.filter(pl.col("at") < pl.col("tip")).sort("at")
    moved = before.group_by("game_id", "player_id", "bookmaker").agg(
        (pl.col("line").last() - pl.col("line").first()).alias("move"), pl.len()
    )
    share = (moved.filter(pl.col("len") > 1)["move"] != 0).mean()
    assert isinstance(share, float)
    assert 0.2 < share < 0.9


def test_lines_are_halves_and_some_whole_numbers_with_pushes(league: League) -> None:
    rows = league.lines
    assert rows["bookmaker"].n_unique() == 5
    assert (rows["line"] * 2 % 1 == 0).all()
    assert 0.02 < float((rows["line"] % 1 == 0).mean() or 0) < 0.25  # type: ignore[arg-type]
    played = rows.join(league.player_games.select("game_id", "player_id", "pts"), on=["game_id", "player_id"])
    assert (played["line"] == played["pts"]).any()
    assert (rows["over_price"].abs() >= 100).all()
    assert (rows["source"] == "simulated").all()
    implied = sum(
        pl.when(pl.col(c) < 0).then(-pl.col(c) / (100 - pl.col(c))).otherwise(100 / (100 + pl.col(c)))
        for c in ("over_price", "under_price")
    )
    hold = rows.select(hold=implied)["hold"]
    assert hold.min() > 1.0  # type: ignore[operator]


def test_books_spell_some_names_without_suffix_or_accents(league: League) -> None:
    names = league.rosters.select("player_id", full="player").unique()
    joined = league.lines.select("player_id", "player", "bookmaker").unique().join(names, on="player_id")
    differing = joined.filter(pl.col("player") != pl.col("full"))
    assert set(differing["bookmaker"].unique()) == {"northgate", "ironbridge", "tidewater"}
    assert joined.filter(pl.col("full").str.contains(r"(Jr\.|III)$")).height > 0
    assert joined.filter(pl.col("full").str.contains("[ćčšéíöá]")).height > 0


def test_reports_come_from_the_evening_before_until_an_hour_before_tip_off(league: League) -> None:
    rows = league.injuries.join(league.schedule.select("game_id", "tip_utc"), on="game_id")
    ahead = (rows["tip_utc"] - rows["reported_at"]).dt.total_minutes()
    assert ahead.min() >= 60  # type: ignore[operator]
    evening_before = time(17)
    earliest = rows.select(pl.col("game_date").dt.offset_by("-1d").dt.combine(evening_before).alias("e"))["e"]
    local = rows.select(_eastern("reported_at").dt.replace_time_zone(None))["reported_at"]
    assert (local >= earliest).all()
    assert set(rows["status"].unique()) == {"OUT", "DOUBTFUL", "QUESTIONABLE", "PROBABLE"}
    assert rows["reported_at"].dtype == pl.Datetime("us", "UTC")


def _absences(league: League, keep: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Latest report before noon ET of each listed player of evening games, and whether he played."""
    evening = league.schedule.filter(_eastern("tip_utc").dt.hour() >= 15).select("game_id", "tip_utc")
    played = league.player_games.select("game_id", "player_id", played=pl.lit(True))
    rows = keep(league.injuries.join(evening, on="game_id")).sort("reported_at")
    last = rows.group_by("game_id", "player_id", maintain_order=True).agg(pl.col("status").last())
    return last.join(played, on=["game_id", "player_id"], how="left").with_columns(pl.col("played").fill_null(False))


def test_out_means_out_and_questionable_players_play_about_half_the_time(league: League) -> None:
    noon = _absences(
        league,
        lambda rows: rows.filter(
            _eastern("reported_at").dt.replace_time_zone(None) <= pl.col("game_date").dt.combine(time(12))
        ),
    )
    share = dict(noon.group_by("status").agg(pl.col("played").mean()).rows())
    assert share["OUT"] == 0
    assert 0.40 < share["QUESTIONABLE"] < 0.60
    assert share["PROBABLE"] > 0.80
    assert share["DOUBTFUL"] < 0.25


def test_most_regular_absences_are_foretold_by_noon_and_some_come_late(league: League) -> None:
    by_team = league.player_games.sort("game_date").with_columns(
        m10=pl.col("minutes").rolling_mean(10, min_samples=5).over("player_id")
    )
    regulars = by_team.filter(pl.col("m10") >= 15)["player_id"].unique()
    final = _absences(league, lambda rows: rows).filter(
        (pl.col("status") == "OUT") & pl.col("player_id").is_in(regulars.to_list())
    )
    noon = _absences(
        league,
        lambda rows: rows.filter(
            _eastern("reported_at").dt.replace_time_zone(None) <= pl.col("game_date").dt.combine(time(12))
        ),
    ).filter(pl.col("status") == "OUT")
    foretold = final.join(noon, on=["game_id", "player_id"], how="semi").height / final.height
    assert 0.65 < foretold < 0.92


def test_who_plays_is_on_the_roster_known_that_day(league: League) -> None:
    snapshots = league.rosters.select("snapshot_date", "player_id", rostered="team").sort("snapshot_date")
    rows = league.player_games.select("game_date", "player_id", "team").sort("game_date")
    joined = rows.join_asof(
        snapshots, left_on="game_date", right_on="snapshot_date", by="player_id", check_sortedness=False
    )
    assert (joined["team"] == joined["rostered"]).all()
    sizes = league.rosters.group_by("snapshot_date", "team").len()["len"]
    assert set(sizes.unique()) <= set(SQUAD_SIZES)
    moved = league.player_games.group_by("player_id").agg(pl.col("team").n_unique())
    assert (moved["team"] > 1).sum() >= 4  # trades


def test_positions_cover_every_player(league: League) -> None:
    assert league.player_games.join(league.positions, on="player_id", how="anti").is_empty()
    assert set(league.positions["position"].unique()) == {"G", "G-F", "F", "F-C", "C"}


def test_players_are_invented_and_their_ids_beyond_every_real_one(league: League) -> None:
    assert league.player_games["player_id"].min() > 9_000_000  # type: ignore[operator]
    names = league.rosters.select("player_id", "player").unique()
    assert names["player"].is_unique().all()
    assert names["player_id"].is_unique().all()


@pytest.mark.parametrize(("clubs", "games"), [(4, 10), (6, 21), (30, 82), (32, 30)])
def test_any_even_number_of_teams_gives_a_complete_season(clubs: int, games: int) -> None:
    small = generate_league(LeagueConfig(seed=1, seasons=("2024-25",), teams=clubs, games_per_team=games, worlds=1))
    finals = small.schedule.filter(pl.col("status") == "final")
    assert finals.height == clubs * games // 2
    per_team = pl.concat([finals["home"], finals["away"]]).value_counts()["count"]
    assert set(per_team) == {games}
    assert small.team_games.height == 2 * finals.height
    homes = finals["home"].value_counts()["count"]
    assert set(homes) <= {games // 2, games // 2 + games % 2}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("teams", 5),
        ("teams", 2),
        ("games_per_team", 83),
        ("seasons", ()),
        ("seasons", ("2025",)),
        ("seed", -1),
    ],
)
def test_an_impossible_league_is_refused_by_field_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        LeagueConfig(**{field: value})  # type: ignore[arg-type]


def test_the_command_writes_a_folder_in_the_layout(tmp_path: Path) -> None:
    out = tmp_path / "league"
    command = [
        sys.executable,
        "-m",
        "tasks.sources.league",
        str(out),
        "--teams",
        "4",
        "--games-per-team",
        "10",
    ]
    done = subprocess.run([*command, "--seasons", "2025-26"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {str(p.relative_to(out)) for p in out.rglob("*.parquet")}
    assert found == {
        "schedule/schedule.parquet",
        "player_games/player_games_2025-26_regular.parquet",
        "team_games/team_games.parquet",
        "lines/points_lines.parquet",
        "rosters/rosters.parquet",
        "rosters/positions.parquet",
        "injuries/injuries.parquet",
        "truth/truth.parquet",
    }
    wrong = subprocess.run([*command, "--teams", "5"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
    assert "teams is 5" in wrong.stderr


def test_no_team_plays_three_days_running(league: League) -> None:
    finals = league.schedule.filter(pl.col("status") == "final")
    both = pl.concat([finals.select("game_date", team="home"), finals.select("game_date", team="away")])
    span = both.sort("team", "game_date").select(
        (pl.col("game_date") - pl.col("game_date").shift(2).over("team")).dt.total_days().alias("days")
    )["days"]
    assert (span.drop_nulls() <= 2).sum() == 0


def test_every_season_has_luck_of_its_own() -> None:
    config = LeagueConfig(seed=3, seasons=("2024-25", "2025-26"), teams=8, games_per_team=10, worlds=1)
    rows = generate_league(config).schedule.filter(pl.col("status") == "final")
    meetings = [sorted(rows.filter(pl.col("season") == s).select("home", "away").rows()) for s in config.seasons]
    assert meetings[0] != meetings[1]
