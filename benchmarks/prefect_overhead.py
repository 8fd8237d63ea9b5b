"""What Prefect costs: a same-day run on a built workspace, as a flow and as the same steps called as plain functions.

`python -m benchmarks.prefect_overhead`; on a simulated league in a temporary folder and Prefect's temporary API.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from rich.console import Console
from rich.table import Table

import flows.run
from blocks.warehouse import DayRange, LocalWarehouse
from flows.daily import FEATURED_SYSTEM, daily
from flows.history import build_history
from flows.phases import publish
from flows.report import DayReport, DayState, coverage_of, top_edges
from flows.run import Run, code_fingerprint, new_run_id, utc_now
from flows.slate import slate
from flows.terminal import local_run
from flows.train import model_for
from tasks.catalog import registry
from tasks.engine.plan import Plan, plan
from tasks.engine.processor import Mode, Phase
from tasks.engine.runner import Outcome, run_processor
from tasks.predictions.predictions import every_eligible_player_and_system
from tasks.sources.base import Kind
from tasks.sources.league import LeagueConfig, generate_league

SEASONS = ("2024-25", "2025-26")
BUSY_DAYS = (dt.date(2025, 12, 20), dt.date(2025, 12, 31))  # one of these is run: the season is well under way
RUN_COLUMNS = ("run_id", "created_at")
HEARTBEAT = 180  # seconds; Prefect's default


class Bench:
    """A built workspace for one league, and the two ways to run one of its days."""

    def __init__(self, folder: Path, teams: int) -> None:
        self.data, self.home = folder / "league", folder / "home"
        config = LeagueConfig(seed=7, seasons=SEASONS, teams=teams, games_per_team=60, worlds=1)
        generate_league(config).write(self.data)
        self.game_day = _busiest_day(self.data)

    def flow(self) -> DayReport:
        """The same-day flow. Raises SystemExit if the day is not complete: its time would mean nothing."""
        report = daily(Mode.SAME_DAY, self.game_day, data=self.data, home=self.home)
        if report.state != DayState.COMPLETE:
            raise SystemExit(f"the same-day run is {report.state}: {'; '.join(report.reasons)}")
        return report

    def plain(self) -> tuple[Plan, list[Outcome]]:
        """Everything that the flow does to data, without flows, tasks, logs to an API and artifacts."""
        run = Run(
            run_id=new_run_id(Mode.SAME_DAY, self.game_day), mode=Mode.SAME_DAY, game_day=self.game_day,
            as_of=utc_now(), data=self.data, home=self.home, fingerprint=code_fingerprint(),
        )  # fmt: skip
        day = plan(run.mode, run.game_day, slate(run), registry())
        run = run.model_copy(update={"as_of": day.as_of})
        build_history(run, seasons=4)  # finds nothing missing, so it starts no flow
        stale = [need for need in day.fresh if need.through not in run.workspace.warehouse.partitions(need.table)]
        assert not stale, stale
        landed = {}
        for kind in day.payloads:
            payload = run.source.fetch(Kind(kind), DayRange.on(run.game_day), run.as_of, utc_now())
            landed[kind] = run.workspace.landing.put(payload)
        outcomes = []
        for phase in (Phase.RAW, Phase.ANALYTICS, Phase.PRECOMPUTE):
            outcomes += _steps(run, day, phase, landed)
        outcomes += _steps(run, day, Phase.PREDICTIONS, {}, model_for(run).id)
        publish.fn(run, day, [])
        features = run.workspace.warehouse.read(registry()["ml_feature_store"].writes.spec, [run.game_day])
        stored = run.workspace.warehouse.read(registry()["predictions"].writes.spec, [run.game_day])
        coverage_of(stored, every_eligible_player_and_system({"ml_feature_store": features}), day.games)
        top_edges(stored, FEATURED_SYSTEM)
        return day, outcomes

    def predictions(self) -> pl.DataFrame:
        """What is in the store, apart from who wrote it and when."""
        table = registry()["predictions"].writes.spec
        stored = LocalWarehouse(folder=self.home / "warehouse").read(table, [self.game_day])
        return stored.drop(RUN_COLUMNS)


def _steps(run: Run, day: Plan, phase: Phase, landed: dict[str, str], model: str | None = None) -> list[Outcome]:
    shop, job = run.shop(landed, model), run.job(day.targets())
    return [run_processor(registry()[step.processor], job, shop) for step in day.of(phase)]


def _busiest_day(data: Path) -> dt.date:
    schedule = pl.read_parquet(data / "schedule" / "schedule.parquet").filter(pl.col("status") == "final")
    games = schedule.filter(pl.col("game_date").is_between(*BUSY_DAYS)).group_by("game_date").len()
    busiest: dt.date = games.sort("len", "game_date").row(-1)[0]
    return busiest


def as_a_new_process() -> None:
    """Forget what a process remembers between runs: a daily run is a process of its own and reads the store anew."""
    for memory in (flows.run._workspace, flows.run._source, flows.run._ledger):
        memory.cache_clear()
    gc.collect()


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds of one run as if in a new process, and what it gave."""
    as_a_new_process()
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


