"""The situation of every player who may play in a coming game: rest, load, absence, injury status, line."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import is_played
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.lines import consensus, known
from tasks.sides import sides
from tasks.sources.base import APPEARED, ROSTER

MOST_MISSED = 9  # after ten games without an appearance a player is not expected, unless a roster names him
SITTING = ("OUT", "DOUBTFUL")

CONTRACT = Contract(
    table="upcoming_player_game_context",
    grain="a player who may play in a coming game",
    key=("game_id", "player_id"),
    columns=(
        Column("game_day", pl.Date),
        Column("game_id", pl.String),
        Column("season", pl.String),
        Column("season_type", pl.String),
        Column("tip_off", parsing.UTC_INSTANT, max_null=None),
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        Column("team_id", pl.Int64),
        Column("team", pl.String),
        Column("opponent_id", pl.Int64),
        Column("opponent", pl.String),
        Column("is_home", pl.Boolean),
        Column("known_by", pl.String, says="roster, appearance in the team's last ten games, or appeared (backtests)"),
        Column("games_missed", pl.Int64, "team games", "since he last played for the team", max_null=None, ge=0),
        Column("days_since_played", pl.Int64, "days", max_null=None, ge=1),
        Column("games_last_7_days", pl.Int64, "games", ge=0, le=6),
        Column("games_last_14_days", pl.Int64, "games", ge=0, le=11),
        Column("minutes_last_7_days", pl.Float64, "minutes", ge=0, le=350),
        Column("minutes_last_14_days", pl.Float64, "minutes", ge=0, le=650),
        Column("back_to_back", pl.Boolean, says="he played the day before"),
        Column("new_team", pl.Boolean, says="his last game was for another team", max_null=None),
        Column("new_season", pl.Boolean, says="his last game was in an earlier season", max_null=None),
        Column("status", pl.String, says="latest known report; null: no report about his team", max_null=None),
        Column("status_reported_at", parsing.UTC_INSTANT, max_null=None),
        Column(
            "teammates_out",
            pl.Int64,
            "players",
            "of his team's expected players, listed OUT or DOUBTFUL",
            ge=0,
        ),
        Column("line", pl.Float64, "points", "last known consensus", max_null=None, ge=0.5, le=80),
        Column("opening_line", pl.Float64, "points", "first known consensus", max_null=None, ge=0.5, le=80),
        Column("line_movement", pl.Float64, "points", "line - opening line", max_null=None, ge=-30, le=30),
        Column("line_books", pl.Int64, "books", max_null=None, ge=1),
        Column("line_over_probability", pl.Float64, "probability", "vig-free", max_null=None, ge=0, le=1),
        Column("line_snapshot_at", parsing.UTC_INSTANT, max_null=None),
        Column("line_snapshot_assumed", pl.Boolean, max_null=None),
    ),
)


def both_teams_of_every_game(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every team that plays."""
    return sides(inputs["schedule"].filter(is_played())).select("game_day", "game_id", "team_id")


