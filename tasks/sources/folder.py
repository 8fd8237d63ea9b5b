"""A folder of seasons in the layout of docs/data.md, CSV or Parquet: how users bring their own data."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import polars as pl
import polars.selectors as cs

from tasks.identity import game_id
from tasks.parsing import flag, number
from tasks.sources.base import REQUIRED_COLUMNS, SURPLUS, Kind, SourceError
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
            table = _scan_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
            columns = found = table.collect_schema().names()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"{name}: cannot be read as {path.suffix[1:]} ({error})") from error
        if kind == Kind.ROSTERS:
            given = {old: new for old, new in _ROSTER_ALIASES.items() if old in columns and new not in columns}
            table = table.rename(given)
            found = [given.get(column, column) for column in found]
            if "snapshot_date" not in columns and (dated := _DATE_IN_NAME.search(path.name)):
                table = table.with_columns(snapshot_date=pl.lit(dated.group()).str.to_date())
            columns = table.collect_schema().names()
        columns = [column for column in columns if column != SURPLUS]
        missing = [column for column in REQUIRED_COLUMNS[kind] if column not in columns]
        if missing:
            raise SourceError(
                f"{name}: no column {', '.join(missing)} (it has {', '.join(columns)}); "
                "docs/data.md says what each column holds"
            )
        table = with_origin(table, name)
        # A blank line of text is no row; it is left out after counting, so that the other rows keep their numbers.
        return table if path.suffix == ".parquet" else table.filter(pl.any_horizontal(pl.col(found).is_not_null()))

    def _complete_schedule(self, schedule: pl.LazyFrame) -> pl.LazyFrame:
        """The schedule with the games that only the box scores know, such as older playoffs, without a tip-off."""
        box_scores = self.table(Kind.PLAYER_BOX_SCORES)
        assert box_scores is not None
        types = box_scores.collect_schema()
        at_home = flag("is_home", types["is_home"])
        points = number("pts", types["pts"], pl.Int64())
        unreadable = points.is_null() & pl.col("pts").is_not_null()

        def total(side: pl.Expr) -> pl.Expr:
            return pl.when(~unreadable.filter(side).any()).then(points.filter(side).sum())

        scheduled = schedule.select(_game=game_id(pl.col("game_id").cast(pl.String)))
        known_only_there = (
            box_scores.with_columns(_game=game_id(pl.col("game_id").cast(pl.String)))
            .join(scheduled, on="_game", how="anti", maintain_order="left")
            .group_by("season", "season_type", "game_id", "game_date", maintain_order=True)
            .agg(
                pl.col("team").filter(at_home).first().alias("home"),
                pl.col("team").filter(~at_home).first().alias("away"),
                total(at_home).alias("home_pts"),
                total(~at_home).alias("away_pts"),
                pl.col("_file").first(),
                pl.col("_row").first(),
            )
        )
        return pl.concat([schedule, known_only_there], how="diagonal_relaxed")


def _scan_parquet(path: Path) -> pl.LazyFrame:
    """Categories, as pandas writes them, are text; a column without any value has no type to go by and is text too."""
    return pl.scan_parquet(path).with_columns((cs.categorical() | cs.enum() | cs.by_dtype(pl.Null)).cast(pl.String))


def _read_csv(path: Path) -> pl.LazyFrame:
    """CSV as text: what a value is, and whether it is one, is decided row by row in phase 2."""
    header = pl.scan_csv(path, infer_schema=False, truncate_ragged_lines=True).collect_schema()
    rows = pl.read_csv(
        path, schema={**header, SURPLUS: pl.String}, missing_columns="insert", truncate_ragged_lines=True
    )
    return rows.lazy()
