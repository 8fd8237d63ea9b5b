"""The feature store: every feature of every player in a coming game, each defined once in the table it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from tasks.analytics import upcoming_player_game_context as context
from tasks.analytics import upcoming_team_game_context as team_context
from tasks.engine.contracts import Column, Contract, Direction
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.precompute import player_composite_factors as factors
from tasks.precompute import player_daily_cache as cache
from tasks.precompute import player_shot_zone_analysis as zones
from tasks.precompute import team_defense_zone_analysis as defence
from tasks.precompute.state import with_state

FEATURE_SET_VERSION = 3
ELIGIBLE_GAMES = 5
ELIGIBLE_MINUTES = 10.0
SITTING = context.SITTING
VERSUS_GAMES = 10

_IDENTITY = (
    *("game_day", "game_id", "season", "season_type", "tip_off", "player_id", "player_name"),
    *("team_id", "team", "opponent_id", "opponent"),
)
_FACTS = (
    "status",
    "status_reported_at",
    "line_snapshot_at",
    "line_snapshot_assumed",
    "line_books",
    "known_by",
)
# Features by the table that defines them.
CONTEXT_FEATURES = (
    *(
        "is_home",
        "back_to_back",
        "games_missed",
        "days_since_played",
        "games_last_7_days",
        "games_last_14_days",
    ),
    *("minutes_last_7_days", "minutes_last_14_days", "new_team", "new_season", "teammates_out"),
    *("line", "opening_line", "line_movement", "line_over_probability"),
)
TEAM_FEATURES = (
    *("team_game_number", "team_rest_days", "team_games_last_7_days", "streak", "starters_out"),
    *("recent_offensive_rating", "recent_defensive_rating", "recent_pace"),
)
OPPONENT_TEAM_FEATURES = (
    "team_rest_days",
    "recent_offensive_rating",
    "recent_defensive_rating",
    "recent_pace",
)
_KEYS = ("game_day", "game_id", "player_id", "team_id")
CACHE_FEATURES = tuple(name for name in cache.CONTRACT.names if name not in _KEYS)
POPULATION_COLUMNS = ("games_regular_season", "minutes_last_10_regular_season")
ZONE_FEATURES = tuple(name for name in zones.CONTRACT.names if name not in _KEYS)
DEFENCE_FEATURES = tuple(name for name in defence.CONTRACT.names if name not in _KEYS)
FACTOR_FEATURES = tuple(name for name in factors.CONTRACT.names if name not in _KEYS)
OWN_FEATURES = (
    Column("playoff_game", pl.Boolean, direction=Direction.NEITHER),
    Column("season_share", pl.Float64, "share", "of the team's games this season that he played", None, 0, 1.5),
    Column("points_versus_opponent", pl.Float64, "points", "mean of his last ten against this team", None, 0, 120),
    Column("games_versus_opponent", pl.Float64, "games", "of those", None, 0, VERSUS_GAMES),
    Column("role_allowance", pl.Float64, "share above expectation", "of the opponent to his role", None, -1, 5),
)


def _as_feature(column: Column, table: str, prefix: str = "") -> Column:
    """A feature's column: as its table defines it, but free to be null, which the quality score then counts."""
    return Column(
        f"{prefix}{column.name}", column.dtype, column.unit, f"{table}: {column.says}", None, column.ge, column.le,
        column.direction,
    )  # fmt: skip


def _feature_columns() -> Iterator[Column]:
    rooms = (
        (context.CONTRACT, CONTEXT_FEATURES, ""),
        (team_context.CONTRACT, TEAM_FEATURES, ""),
        (team_context.CONTRACT, OPPONENT_TEAM_FEATURES, "opponent_"),
        (cache.CONTRACT, CACHE_FEATURES, ""),
        (zones.CONTRACT, ZONE_FEATURES, ""),
        (defence.CONTRACT, DEFENCE_FEATURES, "opponent_"),
        (factors.CONTRACT, FACTOR_FEATURES, ""),
    )
    for contract, names, prefix in rooms:
        for name in names:
            yield _as_feature(contract[name], contract.table, prefix)
    yield from OWN_FEATURES


