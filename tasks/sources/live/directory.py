"""Who is who for sources without NBA ids: the player index, and where it cannot be had those of the history."""

from __future__ import annotations

import polars as pl
from nba_api.stats.endpoints import PlayerIndex

from tasks.identity import resolve_on_teams, team_code
from tasks.sources.live.nba_stats import ask_stats, table_rows
from tasks.sources.live.web import NotData, Response, Web

LABEL = "NBA player index"
# Where more of a source's names than this lead to nobody, the source or the directory is not what it should be.
LEAST_RESOLVED = 0.85
SHOWN_NAMES = 12
SCHEMA = pl.Schema({"player_id": pl.Int64(), "player_name": pl.String(), "team": pl.String()})
_COLUMNS = {
    "player_id": "PERSON_ID",
    "first": "PLAYER_FIRST_NAME",
    "last": "PLAYER_LAST_NAME",
    "team": "TEAM_ABBREVIATION",
}


def fetch(web: Web, season: str) -> Response:
    """The player index of a season. Raises NotData for one without players."""
    response = ask_stats(web, PlayerIndex(season=season, get_request=False), f"{LABEL} {season}")
    if indexed(response).is_empty():
        raise NotData(f"{response.label}: not one player in it")
    return response


def indexed(response: Response) -> pl.DataFrame:
    """The index as a directory: player_id, player_name, team. Entries without an id or a name are left out."""
    rows = pl.DataFrame(
        table_rows(response, "PlayerIndex", _COLUMNS, "_"), schema=dict.fromkeys((*_COLUMNS, "_"), pl.String)
    )
    return rows.select(
        pl.col("player_id").cast(pl.Int64, strict=False),
        player_name=pl.concat_str("first", "last", separator=" ", ignore_nulls=True).str.strip_chars(),
        team=team_code(pl.col("team")),
    ).filter(pl.col("player_id").is_not_null() & (pl.col("player_name") != ""))


def known_players(index: Response | None, history: pl.DataFrame) -> pl.DataFrame:
    """The index first, then whoever only the history knows, under the team that each was last seen with."""
    parts = [history.select(SCHEMA.names()).cast(SCHEMA)]
    if index is not None:
        parts.insert(0, indexed(index))
    return pl.concat(parts).unique("player_id", keep="first", maintain_order=True)


def with_ids(found: pl.DataFrame, players: pl.DataFrame, name: str, aliases: dict[str, str]) -> pl.DataFrame:
    """`found` with `player_id`: NBA's where the name in column `name` leads to exactly one player, first of that team.

    Where it does not, the name and the team stand in its place, and phase 2 refuses the row by them: nobody is guessed.
    """
    named = found.select(player=pl.col(name).replace(aliases), team=team_code(pl.col("team")))
    resolved = resolve_on_teams(named, players)
    unresolved = pl.format("{} ({})", pl.col(name).fill_null("no name"), pl.col("team").fill_null("no team"))
    return found.with_columns(resolved["player_id"].cast(pl.String).alias("player_id")).with_columns(
        player_id=pl.coalesce("player_id", unresolved)
    )


def coverage(found: pl.DataFrame, label: str) -> list[str]:
    """A note on the names that lead to nobody. Raises NotData where they are too many to go on."""
    names = found.select("player_id", known=pl.col("player_id").cast(pl.Int64, strict=False).is_not_null()).unique(
        maintain_order=True
    )
    unresolved = names.filter(~pl.col("known"))["player_id"].sort()
    if unresolved.is_empty():
        return []
    shown = ", ".join(unresolved.head(SHOWN_NAMES)) + (", ..." if unresolved.len() > SHOWN_NAMES else "")
    text = f"{label}: {unresolved.len()} of {names.height} names lead to no NBA player: {shown}"
    if names.height - unresolved.len() < LEAST_RESOLVED * names.height:
        raise NotData(f"{text}; at least {LEAST_RESOLVED:.0%} must")
    return [text]
