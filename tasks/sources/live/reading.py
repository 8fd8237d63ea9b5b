"""A landed live payload read back: each answer by its site's reader, beside the history, cut to what was asked."""

from __future__ import annotations

import datetime as dt

import polars as pl

from blocks.warehouse import DayRange
from tasks.sources.base import FILE, ROW, Kind
from tasks.sources.live import balldontlie, directory, espn_rosters, injury_report, nba_box_scores, nba_schedule
from tasks.sources.live import odds_api as odds
from tasks.sources.live.bundle import Bundle
from tasks.sources.tabular import known_rows

# The tables of ours that a bundle may hold.
HISTORY, GAMES, PLAYERS, ALIASES = "history", "games", "players", "aliases"
# What comes from the history up to its last result and from the sites after it.
PARTED = (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)


def rows_of(bundle: Bundle, file: str) -> pl.DataFrame:
    """The rows of a bundle as found, with what was known at its as_of of its days and nothing else."""
    history = bundle.frames.get(HISTORY)
    if not bundle.responses:
        return history if history is not None else pl.DataFrame()
    live = site_rows(bundle, file)
    days = _after(bundle) if bundle.kind in PARTED else bundle.days
    parts = [known_rows(bundle.kind, live.lazy(), days, bundle.as_of).collect()]
    if history is not None:
        if bundle.kind == Kind.SCHEDULE:
            # A game that has moved since to a later day stands there, and not where the history had it.
            moved = live.filter(pl.col("game_date") > str(bundle.live_after))["game_id"].to_list()
            history = history.filter(~pl.col("game_id").cast(pl.String).is_in(moved))
        parts.insert(0, history)
    return pl.concat([_as_text(part) for part in parts], how="diagonal")


def site_rows(bundle: Bundle, file: str) -> pl.DataFrame:
    """The rows of every answer in a bundle, as found."""
    named = list(bundle.named(file))
    players = bundle.frames.get(PLAYERS, directory.SCHEMA.to_frame())
    aliases = dict(bundle.frames[ALIASES].iter_rows()) if ALIASES in bundle.frames else {}
    match bundle.kind:
        case Kind.SCHEDULE:
            return pl.concat(nba_schedule.rows(response, name) for name, response in named)
        case Kind.PLAYER_BOX_SCORES | Kind.TEAM_BOX_SCORES:
            return _box_scores(bundle, file, players, aliases)
        case Kind.ROSTERS:
            return espn_rosters.rows(named, players, aliases)
        case Kind.INJURY_REPORT:
            return pl.concat(injury_report.rows(response, players, aliases, name) for name, response in named)
        case Kind.PROP_LINES:
            lines = pl.concat(odds.rows(response, name) for name, response in named)
            # A number that has not moved between two fetches is one number.
            said = [name for name in lines.columns if name not in (FILE, ROW)]
            return lines.unique(said, keep="first", maintain_order=True).with_columns(pl.col("player").replace(aliases))
    raise AssertionError(bundle.kind)


def _box_scores(bundle: Bundle, file: str, players: pl.DataFrame, aliases: dict[str, str]) -> pl.DataFrame:
    """NBA's rows, and the second source's of the games that NBA's lack."""
    nba, second = split_box_scores(bundle, file, players, aliases)
    return pl.concat([nba, second.join(nba, on="game_id", how="anti", maintain_order="left")], how="diagonal")


def split_box_scores(
    bundle: Bundle, file: str, players: pl.DataFrame, aliases: dict[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of the two sources of box scores, each as found."""
    games, kind = bundle.frames[GAMES], bundle.kind
    empty = pl.DataFrame(
        schema={**dict.fromkeys(nba_box_scores.COLUMNS[kind], pl.String), ROW: pl.Int64, FILE: pl.String}
    )
    nba, second = [empty], [empty]
    for name, response in bundle.named(file):
        if response.site == balldontlie.SITE:
            second.append(balldontlie.rows(response, kind, games, players, aliases, name))
        else:
            nba.append(nba_box_scores.rows(response, kind, games, name))
    return pl.concat(nba, how="diagonal"), pl.concat(second, how="diagonal")


def _after(bundle: Bundle) -> DayRange:
    """The bundle's days after the history's last result."""
    first = bundle.days.first
    if bundle.live_after is not None:
        after = bundle.live_after + dt.timedelta(days=1)
        first = after if first is None else max(first, after)
    return DayRange(first, bundle.days.last)


def _as_text(table: pl.DataFrame) -> pl.DataFrame:
    """Values as text, the form in which sites and CSV files give them; row numbers stay numbers."""

    def text(name: str, dtype: pl.DataType) -> pl.Expr:
        values = pl.col(name)
        if isinstance(dtype, pl.Datetime):
            utc = values.dt.convert_time_zone("UTC") if dtype.time_zone else values
            return utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        return values.cast(pl.Int64 if name == ROW else pl.String)

    return table.select(text(name, dtype).alias(name) for name, dtype in table.schema.items())