FEATURES: tuple[Column, ...] = tuple(_feature_columns())
FEATURE_NAMES: tuple[str, ...] = tuple(column.name for column in FEATURES)
REQUIRED_FEATURES = ("points_last_10", "minutes_last_10", "points_ewm_10", "minutes_ewm_10", "games")

# Points of the quality score (0-100) that a group of inputs is worth where it is there.
QUALITY: dict[str, int] = {
    "own_state": 50,
    "shot_mix": 10,
    "team_form": 10,
    "defence": 10,
    "report": 10,
    "lines": 10,
}

CONTRACT = Contract(
    table="ml_feature_store",
    grain="a player who may play in a coming game",
    key=("game_id", "player_id"),
    version=FEATURE_SET_VERSION,
    columns=(
        *(
            Column(name, context.CONTRACT[name].dtype, max_null=context.CONTRACT[name].max_null)
            for name in (*_IDENTITY, *_FACTS)
        ),
        *FEATURES,
        Column("feature_quality", pl.Float64, "0-100", "by input groups that are there", ge=0, le=100),
        Column("eligible", pl.Boolean, says="to be predicted: enough history, not OUT or DOUBTFUL"),
        Column("ineligible_because", pl.String, max_null=None),
    ),
)


def of_population() -> pl.Expr:
    """Whether a player's past puts him in the population that accuracy is stated for, should he play.

    Told by regular seasons alone, as published figures are: in the shorter rotations of playoffs he may sit.
    """
    enough = (pl.col("games_regular_season") >= ELIGIBLE_GAMES) & (
        pl.col("minutes_last_10_regular_season") >= ELIGIBLE_MINUTES
    )
    return enough.fill_null(value=False)