class Rounds:
    """Seconds of each way to run, taken in turn, so that what else the machine does falls on all alike."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.plain: list[float] = []
        self.flow: dict[int | None, list[float]] = {HEARTBEAT: [], None: []}
        self.inside: dict[int | None, list[float]] = {HEARTBEAT: [], None: []}

    def one(self) -> None:
        """One round: with the heartbeat, without it, and without Prefect."""
        for frequency, seconds in self.flow.items():
            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: frequency}):
                took, report = timed(self.bench.flow)
            assert isinstance(report, DayReport)
            seconds.append(took)
            outcomes = [outcome for phase in report.phases for outcome in phase.outcomes]
            self.inside[frequency].append(sum(outcome.seconds for outcome in outcomes))
        self.plain.append(timed(self.bench.plain)[0])

    def table(self) -> Table:
        """Medians over the rounds, and the fastest round of each, which others on the machine have disturbed least."""
        table = Table(title=f"A same-day run, {len(self.plain)} runs of each in turn", title_justify="left")
        table.add_column("run as", no_wrap=True)
        for name in ("median", "in processors", "Prefect", "share", "fastest", "Prefect", "share"):
            table.add_column(name, justify="right")
        best = min(self.plain)
        for frequency, seconds in self.flow.items():
            name = "flow, heartbeat off" if frequency is None else "flow, heartbeat on"
            pairs = list(zip(seconds, self.plain, strict=True))
            more = statistics.median(took - plain for took, plain in pairs)
            share = statistics.median((took - plain) / took for took, plain in pairs)
            figures = [_s(statistics.median(seconds)), _s(statistics.median(self.inside[frequency])), _s(more)]
            fastest = min(seconds)
            figures += [f"{share:.0%}", _s(fastest), _s(fastest - best), f"{(fastest - best) / fastest:.0%}"]
            table.add_row(name, *figures)
        table.add_row("plain functions", _s(statistics.median(self.plain)), "", "", "", _s(best), "", "")
        return table


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def main(arguments: list[str] | None = None) -> int:
    """Build the workspace, check that both ways write the same predictions, time them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Time a same-day run with and without Prefect.")
    parser.add_argument("--teams", type=int, default=8, help="size of the league, 30 for a full one (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="rounds after the warm-up (%(default)s)")
    options = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory() as folder, local_run(Console(quiet=True)):
        began = time.perf_counter()
        with prefect_test_harness(server_startup_timeout=120):
            console.print(
                f"{os.cpu_count()} cores; Prefect's temporary API was up in {time.perf_counter() - began:.1f} s"
            )
            bench = Bench(Path(folder), options.teams)
            built, _ = timed(bench.flow)
            bench.flow()
            by_flow = bench.predictions()
            day, outcomes = bench.plain()
            if not bench.predictions().equals(by_flow):
                console.print(
                    "[bold red]the flow and the plain functions write different predictions: nothing to compare"
                )
                return 1
            console.print(
                f"{options.teams} teams, {bench.game_day}: {len(day.games)} games, {by_flow.height:,} predictions "
                f"(the first run, which builds history and model, took {built:.1f} s)\n"
                f"a run is 7 flow runs and {len(day.payloads) + len(outcomes)} task runs",
                highlight=False,
            )
            rounds = Rounds(bench)
            for _ in range(options.runs):
                rounds.one()
    console.print(rounds.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
