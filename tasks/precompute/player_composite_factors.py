"""How tonight differs from a player's average: who plays and who does not on both teams, pace, match-up, fatigue."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract, Direction
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.precompute.lineup_splits import SPLIT_FEATURES, with_lineup_splits
from tasks.precompute.state import with_state
from tasks.sources.base import APPEARED

REGULAR_MINUTES = 15.0  # a regular: at least this many minutes on average over his last ten games
TEAM_MINUTES = 240.0
HOME_POINTS = 1.2  # half of the home team's usual margin
HOME_NET_RATING = 2.5
EXPECTED_DAYS_A_GAME = 2.0  # a team plays some 3.5 games a week
BIG = 2

# Share of players who appear, by team games missed in a row, without any report (regular seasons 2015-16 to 2020-21).
_APPEARS_REGULAR = {0: 0.93, 1: 0.48, 2: 0.31, 3: 0.24, 4: 0.18, 5: 0.14, 6: 0.14}
_APPEARS_OTHER = {0: 0.68, 1: 0.40, 2: 0.32, 3: 0.25, 4: 0.21, 5: 0.16, 6: 0.16}
_APPEARS_LATER = (0.09, 0.11)
# Share of players who appear by listed status, as the league's own wording puts it.
_APPEARS_LISTED = {"OUT": 0.0, "DOUBTFUL": 0.25, "QUESTIONABLE": 0.5, "PROBABLE": 0.9}

_MORE, _FEWER = Direction.MORE, Direction.FEWER


def _count(name: str, unit: str, says: str, direction: Direction = Direction.NEITHER) -> Column:
    return Column(name, pl.Float64, unit, says, max_null=None, ge=0, le=1000, direction=direction)


def _factor(name: str, unit: str, says: str, direction: Direction) -> Column:
    return Column(name, pl.Float64, unit, says, max_null=None, ge=-300, le=300, direction=direction)


CONTRACT = Contract(
    table="player_composite_factors",
    grain="a player who may play in a coming game",
    key=("game_id", "player_id"),
    columns=(
        Column("game_day", pl.Date),
        Column("game_id", pl.String),
        Column("player_id", pl.Int64),
        Column("team_id", pl.Int64),
        Column("availability", pl.Float64, "probability that he plays", ge=0, le=1, varies=True),
        _count("minutes_if_playing", "minutes", "before anybody's absence is counted", _MORE),
        _count("others_minutes", "minutes", "expected of his teammates", _FEWER),
        _count("others_plays", "plays used", "expected of his teammates", _FEWER),
        _count("others_points", "points", "expected of his teammates"),
        _count("others_role_minutes", "minutes", "expected of teammates of his role", _FEWER),
        _count("vacated_minutes", "minutes", "left by regulars who are not expected to play", _MORE),
        _count("vacated_plays", "plays used", "left by them", _MORE),
        _count("vacated_points", "points", "left by them", _MORE),
        _count("vacated_role_minutes", "minutes", "left by those of his role", _MORE),
        _count("vacated_assists", "assists", "left by them"),
        _count("newly_vacated_minutes", "minutes", "left by those who played the team's last game", _MORE),
        _count("newly_vacated_points", "points", "left by those who played the team's last game", _MORE),
        _count(
            "returning_minutes",
            "minutes",
            "of regulars who missed the last game and are expected back",
            _FEWER,
        ),
        _count("best_absent_points", "points", "average of the best scorer who is not expected", _MORE),
        _count("opponent_vacated_minutes", "minutes", "left by the opponent's absent regulars", _MORE),
        _count("opponent_vacated_points", "points", "left by them"),
        _count("opponent_vacated_big_minutes", "minutes", "left by its absent bigs", _MORE),
        _count("opponent_vacated_blocks", "blocks", "left by them", _MORE),
        _count("opponent_newly_vacated_minutes", "minutes", "left by those who played its last game", _MORE),
        _count("minutes_normalised", "minutes", "so that the team's expected minutes come to 240", _MORE),
        _factor("minutes_scale", "ratio", "240 over the team's expected minutes", _MORE),
        _factor("plays_relative", "ratio", "his plays per minute over his expected teammates'", _MORE),
        _count("points_normalised", "points", "normalised minutes x points per minute", _MORE),
        _count("points_share_normalised", "points", "his share of what his expected team should score", _MORE),
        _count("expected_rank", "teammates", "expected to play more minutes", _FEWER),
        _count("expected_pace", "possessions per 48", "mean of both teams", _MORE),
        _count("implied_team_points", "points", "from both teams' ratings, pace and home court", _MORE),
        _factor("net_rating_edge", "points per 100", "his team's net rating less the opponent's", _MORE),
        _factor("fatigue_factor", "share", "minutes of the last 7 days above his usual load", _FEWER),
        _factor("matchup_factor", "share", "what the opponent allows to his shot mix above the league", _MORE),
        _factor("pace_factor", "share", "expected pace above his team's usual", _MORE),
        _factor("usage_factor", "share", "vacated plays over those of the expected team", _MORE),
        *(_factor(name, unit, says, Direction.NEITHER) for name, (unit, says) in SPLIT_FEATURES.items()),
    ),
)


def every_context_player(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Whoever has a context must have factors."""
    return inputs["upcoming_player_game_context"].select("game_day", "game_id", "player_id")