def every_context_player(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Whoever has a context must have features."""
    return inputs["upcoming_player_game_context"].select("game_day", "game_id", "player_id")


@processor(
    phase=Phase.PRECOMPUTE,
    writes=CONTRACT,
    reads={
        "upcoming_player_game_context": Read("upcoming_player_game_context", Span.ON),
        "upcoming_team_game_context": Read("upcoming_team_game_context", Span.ON, optional=True),
        "player_composite_factors": Read("player_composite_factors", Span.ON, optional=True),
        "player_daily_cache": Read("player_daily_cache", Span.BEFORE),
        "player_shot_zone_analysis": Read("player_shot_zone_analysis", Span.BEFORE, optional=True),
        "team_defense_zone_analysis": Read("team_defense_zone_analysis", Span.BEFORE, optional=True),
        "player_game_summary": Read("player_game_summary", Span.BEFORE),
    },
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=every_context_player,
    floor=0.95,
)
def ml_feature_store(
    upcoming_player_game_context: pl.DataFrame,
    upcoming_team_game_context: pl.DataFrame,
    player_composite_factors: pl.DataFrame,
    player_daily_cache: pl.DataFrame,
    player_shot_zone_analysis: pl.DataFrame,
    team_defense_zone_analysis: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per player and coming game. A missing input leaves nulls and a lower quality score, never a default."""
    rows = upcoming_player_game_context.select(*_IDENTITY, *_FACTS, *CONTEXT_FEATURES)
    rows = with_state(rows, player_daily_cache, "player_id", CACHE_FEATURES)
    rows = with_state(rows, player_shot_zone_analysis, "player_id", ZONE_FEATURES)
    rows = with_state(rows, _prefixed(team_defense_zone_analysis), "opponent_id", _PREFIXED_DEFENCE)
    rows = _with_teams(rows, upcoming_team_game_context)
    rows = rows.join(
        player_composite_factors.select("game_id", "player_id", *FACTOR_FEATURES),
        on=["game_id", "player_id"],
        how="left",
    )
    rows = _with_own_features(_with_versus(rows, player_game_summary))
    rows = rows.with_columns(_quality(), ineligible_because=_ineligible())
    return rows.with_columns(eligible=pl.col("ineligible_because").is_null())


_PREFIXED_DEFENCE = tuple(f"opponent_{name}" for name in DEFENCE_FEATURES)


def _prefixed(zones_of_teams: pl.DataFrame) -> pl.DataFrame:
    return zones_of_teams.rename({"team_id": "opponent_id"} | {name: f"opponent_{name}" for name in DEFENCE_FEATURES})


def _with_teams(rows: pl.DataFrame, teams: pl.DataFrame) -> pl.DataFrame:
    own = teams.select("game_id", "team_id", *TEAM_FEATURES)
    opponent = teams.select(
        "game_id", opponent_id="team_id", **{f"opponent_{name}": name for name in OPPONENT_TEAM_FEATURES}
    )
    return rows.join(own, on=["game_id", "team_id"], how="left").join(
        opponent, on=["game_id", "opponent_id"], how="left"
    )


def _with_versus(rows: pl.DataFrame, games: pl.DataFrame) -> pl.DataFrame:
    """His mean points over the last ten games against tonight's opponent, and their number."""
    played = games.filter("played").sort("player_id", "opponent_id", "game_day")
    over = ["player_id", "opponent_id"]
    versus = played.select(
        "game_day",
        *over,
        points_versus_opponent=pl.col("points").cast(pl.Float64).rolling_mean(VERSUS_GAMES, min_samples=1).over(over),
        games_versus_opponent=pl.int_range(1, pl.len() + 1).over(over).clip(upper_bound=VERSUS_GAMES).cast(pl.Float64),
    ).sort("game_day")
    joined = rows.sort("game_day").join_asof(
        versus, on="game_day", by=over, allow_exact_matches=False, check_sortedness=False
    )
    return joined.with_columns(pl.col("games_versus_opponent").fill_null(0.0))


def _with_own_features(rows: pl.DataFrame) -> pl.DataFrame:
    by_role = [f"opponent_{name}_allowance" for name in defence.ROLE_NAMES]
    return rows.with_columns(
        playoff_game=pl.col("season_type") == "playoffs",
        season_share=pl.when(~pl.col("new_season") & (pl.col("team_game_number") > 1))
        .then(pl.col("games_season") / (pl.col("team_game_number") - 1))
        .clip(upper_bound=1.5),
        role_allowance=pl.coalesce(
            pl.when(pl.col("role") == role).then(pl.col(name))
            for role, name in zip(defence.ROLES, by_role, strict=True)
        ),
    )


def _quality() -> pl.Expr:
    """The sum of the points of the input groups that are there for a row."""
    present = {
        "own_state": pl.all_horizontal(pl.col(name).is_not_null() for name in REQUIRED_FEATURES),
        "shot_mix": pl.col("role").is_not_null(),
        "team_form": pl.col("recent_pace").is_not_null() & pl.col("opponent_recent_pace").is_not_null(),
        "defence": pl.col("opponent_two_allowance").is_not_null(),
        "report": pl.col("status").is_not_null(),
        # Books quote some of a game's players: a game without any line is what is wrong, not a player without one.
        "lines": pl.col("line").is_not_null().any().over("game_id"),
    }
    points = [pl.when(there).then(QUALITY[group]).otherwise(0) for group, there in present.items()]
    return pl.sum_horizontal(points).cast(pl.Float64).alias("feature_quality")


def _ineligible() -> pl.Expr:
    """Why a player is not predicted, or null where he is."""
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in REQUIRED_FEATURES)
    return (
        pl.when(lacking)
        .then(pl.lit("no earlier game is known"))
        .when(pl.col("games") < ELIGIBLE_GAMES)
        .then(pl.lit(f"fewer than {ELIGIBLE_GAMES} earlier games"))
        .when(pl.max_horizontal("minutes_last_10", "minutes_last_10_regular_season") < ELIGIBLE_MINUTES)
        .then(pl.lit(f"under {ELIGIBLE_MINUTES:g} minutes on average over his last 10 games"))
        .when(pl.col("status").is_in(SITTING))
        .then(pl.lit("listed ") + pl.col("status"))
    )
