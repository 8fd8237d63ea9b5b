"""The feature store timed: phase 4 for the whole history and for one game day, and part of it beside pandas.

`python -m benchmarks.feature_store [--data FOLDER]`; docs/benchmarks.md says what is compared with what.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import truediv
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import pandas_features as in_pandas
from blocks.warehouse import DayRange
from flows.home import HOME
from tasks.catalog import registry
from tasks.engine.plan import cutoffs, in_order, results_known_at
from tasks.engine.processor import Cleaned, Landed, Phase, Processor, Read
from tasks.precompute.ml_feature_store import CACHE_FEATURES, ZONE_FEATURES
from tasks.precompute.state import with_state
from tasks.sources.base import Kind, Source, SourceError
from tasks.sources.folder import FolderSource
from tasks.sources.simulated import SimulatedSource

DAY = dt.date(2025, 12, 29)
SEASONS_BEFORE = 2  # history of the one game day, besides the season so far
TOLERANCE = 1e-9
CACHE, ZONES, JOIN = "player_daily_cache", "player_shot_zone_analysis", "as-of join of both"
ALL, WHOLE_PART = "all of phase 4", "all three"
STATES = (CACHE, ZONES, "team_defense_zone_analysis")
FEATURES = ("player_composite_factors", "ml_feature_store")
ROW_KEY = ["game_id", "player_id"]
Tables = dict[str, pl.DataFrame]
Frame: TypeAlias = pl.DataFrame | pd.DataFrame
Work = tuple[str, Callable[[], Frame]]


def tables_of(source: Source) -> Tables:
    """Every table of phases 2 and 3 for all days through the last result, in memory. Needs no store and no Prefect."""
    covered = source.covers()
    assert covered.first is not None
    assert covered.last is not None
    every_day = pl.DataFrame({"game_day": pl.date_range(covered.first, covered.last, eager=True)})
    known_at = results_known_at(covered.last)
    planner = registry()["schedule"]
    schedule = made_by(planner, _inputs(planner, {}, every_day, source, known_at), every_day)
    last = schedule.filter(pl.col("status") == "final")["game_day"].max()
    tables: Tables = {"schedule": schedule.filter(pl.col("game_day") <= last)}
    targets = cutoffs(tables["schedule"])
    for item in in_order(item for item in registry() if item.phase in (Phase.RAW, Phase.ANALYTICS)):
        if item.table not in tables:
            inputs = _inputs(item, tables, targets, source, known_at)
            tables[item.table] = made_by(item, inputs, targets) if inputs else item.writes.spec.polars_schema.to_frame()
    return tables


def made_by(item: Processor, inputs: Tables, targets: pl.DataFrame) -> pl.DataFrame:
    """What a processor makes of these inputs, as its table holds it."""
    made = item(**inputs, targets=targets)
    return item.writes.conform(made.rows if isinstance(made, Cleaned) else made)


def _inputs(item: Processor, tables: Tables, targets: pl.DataFrame, source: Source, known_at: dt.datetime) -> Tables:
    """What the processor reads; nothing where the source has no such payload."""
    days = DayRange(targets["game_day"].min(), targets["game_day"].max())  # type: ignore[arg-type]
    found = reads(item, tables, targets)
    for name, read in item.reads.items():
        if isinstance(read, Landed):
            try:
                payload = source.fetch(Kind(read.kind), days, known_at, now=known_at)
            except SourceError:
                return {}
            found[name] = source.parse(payload.body, payload.name)
    return found


def reads(item: Processor, tables: Tables, targets: pl.DataFrame) -> Tables:
    """The spans of tables that the processor reads for these targets, as the engine would hand them over."""
    first, last = targets["game_day"].min(), targets["game_day"].max()
    return {
        name: within(tables[read.table], read.days(first, last))  # type: ignore[arg-type]
        for name, read in item.reads.items()
        if isinstance(read, Read)
    }


def within(table: pl.DataFrame, days: DayRange) -> pl.DataFrame:
    """The rows of these game days."""
    lower = pl.lit(True) if days.first is None else pl.col("game_day") >= days.first
    upper = pl.lit(True) if days.last is None else pl.col("game_day") <= days.last
    return table.filter(lower & upper)


@dataclass(frozen=True)
class Scope:
    """What is computed at a time: the whole history, or one game day as its night and its noon compute it.

    States are those after the days of `played` (of one game day: the game day before), features those of `coming`.
    """

    name: str
    tables: Tables
    played: pl.DataFrame
    coming: pl.DataFrame

    def targets(self, table: str) -> pl.DataFrame:
        """The game days for which this scope computes the table."""
        return self.played if table in STATES else self.coming


def scopes_of(tables: Tables, game_day: dt.date) -> tuple[Scope, Scope]:
    """The whole history, and `game_day` with the season so far and the SEASONS_BEFORE seasons before it."""
    targets = cutoffs(tables["schedule"])
    whole = dict(tables)
    for item in in_order(item for item in registry() if item.phase == Phase.PRECOMPUTE):
        whole[item.table] = made_by(item, reads(item, whole, targets), targets)
    coming = targets.filter(pl.col("game_day") == game_day)
    earlier = targets.filter(pl.col("game_day") < game_day)
    if coming.is_empty() or earlier.is_empty():
        raise SystemExit(f"{game_day} is not a game day with history in this data: give another with --game-day")
    starts = whole["schedule"].group_by("season").agg(pl.col("game_day").min()).sort("game_day")["game_day"]
    begins = starts.filter(starts <= game_day).tail(SEASONS_BEFORE + 1)[0]
    recent = {name: within(table, DayRange(begins, game_day)) for name, table in whole.items()}
    return Scope("whole history", whole, targets, targets), Scope(str(game_day), recent, earlier.tail(1), coming)


@dataclass(frozen=True)
class Timed:
    """Seconds of each run of one piece of work, by the clock and of both cores together, and the rows that it makes."""

    name: str
    rows: int
    seconds: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def clocked(works: list[Work], runs: int) -> list[Timed]:
    """Each piece once to warm up, then all of them in turn, so that what else the machine does falls on all alike."""
    rows = [len(call()) for _, call in works]
    seconds: list[list[float]] = [[] for _ in works]
    cpu: list[list[float]] = [[] for _ in works]
    for _ in range(runs):
        for number, (_, call) in enumerate(works):
            gc.collect()
            began, used = time.perf_counter(), time.process_time()
            call()
            seconds[number].append(time.perf_counter() - began)
            cpu[number].append(time.process_time() - used)
    return [Timed(work[0], rows[n], tuple(seconds[n]), tuple(cpu[n])) for n, work in enumerate(works)]


def together(name: str, parts: list[Timed], rows: int) -> Timed:
    """The parts of each round as one piece of work."""
    seconds = zip(*(part.seconds for part in parts), strict=True)
    cpu = zip(*(part.cpu for part in parts), strict=True)
    return Timed(name, rows, tuple(map(sum, seconds)), tuple(map(sum, cpu)))


def phase_4(scope: Scope) -> list[Work]:
    """Every processor of phase 4, called as the pure function that it is on the frames that it reads."""
    works: list[Work] = []
    for table in (*STATES, *FEATURES):
        item, targets = registry()[table], scope.targets(table)
        works.append((table, partial(item, **reads(item, scope.tables, targets), targets=targets)))
    return works


def compared(scope: Scope) -> dict[str, tuple[Work, Work]]:
    """The part that is timed in both libraries, piece by piece: polars first, then pandas on the same rows."""
    tables = scope.tables
    games = reads(registry()[CACHE], tables, scope.played)["player_game_summary"]
    seen = reads(registry()["ml_feature_store"], tables, scope.coming)
    rows = seen["upcoming_player_game_context"].select(*ROW_KEY, "game_day")
    earlier = {name: seen[name] for name in (CACHE, ZONES)}
    same_games, same_rows = in_pandas.as_pandas(games.select(in_pandas.GAME_COLUMNS)), in_pandas.as_pandas(rows)
    days = in_pandas.as_pandas(scope.played)["game_day"]
    same_earlier = {name: in_pandas.as_pandas(frame) for name, frame in earlier.items()}
    return {
        CACHE: (
            ("polars", partial(registry()[CACHE], player_game_summary=games, targets=scope.played)),
            ("pandas", partial(in_pandas.player_daily_cache, same_games, days)),
        ),
        ZONES: (
            ("polars", partial(registry()[ZONES], player_game_summary=games, targets=scope.played)),
            ("pandas", partial(in_pandas.player_shot_zone_analysis, same_games, days)),
        ),
        JOIN: (
            ("polars", partial(_joined, with_state, rows, earlier)),
            ("pandas", partial(_joined, in_pandas.with_state, same_rows, same_earlier)),
        ),
    }


def _joined(join: Callable, rows: Frame, states: dict[str, Frame]) -> Frame:
    """The last known states of both tables, joined to the rows of the coming games."""
    with_cache = join(rows, states[CACHE], "player_id", CACHE_FEATURES)
    return join(with_cache, states[ZONES], "player_id", ZONE_FEATURES)


def apart(ours: pl.DataFrame, theirs: pd.DataFrame, key: list[str]) -> float:
    """The largest difference of any number in the columns of `theirs`; infinite if keys or missing values differ."""
    same, theirs = in_pandas.as_pandas(ours.select(list(theirs.columns)).sort(key)), theirs.sort_values(key)
    if any(same[name].to_list() != theirs[name].to_list() for name in key):
        return math.inf
    mine, other = same.drop(columns=key).to_numpy(float), theirs.drop(columns=key).to_numpy(float)
    if not np.array_equal(np.isnan(mine), np.isnan(other)):
        return math.inf
    return float(np.nanmax(np.abs(mine - other), initial=0.0))


def key_of(piece: str) -> list[str]:
    """What a row of this piece is about."""
    return ROW_KEY if piece == JOIN else list(registry()[piece].writes.key)


def store_table(scopes: tuple[Scope, ...], runs: int) -> Table:
    """Phase 4 as the pipeline runs it, processor by processor."""
    table = Table(title=f"Feature store, median of {runs} runs", title_justify="left")
    for name in ("computed for", "table"):
        table.add_column(name, no_wrap=True)
    for name in ("rows made", "seconds", "rows/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for scope in scopes:
        times = clocked(phase_4(scope), runs)
        for timed in (*times, together(ALL, times, times[-1].rows)):
            figures = f"{timed.rows:,}", f"{timed.median:.3f}", f"{timed.rows / timed.median:,.0f}"
            table.add_row(scope.name, timed.name, *figures, end_section=timed.name == ALL)
    return table


def comparison_table(pieces: dict[tuple[str, str], tuple[Timed, Timed]], runs: int) -> Table:
    """The part that both libraries compute, side by side; ratios are medians over the rounds."""
    table = Table(title=f"The same features in pandas, median of {runs} runs in turn", title_justify="left")
    for name in ("computed for", "piece"):
        table.add_column(name, no_wrap=True)
    for name in ("rows", "polars s", "pandas s", "ratio", "ratio of CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for (scope, piece), (ours, theirs) in pieces.items():
        ratios = ((theirs.seconds, ours.seconds), (theirs.cpu, ours.cpu))
        longer = (f"{statistics.median(map(truediv, *pair)):.1f}" for pair in ratios)
        seconds = (f"{timed.median:.3f}" for timed in (ours, theirs))
        table.add_row(scope, piece, f"{ours.rows:,}", *seconds, *longer, end_section=piece == WHOLE_PART)
    return table


def measured(scope: Scope, runs: int) -> dict[tuple[str, str], tuple[Timed, Timed]]:
    """Both libraries on every piece of one scope, and on all pieces together."""
    pairs = compared(scope)
    times = clocked([work for pair in pairs.values() for work in pair], runs)
    ours, theirs = times[::2], times[1::2]
    found = {(scope.name, piece): pair for piece, pair in zip(pairs, zip(ours, theirs, strict=True), strict=True)}
    rows = ours[-1].rows
    return found | {(scope.name, WHOLE_PART): (together("polars", ours, rows), together("pandas", theirs, rows))}


def main(arguments: list[str] | None = None) -> int:
    """Check that both libraries agree, then time them; returns the exit code, 1 where they do not agree."""
    parser = argparse.ArgumentParser(description="Time the feature store for the whole history and for one game day.")
    parser.add_argument("--data", type=Path, help="folder of seasons (docs/data.md); default: the simulated league")
    parser.add_argument("--game-day", type=dt.date.fromisoformat, default=DAY, help="the one game day (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs after the warm-up (%(default)s)")
    options = parser.parse_args(arguments)
    console = Console()
    source = FolderSource(options.data) if options.data else SimulatedSource(HOME / "leagues")
    scopes = scopes_of(tables_of(source), options.game_day)
    games = scopes[0].tables["player_game_summary"]
    console.print(
        f"{source.name}: {games.height:,} player-games of {games['season'].n_unique()} seasons, "
        f"{scopes[0].targets(CACHE)['game_day'][0]} to {scopes[0].targets(CACHE)['game_day'][-1]}\n"
        f"{os.cpu_count()} cores, polars {pl.__version__} on {pl.thread_pool_size()} threads, pandas {pd.__version__}",
        highlight=False,
    )
    for scope in scopes:
        for piece, ((_, ours), (_, theirs)) in compared(scope).items():
            difference = apart(ours(), theirs(), key_of(piece))
            console.print(f"{scope.name}, {piece}: largest difference {difference:.1e}", highlight=False)
            if not difference <= TOLERANCE:
                console.print(f"[bold red]polars and pandas differ by more than {TOLERANCE}: nothing to compare")
                return 1
    console.print(store_table(scopes, options.runs))
    console.print(comparison_table(measured(scopes[0], options.runs) | measured(scopes[1], options.runs), options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
