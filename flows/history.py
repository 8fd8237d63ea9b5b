"""What a day stands on: the tables of every earlier game day, built where they are missing."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flows.backfill import backfill, missing_days
from flows.narration import narrate
from flows.run import Run
from flows.slate import slate
from tasks.engine.plan import is_played


class HistoryMissing(Exception):
    """A game day that this workspace's history does not reach, with what to do."""


def build_history(run: Run, seasons: int) -> None:
    """Build the tables of every earlier game day that are not there yet.

    A new workspace begins `seasons` seasons before the run's; one that has history keeps its beginning, because
    career averages count from there. Raises HistoryMissing for a day before that beginning.
    """
    schedule = slate(run).filter(is_played())
    first = _beginning(run, schedule, seasons)
    if run.game_day < first:
        raise HistoryMissing(
            f"{run.home} holds history from {first} on, and {run.game_day} is before that: "
            "give another workspace with --home"
        )
    earlier = schedule.filter((pl.col("game_day") >= first) & (pl.col("game_day") < run.game_day))
    missing = missing_days(run, earlier)
    if missing:
        backfill(missing[0], missing[-1], run.data, run.home, run.fingerprint)
    else:
        narrate("history", "complete", f"{earlier['game_day'].n_unique():,} game days from {first} on")


def _beginning(run: Run, schedule: pl.DataFrame, seasons: int) -> dt.date:
    built = run.workspace.warehouse.partitions("player_game_summary")
    if built:
        return min(built)
    starts = schedule.group_by("season").agg(pl.col("game_day").min()).sort("season")["game_day"]
    first = starts[max(0, len(starts) - 1 - seasons)]
    assert isinstance(first, dt.date)
    return first
