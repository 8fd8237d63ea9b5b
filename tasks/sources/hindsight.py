"""A folder of seasons seen in hindsight, for backtests only: what nobody had archived is read off what happened.

Who belonged to a team comes from the day's box score where no roster is known, and, if asked for, who was absent comes
from the folder's `absences_derived`: what a perfect report at tip-off would have said. Results so obtained are labelled
and never share a workspace with those of a daily run.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import polars as pl

from tasks.parsing import day
from tasks.sources.base import APPEARED, ROSTER, Kind, SourceError
from tasks.sources.folder import FolderSource
from tasks.sources.tabular import with_origin

ABSENCES = "absences_derived"
AFTERWARDS = "derived afterwards from who appeared"


class Information(StrEnum):
    """What a run may know of rosters and absences."""

    PUBLISHED = "published"  # what the source has, as of then: the only one that a daily run may use
    NO_NEWS = "no_news"  # rosters in hindsight, no report at all
    PERFECT_REPORT = "perfect_report"  # and who turned out to be absent


class HindsightSource(FolderSource):
    """Raises SourceError where a perfect report is asked for and the folder has no `absences_derived`."""

    name = "hindsight"

    def __init__(self, folder: Path, information: Information) -> None:
        self.information = information
        super().__init__(folder)
        if information == Information.PERFECT_REPORT and not self._absences():
            raise SourceError(f"{folder}: no {ABSENCES}.parquet or .csv, which a perfect report is made from")

    def _table(self, kind: Kind) -> pl.LazyFrame | None:
        match kind:
            case Kind.ROSTERS:
                return self._rosters()
            case Kind.INJURY_REPORT:
                return self._report() if self.information == Information.PERFECT_REPORT else None
            case _:
                return super()._table(kind)

    def _absences(self) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{ABSENCES}.*") if path.suffix in (".parquet", ".csv"))

    def _rosters(self) -> pl.LazyFrame:
        """The folder's rosters, and before the first of them who appeared in each game."""
        box_scores = self._players()
        appeared = box_scores.select(
            *("player_id", "team", "_file", "_row"),
            player="player_name",
            snapshot_date="game_date",
            position=pl.lit(None, dtype=pl.String),
            evidence=pl.lit(APPEARED),
        )
        rosters = super()._table(Kind.ROSTERS)
        if rosters is None:
            return appeared
        taken = day("snapshot_date", rosters.collect_schema()["snapshot_date"])
        first = rosters.select(taken.min()).collect().item()
        before = appeared.filter(pl.col("snapshot_date") < first)
        return pl.concat(
            [rosters.with_columns(snapshot_date=taken, evidence=pl.lit(ROSTER)), before], how="diagonal_relaxed"
        )

    def _report(self) -> pl.LazyFrame:
        """Regulars who did not appear as OUT; of each team one who played as AVAILABLE: it counts as reported."""
        absent = pl.concat(self._read_any(path) for path in self._absences())
        played = (
            self._players()
            .sort("minutes", descending=True)
            .unique(["game_date", "team"], keep="first", maintain_order=True)
        )
        parts = [(absent, "OUT"), (played, "AVAILABLE")]
        return pl.concat(
            table.select(
                *("game_date", "player_id", "team", "_file", "_row"),
                player=pl.col("player_id").cast(pl.String),
                status=pl.lit(status),
                reason=pl.lit(AFTERWARDS),
                reported_at=pl.col("game_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            )
            for table, status in parts
        )

    def _players(self) -> pl.LazyFrame:
        table = super()._table(Kind.PLAYER_BOX_SCORES)
        assert table is not None
        game_date = day("game_date", table.collect_schema()["game_date"])
        minutes = pl.col("minutes").cast(pl.Float64, strict=False)
        return table.with_columns(game_date=game_date, minutes=minutes).filter(minutes > 0)

    def _read_any(self, path: Path) -> pl.LazyFrame:
        table = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, try_parse_dates=True)
        names = table.collect_schema().names()
        missing = [name for name in ("game_date", "player_id", "team") if name not in names]
        if missing:
            raise SourceError(f"{path.name}: no column {', '.join(missing)} (it has {', '.join(names)})")
        return with_origin(table.with_columns(game_date=pl.col("game_date").cast(pl.Date)), path.name)