@processor(
    phase=Phase.ANALYTICS,
    writes=CONTRACT,
    reads={
        "schedule": Read("schedule", Span.ON),
        "rosters": Read("rosters", Span.ON, optional=True),
        "injury_report": Read("injury_report", Span.ON, optional=True),
        "prop_lines": Read("prop_lines", Span.ON, optional=True),
        "player_game_summary": Read("player_game_summary", Span.BEFORE),
    },
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=both_teams_of_every_game,
    floor=0.5,
)
def upcoming_player_game_context(
    schedule: pl.DataFrame,
    rosters: pl.DataFrame,
    injury_report: pl.DataFrame,
    prop_lines: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per player and coming game, from facts known at the game day's as_of and games of earlier days."""
    coming = sides(schedule.filter(is_played()))
    appearances = player_game_summary.filter("played").sort("player_id", "game_day", "game_id")
    rows = _expected_players(coming, appearances, rosters.filter(pl.col("evidence") == ROSTER))
    rows = _with_stand_ins(rows, coming, rosters.filter(pl.col("evidence") == APPEARED))
    rows = _with_last_game(rows, appearances)
    rows = _with_load(rows, appearances)
    rows = _with_status(rows, injury_report, targets)
    return _with_lines(rows, known(prop_lines, targets))


def _expected_players(coming: pl.DataFrame, appearances: pl.DataFrame, rosters: pl.DataFrame) -> pl.DataFrame:
    """Who may play: rostered players, and those who appeared in one of the team's last ten games and nowhere since.

    Where the team has a roster newer than a player's last appearance, the roster has the last word.
    """
    appeared = _recently_appeared(coming, appearances)
    rostered = coming.join(
        rosters.select("game_day", "team_id", "player_id", "player_name", "snapshot_day"),
        on=["game_day", "team_id"],
    )
    elsewhere = rosters.select("game_day", "player_id", "snapshot_day", roster_team_id="team_id")
    covered = rosters.select("game_day", "team_id", team_snapshot_day="snapshot_day").unique(["game_day", "team_id"])
    appeared = (
        appeared.join(elsewhere, on=["game_day", "player_id"], how="left")
        .join(covered, on=["game_day", "team_id"], how="left")
        .filter(
            (pl.col("roster_team_id") == pl.col("team_id"))
            | pl.coalesce("snapshot_day", "team_snapshot_day").is_null()
            | (pl.coalesce("snapshot_day", "team_snapshot_day") <= pl.col("last_day"))
        )
        .select(*coming.columns, "player_id", "player_name", known_by=pl.lit("appearance"))
    )
    listed = rostered.select(*coming.columns, "player_id", "player_name", known_by=pl.lit("roster"))
    # A rostered player whose appearance for another team is newer than the roster plays there.
    both = pl.concat([appeared, listed]).unique(["game_day", "player_id"], keep="first", maintain_order=True)
    return both.sort("game_day", "game_id", "player_id")


def _with_stand_ins(rows: pl.DataFrame, coming: pl.DataFrame, appeared: pl.DataFrame) -> pl.DataFrame:
    """Backtests without rosters: who turned out to belong to a team. Nothing about his teammates is made of him."""
    belonged = coming.join(
        appeared.select("game_day", "team_id", "player_id", "player_name"), on=["game_day", "team_id"]
    )
    unknown = belonged.join(rows, on=["game_day", "team_id", "player_id"], how="anti")
    both = pl.concat([rows, unknown.select(*coming.columns, "player_id", "player_name", known_by=pl.lit(APPEARED))])
    # Expected at one team and playing for another: the appearance is right.
    return both.unique(["game_day", "player_id"], keep="last", maintain_order=True).sort(
        "game_day", "game_id", "player_id"
    )


def _recently_appeared(coming: pl.DataFrame, appearances: pl.DataFrame) -> pl.DataFrame:
    games = pl.concat(
        [
            appearances.select("team_id", "game_day", "game_id"),
            coming.select("team_id", "game_day", "game_id"),
        ]
    ).unique()
    numbered = games.sort("team_id", "game_day", "game_id").with_columns(number=pl.int_range(pl.len()).over("team_id"))
    wanted = coming.join(numbered, on=["team_id", "game_day", "game_id"])
    last = appearances.join(numbered, on=["team_id", "game_day", "game_id"], maintain_order="left").select(
        "player_id",
        "player_name",
        "team_id",
        "number",
        last_day="game_day",
        next_day=pl.col("game_day").shift(-1).over("player_id"),
    )
    steps = pl.DataFrame({"step": range(1, MOST_MISSED + 2)}, schema={"step": pl.Int64})
    reach = last.join(steps, how="cross").with_columns(number=pl.col("number") + pl.col("step"))
    return wanted.join(reach, on=["team_id", "number"]).filter(
        pl.col("next_day").is_null() | (pl.col("next_day") >= pl.col("game_day"))
    )


def _with_last_game(rows: pl.DataFrame, appearances: pl.DataFrame) -> pl.DataFrame:
    """Rest, games missed and whether team or season are new, from the player's last game before the game day."""
    games = appearances.select("team_id", "game_day", "game_id").unique().sort("team_id", "game_day", "game_id")
    played_by_then = games.select(
        "team_id", day="game_day", team_games=pl.int_range(1, pl.len() + 1).over("team_id")
    ).sort("day")
    last = appearances.select(
        "player_id", "game_day", last_day="game_day", last_team_id="team_id", last_season="season"
    ).sort("game_day")
    rows = rows.sort("game_day").join_asof(
        last, on="game_day", by="player_id", allow_exact_matches=False, check_sortedness=False
    )
    # Team games up to a day, that day included: the difference is what he missed.
    before = rows.with_columns(day=pl.col("game_day") - pl.duration(days=1)).join_asof(
        played_by_then, on="day", by="team_id", check_sortedness=False
    )
    at_last = before.sort("last_day", nulls_last=True).join_asof(
        played_by_then.rename({"day": "last_day", "team_games": "team_games_then"}),
        on="last_day",
        by="team_id",
        check_sortedness=False,
    )
    same_team = pl.col("last_team_id") == pl.col("team_id")
    return at_last.with_columns(
        games_missed=pl.when(same_team).then(pl.col("team_games") - pl.col("team_games_then")),
        days_since_played=(pl.col("game_day") - pl.col("last_day")).dt.total_days(),
        back_to_back=((pl.col("game_day") - pl.col("last_day")).dt.total_days() == 1).fill_null(value=False),
        new_team=~same_team,
        new_season=pl.col("last_season") != pl.col("season"),
    )


def _with_load(rows: pl.DataFrame, appearances: pl.DataFrame) -> pl.DataFrame:
    """Games and minutes in the 7 and 14 days before the game day, by differences of running totals."""
    totals = appearances.select(
        "player_id",
        day="game_day",
        games=pl.int_range(1, pl.len() + 1).over("player_id"),
        minutes=pl.col("minutes").cum_sum().over("player_id"),
    ).sort("day")
    for days in (0, 7, 14):
        rows = (
            rows.with_columns(day=pl.col("game_day") - pl.duration(days=days))
            .sort("day")
            .join_asof(
                totals.rename({"games": f"games_{days}", "minutes": f"minutes_{days}"}),
                on="day",
                by="player_id",
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .with_columns(pl.col(f"games_{days}").fill_null(0), pl.col(f"minutes_{days}").fill_null(0.0))
            .drop("day")
        )
    return rows.with_columns(
        (pl.col(f"{what}_0") - pl.col(f"{what}_{days}")).alias(f"{what}_last_{days}_days")
        for what in ("games", "minutes")
        for days in (7, 14)
    )


def _with_status(rows: pl.DataFrame, injury_report: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """The latest status reported by as_of. Who is not listed while his team has a report is AVAILABLE."""
    reports = injury_report.join(targets, on="game_day").filter(pl.col("reported_at") <= pl.col("as_of"))
    latest = reports.sort("reported_at").unique(["game_day", "player_id"], keep="last", maintain_order=True)
    status = latest.select("game_day", "player_id", listed="status", status_reported_at="reported_at")
    reported = reports.select("game_day", "team_id", _reported=pl.lit(value=True)).unique()
    rows = rows.join(status, on=["game_day", "player_id"], how="left").join(
        reported, on=["game_day", "team_id"], how="left"
    )
    sitting = pl.col("listed").is_in(SITTING).fill_null(value=False)
    return rows.with_columns(
        status=pl.coalesce("listed", pl.when("_reported").then(pl.lit("AVAILABLE"))),
        teammates_out=(sitting.sum().over("game_id", "team_id") - sitting.cast(pl.Int64)).cast(pl.Int64),
    )


def _with_lines(rows: pl.DataFrame, prop_lines: pl.DataFrame) -> pl.DataFrame:
    key = ["game_day", "game_id", "player_id"]
    opening = consensus(prop_lines, "opening").select(*key, opening_line="line")
    closing = consensus(prop_lines, "closing").select(
        *key,
        "line",
        line_books="books",
        line_over_probability="over_probability",
        line_snapshot_at="snapshot_at",
        line_snapshot_assumed="snapshot_assumed",
    )
    rows = rows.join(closing, on=key, how="left").join(opening, on=key, how="left")
    return rows.with_columns(line_movement=pl.col("line") - pl.col("opening_line"))
