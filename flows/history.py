"""What a day stands on: every table of phases 2 to 4 for earlier game days, season by season, built where missing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
from prefect import flow
from rich.console import Console

from blocks.warehouse import DayRange
from blocks.workspace import WorkspaceError
from flows.command import FirstDay, Home, Known, LastDay, Seasons, commands, exit_codes
from flows.home import home_of
from flows.narration import narrate
from flows.phases import PHASE_FLOWS, ingest, target_list
from flows.run import Run, code_fingerprint, new_run_id
from flows.slate import in_order, scheduled, slate
from flows.terminal import local_run
from tasks.catalog import registry
from tasks.engine.plan import Step, cutoffs, is_played, payloads_of, results_known_at, steps_of
from tasks.engine.processor import Mode, Need
from tasks.engine.runner import Outcome
from tasks.sources.base import SourceError
from tasks.sources.hindsight import Information


class HistoryMissing(Exception):
    """A game day that this workspace's history does not reach, with what to do."""


class HistoryFailed(Exception):
    """A history in which a required output could not be made, with what and why."""


@flow(name="history", flow_run_name="history {first} to {last}")
def build_tables(
    first: dt.date,
    last: dt.date,
    data: Path | None = None,
    home: Path | None = None,
    fingerprint: str | None = None,
    information: Information = Information.PUBLISHED,
) -> list[Outcome]:
    """Build every table of phases 2 to 4 for the game days `first` to `last`.

    Features of a day hold what a same-day run at the default hour would have known. Days that are already complete are
    left alone, so an interrupted run goes on where it stopped. Raises HistoryFailed. `fingerprint` is the stamp of the
    run that asks for it; without one this is a run of its own, and proves which code it is.
    """
    in_order(first, last)
    run = Run(
        run_id=new_run_id(Mode.BACKFILL, last),
        mode=Mode.BACKFILL,
        game_day=last,
        as_of=results_known_at(last),
        data=data,
        home=home_of(data, home, information),
        information=information,
        fingerprint=fingerprint or code_fingerprint(),
    )
    steps = list(steps_of(Mode.BACKFILL, registry()))
    schedule = scheduled(run, DayRange(first, last))
    outcomes: list[Outcome] = []
    for season in schedule["season"].unique().sort():
        days = missing_days(run, schedule.filter(pl.col("season") == season))
        if days:
            outcomes += _season(run, season, schedule.filter(pl.col("game_day").is_in(days)), steps)
    return outcomes


def build_history(run: Run, seasons: int) -> None:
    """Build the tables of every game day before the run's that are not there yet.

    A new workspace begins `seasons` seasons before the run's; one that has history keeps its beginning, because
    career averages count from there. Raises HistoryMissing for a day before that beginning.
    """
    schedule = slate(run).filter(is_played())
    first = beginning(run, schedule, seasons)
    if run.game_day < first:
        raise HistoryMissing(
            f"{run.home} holds history from {first} on, and {run.game_day} is before that: "
            "give another workspace with --home"
        )
    earlier = schedule.filter((pl.col("game_day") >= first) & (pl.col("game_day") < run.game_day))
    missing = missing_days(run, earlier)
    if missing:
        build_tables(missing[0], missing[-1], run.data, run.home, run.fingerprint, run.information)
    else:
        narrate("history", "complete", f"{earlier['game_day'].n_unique():,} game days from {first} on")


def beginning(run: Run, schedule: pl.DataFrame, seasons: int) -> dt.date:
    """The first game day of the workspace's history: where it begins, or would `seasons` seasons before the run's."""
    built = run.workspace.warehouse.partitions("player_game_summary")
    if built:
        return min(built)
    starts = schedule.group_by("season").agg(pl.col("game_day").min()).sort("season")["game_day"]
    first = starts[max(0, len(starts) - 1 - seasons)]
    assert isinstance(first, dt.date)
    return first


def missing_days(run: Run, schedule: pl.DataFrame) -> list[dt.date]:
    """The game days of `schedule` for which some table that history must hold has no partition."""
    wanted = set(schedule.filter(is_played())["game_day"])
    required = [item.table for item in registry() if item.runs_in.get(Mode.BACKFILL) == Need.REQUIRED]
    missing: set[dt.date] = set()
    for table in required:
        missing |= wanted - set(run.workspace.warehouse.partitions(table))
    return sorted(missing)


def _season(run: Run, season: str, schedule: pl.DataFrame, steps: list[Step]) -> list[Outcome]:
    targets = target_list(cutoffs(schedule))
    first, last = targets[0][0], targets[-1][0]
    narrate(f"history {season}", "building", f"{len(targets)} game days, {first} to {last}")
    landed = ingest(run, first, last, list(payloads_of(steps, registry())))
    outcomes: list[Outcome] = []
    for phase, subflow in PHASE_FLOWS.items():
        mine = [step for step in steps if step.phase == phase]
        made = subflow(run, targets, mine, landed)
        outcomes += made
        failed = [
            f"{outcome.processor}: {outcome.error or '; '.join(outcome.reasons)}"
            for outcome, step in zip(made, mine, strict=True)
            if not outcome.state.usable and step.need == Need.REQUIRED
        ]
        if failed:
            raise HistoryFailed(f"{season}: " + "; ".join(failed))
    return outcomes


cli = commands()


@cli.command()
def main(
    start: FirstDay,
    end: LastDay,
    data: Seasons = None,
    home: Home = None,
    information: Known = Information.PUBLISHED,
) -> None:
    """Build every table of phases 2 to 4 for a range of game days. What is complete is left alone.

    Exit code 0: everything is there. 1: a required output could not be made. 2: something you can put right.
    """
    console = Console()
    with exit_codes(console, (SourceError, WorkspaceError), failed=(HistoryFailed,)), local_run(console):
        outcomes = build_tables(start.date(), end.date(), data, home, code_fingerprint(), information)
    rows = sum(outcome.rows for outcome in outcomes)
    console.print(f"{len(outcomes)} outputs, {rows:,} rows" if outcomes else "every day was complete already")


if __name__ == "__main__":
    cli()
