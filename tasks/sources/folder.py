"""A folder of seasons in the layout of docs/data.md, CSV or Parquet: how users bring their own data."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import polars as pl

from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.tabular import TabularSource, with_origin

_FILES: dict[Kind, str] = {
    Kind.SCHEDULE: "schedule/schedule*",
    Kind.PLAYER_BOX_SCORES: "player_games/player_games*",
    Kind.TEAM_BOX_SCORES: "team_games/team_games*",
    Kind.ROSTERS: "rosters/rosters*",
    Kind.INJURY_REPORT: "injuries/injuries*",
    Kind.PROP_LINES: "lines/points_lines*",
}
_NECESSARY = (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
# Rosters as stats.nba.com's commonteamroster gives them are read as they are.
_ROSTER_ALIASES = {"PLAYER": "player", "PLAYER_ID": "player_id", "TEAM_ABBR": "team", "POSITION": "position"}
_DATE_IN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}")


class FolderSource(TabularSource):
    """Reads the tables of a folder. Raises SourceError for a missing folder, table or column, by name."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder; --data takes a folder in the layout of docs/data.md")
        self.folder = folder
        for kind in _NECESSARY:
            if not self._files(kind):
                raise SourceError(
                    f"{folder}: no {_FILES[kind]}.parquet or .csv; docs/data.md lists the files and their columns"
                )
        self.table = cache(self._table)  # type: ignore[method-assign]

    def table(self, kind: Kind) -> pl.LazyFrame | None:
        """See TabularSource.table."""
        return self._table(kind)

    def _table(self, kind: Kind) -> pl.LazyFrame | None:
        parts = [self._read(kind, path) for path in self._files(kind)]
        if not parts:
            return None
        table = pl.concat(parts, how="diagonal_relaxed")
        return self._complete_schedule(table) if kind == Kind.SCHEDULE else table

    def _files(self, kind: Kind) -> list[Path]:
        pattern = _FILES[kind]
        return sorted(path for suffix in ("parquet", "csv") for path in self.folder.glob(f"{pattern}.{suffix}"))

    def _read(self, kind: Kind, path: Path) -> pl.LazyFrame:
        name = str(path.relative_to(self.folder))
        try:
            # CSV is read as text: what a value is, and whether it is one, is decided row by row in phase 2.
            table = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
            columns = table.collect_schema().names()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"{name}: cannot be read as {path.suffix[1:]} ({error})") from error
        if kind == Kind.ROSTERS:
            table = table.rename({old: new for old, new in _ROSTER_ALIASES.items() if old in columns})
            if "snapshot_date" not in columns and (dated := _DATE_IN_NAME.search(path.name)):
                table = table.with_columns(snapshot_date=pl.lit(dated.group()).str.to_date())
            columns = table.collect_schema().names()
        missing = [column for column in REQUIRED_COLUMNS[kind] if column not in columns]
        if missing:
            raise SourceError(
                f"{name}: no column {', '.join(missing)} (it has {', '.join(columns)}); docs/data.md says what each holds"
            )
        return with_origin(table, name)

    def _complete_schedule(self, schedule: pl.LazyFrame) -> pl.LazyFrame:
        """The schedule with the games that only the box scores know, such as older playoffs, without a tip-off."""
        box_scores = self.table(Kind.PLAYER_BOX_SCORES)
        assert box_scores is not None
        at_home = pl.col("is_home").cast(pl.String).str.to_lowercase().is_in(["true", "1"])
        points = pl.col("pts").cast(pl.Int64, strict=False)
        known_only_there = (
            box_scores.join(schedule.select("game_id"), on="game_id", how="anti")
            .group_by("season", "season_type", "game_id", "game_date", maintain_order=True)
            .agg(
                pl.col("team").filter(at_home).first().alias("home"),
                pl.col("team").filter(~at_home).first().alias("away"),
                points.filter(at_home).sum().alias("home_pts"),
                points.filter(~at_home).sum().alias("away_pts"),
                pl.col("_file").first(),
                pl.col("_row").first(),
            )
        )
        return pl.concat([schedule, known_only_there], how="diagonal_relaxed")