_MEMORIES_OF_MINUTES = ("minutes_ewm_10", "minutes_ewm_03", "minutes_last_3")
_STATE = (
    *(*_MEMORIES_OF_MINUTES, "minutes_last_10", "minutes_season"),
    *("points_ewm_03", "points_per_minute_ewm_03", "points_per_minute_ewm_10", "plays_per_minute_ewm_03"),
)
_ZONES = ("role", "assists_rate", "blocks_rate", "two_share", "three_share", "free_throw_share")
_PAST = ("game_day", "game_id", "season", "team_id", "player_id", "played", "minutes", "points")


@processor(
    phase=Phase.PRECOMPUTE,
    writes=CONTRACT,
    reads={
        "upcoming_player_game_context": Read("upcoming_player_game_context", Span.ON),
        "upcoming_team_game_context": Read("upcoming_team_game_context", Span.ON, optional=True),
        "player_daily_cache": Read("player_daily_cache", Span.BEFORE),
        "player_game_summary": Read("player_game_summary", Span.BEFORE, columns=_PAST),
        "player_shot_zone_analysis": Read("player_shot_zone_analysis", Span.BEFORE, optional=True),
        "team_defense_zone_analysis": Read("team_defense_zone_analysis", Span.BEFORE, optional=True),
    },
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    expects=every_context_player,
)
def player_composite_factors(
    upcoming_player_game_context: pl.DataFrame,
    upcoming_team_game_context: pl.DataFrame,
    player_daily_cache: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    player_shot_zone_analysis: pl.DataFrame,
    team_defense_zone_analysis: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per player and coming game. Every sum over a team leaves the player himself out."""
    rows = with_state(upcoming_player_game_context, player_daily_cache, "player_id", _STATE)
    rows = with_state(rows, player_shot_zone_analysis, "player_id", _ZONES)
    rows = _with_team_factors(rows, upcoming_team_game_context)
    rows = _with_lineup(rows.with_columns(availability=_availability(), minutes_if_playing=_base_minutes()))
    rows = with_lineup_splits(rows, _expected_of(rows, player_game_summary, player_daily_cache))
    return _with_named_factors(rows, team_defense_zone_analysis)


def _expected_of(rows: pl.DataFrame, games: pl.DataFrame, state: pl.DataFrame) -> pl.DataFrame:
    """The games so far of the teams' seasons, a row per player, with the minutes and rate expected of him then."""
    seasons = rows.select("team_id", "season").unique()
    played = games.filter("played").join(seasons, on=["team_id", "season"], how="semi")
    known = with_state(played, state, "player_id", (*_MEMORIES_OF_MINUTES, "points_per_minute_ewm_03"))
    return known.with_columns(minutes_if_playing=_base_minutes())


def _availability() -> pl.Expr:
    """Probability that a player appears: from his status where his team has a report, else from games missed."""
    missed, regular = pl.col("games_missed"), pl.col("minutes_last_10") >= REGULAR_MINUTES
    prior = (
        pl.when(regular)
        .then(missed.replace_strict(_APPEARS_REGULAR, default=_APPEARS_LATER[0], return_dtype=pl.Float64))
        .otherwise(missed.replace_strict(_APPEARS_OTHER, default=_APPEARS_LATER[1], return_dtype=pl.Float64))
    )
    listed = pl.col("status").replace_strict(_APPEARS_LISTED, default=None, return_dtype=pl.Float64)
    # Not listed although his team has a report: a regular plays; the bench is up to the coach.
    unlisted = pl.when((pl.col("status") == "AVAILABLE") & regular).then(1.0)
    # Who is known only because he appeared tells his team nothing beforehand.
    return pl.when(pl.col("known_by") == APPEARED).then(0.0).otherwise(pl.coalesce(listed, unlisted, prior))


def _base_minutes() -> pl.Expr:
    return 0.5 * pl.col("minutes_ewm_10") + 0.3 * pl.col("minutes_last_3") + 0.2 * pl.col("minutes_ewm_03")


def _with_team_factors(rows: pl.DataFrame, teams: pl.DataFrame) -> pl.DataFrame:
    form = teams.select("game_id", "team_id", "recent_offensive_rating", "recent_defensive_rating", "recent_pace")
    opponent = form.rename({name: f"opponent_{name}" for name in form.columns if name.startswith("recent")})
    rows = rows.join(form, on=["game_id", "team_id"], how="left").join(
        opponent.rename({"team_id": "opponent_id"}), on=["game_id", "opponent_id"], how="left"
    )
    pace = (pl.col("recent_pace") + pl.col("opponent_recent_pace")) / 2
    rating = (pl.col("recent_offensive_rating") + pl.col("opponent_recent_defensive_rating")) / 2
    net = pl.col("recent_offensive_rating") - pl.col("recent_defensive_rating")
    opponent_net = pl.col("opponent_recent_offensive_rating") - pl.col("opponent_recent_defensive_rating")
    side = pl.when("is_home").then(1.0).otherwise(-1.0)
    return rows.with_columns(
        expected_pace=pace,
        implied_team_points=rating * pace / 100 + HOME_POINTS * side,
        net_rating_edge=net - opponent_net + HOME_NET_RATING * side,
        pace_factor=pace / pl.col("recent_pace") - 1,
    )


def _with_lineup(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums over teammates of what is expected of them and of what the absent leave behind."""
    team, role = ["game_id", "team_id"], ["game_id", "team_id", "role"]
    base = pl.col("minutes_if_playing").fill_null(0.0)
    plays, points = (
        pl.col("plays_per_minute_ewm_03").fill_null(0.0),
        pl.col("points_per_minute_ewm_03").fill_null(0.0),
    )
    candidate = pl.col("known_by") != APPEARED
    regular = (candidate & (pl.col("minutes_last_10") >= REGULAR_MINUTES)).fill_null(value=False).cast(pl.Float64)
    just_played = (pl.col("games_missed") == 0).fill_null(value=False).cast(pl.Float64)
    expected = pl.col("availability") * base
    gone = (1 - pl.col("availability")) * regular * base
    back = pl.col("availability") * regular * (1 - just_played) * base

    def others(amount: pl.Expr, over: list[str] = team) -> pl.Expr:
        # Rounding can leave a hair below nought where a player is his team's only contributor.
        return (amount.sum().over(over) - amount).clip(lower_bound=0.0)

    rows = rows.with_columns(
        others_minutes=others(expected),
        others_plays=others(expected * plays),
        others_points=others(expected * points),
        others_role_minutes=others(expected, role),
        vacated_minutes=others(gone),
        vacated_plays=others(gone * plays),
        vacated_points=others(gone * points),
        vacated_role_minutes=others(gone, role),
        vacated_assists=others(gone * pl.col("assists_rate").fill_null(0.0)),
        newly_vacated_minutes=others(gone * just_played),
        newly_vacated_points=others(gone * just_played * points),
        returning_minutes=others(back),
        best_absent_points=((1 - pl.col("availability")) * regular * pl.col("points_ewm_03")).max().over(team),
    )
    rows = rows.join(_left_behind(rows, gone, just_played, points), on=["game_id", "opponent_id"], how="left")
    whole = pl.col("others_minutes") + pl.col("minutes_if_playing")
    used = pl.col("others_plays") + pl.col("plays_per_minute_ewm_03") * pl.col("minutes_if_playing")
    own_points = pl.col("minutes_if_playing") * pl.col("points_per_minute_ewm_03")
    normalised = pl.col("minutes_if_playing") * TEAM_MINUTES / whole
    ahead = expected.is_not_null() & pl.col("minutes_if_playing").is_not_null()
    # Those expected to play more than he does, each weighted by the probability that he plays at all.
    rank = pl.when(ahead).then("availability").otherwise(0.0)
    rows = rows.sort(
        [*team, "minutes_if_playing", "player_id"], descending=[False, False, True, False], nulls_last=True
    )
    return rows.with_columns(
        minutes_normalised=normalised,
        minutes_scale=TEAM_MINUTES / whole,
        plays_relative=pl.when(used > 0).then(pl.col("plays_per_minute_ewm_03") * whole / used),
        points_normalised=normalised * pl.col("points_per_minute_ewm_10"),
        points_share_normalised=pl.col("implied_team_points")
        * pl.when(pl.col("others_points") + own_points > 0).then(own_points / (pl.col("others_points") + own_points)),
        expected_rank=(rank.cum_sum().over(team) - rank).clip(lower_bound=0.0),
        usage_factor=pl.when(used > 0).then(pl.col("vacated_plays") / used),
    )


def _left_behind(rows: pl.DataFrame, gone: pl.Expr, just_played: pl.Expr, points: pl.Expr) -> pl.DataFrame:
    """What each team's absent regulars leave, seen from the team that plays against it."""
    big = (pl.col("role") == BIG).fill_null(value=False).cast(pl.Float64)
    return rows.group_by("game_id", pl.col("team_id").alias("opponent_id")).agg(
        opponent_vacated_minutes=gone.sum(),
        opponent_vacated_points=(gone * points).sum(),
        opponent_vacated_big_minutes=(gone * big).sum(),
        opponent_vacated_blocks=(gone * pl.col("blocks_rate").fill_null(0.0)).sum(),
        opponent_newly_vacated_minutes=(gone * just_played).sum(),
    )


def _with_named_factors(rows: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    kinds = ("two", "three", "free_throw")
    defence = zones.rename({"team_id": "opponent_id"})
    rows = with_state(rows, defence, "opponent_id", [f"{kind}_allowance" for kind in kinds])
    usual_week = pl.col("minutes_season") * 7 / EXPECTED_DAYS_A_GAME
    load = pl.when(usual_week > 0).then(pl.col("minutes_last_7_days") / usual_week - 1)
    return rows.with_columns(
        fatigue_factor=load,
        matchup_factor=sum((pl.col(f"{kind}_share") * pl.col(f"{kind}_allowance") for kind in kinds), pl.lit(0.0)),
    )
