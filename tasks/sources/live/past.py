"""Past seasons from NBA's statistics into a folder in the layout of docs/data.md, resumable.

What was downloaded is kept beside the tables, exactly as it came, so that an interrupted download goes on where it
stopped and the tables can be made anew without asking again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from blocks.partition import write_durably
from blocks.warehouse import DayRange
from tasks.engine.plan import EASTERN
from tasks.sources.base import FILE, ROW, SURPLUS, Kind, SourceError
from tasks.sources.live import nba_box_scores, nba_schedule
from tasks.sources.live.bundle import SUFFIX, Bundle
from tasks.sources.live.reading import GAMES, site_rows
from tasks.sources.live.source import GAME_COLUMNS
from tasks.sources.live.web import Web

DOWNLOADED = "downloaded"
TABLES = {
    Kind.SCHEDULE: "schedule/schedule",
    Kind.PLAYER_BOX_SCORES: "player_games/player_games",
    Kind.TEAM_BOX_SCORES: "team_games/team_games",
}
Say = Callable[[str, str, str], None]


@dataclass(frozen=True)
class SeasonSummary:
    """What came of one season: games on its schedule, finished ones, rows, and what is not as it should be."""

    season: str
    games: int
    finished: int
    player_rows: int
    team_rows: int
    notes: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every finished game is there."""
        return not self.notes


def download(web: Web, season: str, folder: Path, say: Say) -> SeasonSummary:
    """One season's schedule and box scores into `folder`. Raises SourceError; what came before it stays."""
    schedule = _kept(web, season, Kind.SCHEDULE, folder, None, say)
    games = schedule.filter(pl.col("home_pts").is_not_null()).select(GAME_COLUMNS).unique("game_id", keep="first")
    games = games.sort("game_date", "game_id")
    tables, notes = {Kind.SCHEDULE: schedule}, []
    for kind in (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES):
        tables[kind] = _kept(web, season, kind, folder, games, say)
        missing = games.filter(~pl.col("game_id").is_in(tables[kind]["game_id"].to_list()))["game_id"]
        if missing.len():
            what = kind.replace("_", " ")
            notes.append(f"{what}: {missing.len()} of {games.height} finished games are missing: {', '.join(missing)}")
    for kind, table in tables.items():
        out_of_step = table.filter(pl.col(SURPLUS).is_not_null()).height if SURPLUS in table.columns else 0
        if out_of_step:
            notes.append(f"{kind.replace('_', ' ')}: {out_of_step} rows out of step with their header are left out")
        _write(table, folder / f"{TABLES[kind]}_{season}.csv")
    return SeasonSummary(
        season,
        schedule.height,
        games.height,
        tables[Kind.PLAYER_BOX_SCORES].height,
        tables[Kind.TEAM_BOX_SCORES].height,
        tuple(notes),
    )


def _kept(web: Web, season: str, kind: Kind, folder: Path, games: pl.DataFrame | None, say: Say) -> pl.DataFrame:
    """The season's table of one kind: what was downloaded before where that is all there will be, else anew."""
    path = folder / DOWNLOADED / season / f"{kind}.{SUFFIX}"
    what = f"{season} {kind.replace('_', ' ')}"
    if path.exists():
        try:
            bundle = Bundle.from_bytes(path.read_bytes(), path.name)
            table = site_rows(bundle, path.name)
        except SourceError as error:
            say(what, "damaged", f"{error}: downloaded anew")
        else:
            if _is_all(bundle, table, games):
                say(what, "kept", f"{table.height:,} rows downloaded before")
                return table
    now = web.clock.now()
    if games is None:
        response = nba_schedule.fetch(web, season)
        responses, notes, frames = [response], nba_schedule.notes(response), {}
    else:
        responses, notes = nba_box_scores.fetch(web, games, kind)
        frames = {GAMES: games}
    bundle = Bundle(kind, DayRange(), now, None, tuple(responses), frames)
    table = site_rows(bundle, path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, bundle.to_bytes())
    say(what, "downloaded", f"{table.height:,} rows in {len(responses)} calls")
    for note in notes:
        say(what, "noted", note)
    return table


def _is_all(bundle: Bundle, table: pl.DataFrame, games: pl.DataFrame | None) -> bool:
    """Whether nothing can come any more: of a schedule that no game is ahead, of box scores that no game is missing."""
    if games is not None:
        return set(games["game_id"]) <= set(table["game_id"])
    taken = bundle.as_of.astimezone(EASTERN).date()
    days = table["game_date"].str.to_date(strict=False)
    last = days.max()
    return isinstance(last, dt.date) and last + dt.timedelta(days=1) < taken


def _write(table: pl.DataFrame, path: Path) -> None:
    """As CSV, which keeps every value as it came; a reader judges each one."""
    if SURPLUS in table.columns:
        table = table.filter(pl.col(SURPLUS).is_null())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, table.drop(FILE, ROW, SURPLUS, strict=False).write_csv().encode())
