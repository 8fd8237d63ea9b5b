"""The six phases as subflows. What each runs comes from the plan; how a processor is run is the engine's business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl
from prefect import flow
from prefect.assets import add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from blocks.warehouse import DayRange
from flows.clock import utc_now
from flows.fetching import RETRIES, fetch
from flows.lineage import asset_of, facts_of, made_of
from flows.narration import narrate
from flows.release import hold_to
from flows.run import Run
from flows.slate import scheduled
from tasks.catalog import registry
from tasks.engine.expected import PUBLICATION
from tasks.engine.faults import Fault, fault_of
from tasks.engine.ledger import State
from tasks.engine.plan import Plan, Step, targets_frame
from tasks.engine.processor import Phase
from tasks.engine.runner import Outcome, run_processor
from tasks.predictions.predictions import SYSTEMS, every_eligible_player_and_system
from tasks.publishing import publication

Targets = list[tuple[dt.date, dt.datetime]]


@flow(name="ingest", flow_run_name="ingest {run.mode} {run.game_day}", log_prints=False)
def ingest(run: Run, first: dt.date, last: dt.date, kinds: list[str]) -> dict[str, str]:
    """Phase 1: fetch each kind of facts about the days `first` to `last` as known at the run's as_of, and land it.

    Returns the landed payload's name of each kind. A source that cannot give a kind leaves it out: the processors that
    need it say so in the next phase, and the others go on.
    """
    return {kind: name for kind in kinds if (name := fetch(run, kind, first, last)) is not None}


@flow(name="raw", flow_run_name="raw {run.mode} {run.game_day}")
def raw(run: Run, targets: Targets, steps: list[Step], landed: dict[str, str]) -> list[Outcome]:
    """Phase 2: payload rows to typed rows with canonical ids; bad rows are refused one by one with the reason."""
    return _run_steps(run, targets, steps, landed)


@flow(name="analytics", flow_run_name="analytics {run.mode} {run.game_day}")
def analytics(run: Run, targets: Targets, steps: list[Step], landed: dict[str, str]) -> list[Outcome]:
    """Phase 3: what happened in each game, and the situation of each coming one."""
    return _run_steps(run, targets, steps, landed)


@flow(name="precompute", flow_run_name="precompute {run.mode} {run.game_day}")
def precompute(run: Run, targets: Targets, steps: list[Step], landed: dict[str, str]) -> list[Outcome]:
    """Phase 4: state of players and teams, and the feature store."""
    return _run_steps(run, targets, steps, landed)


@flow(name="predictions", flow_run_name="predictions {run.mode} {run.game_day}")
def predictions(run: Run, targets: Targets, steps: list[Step], model: str, degraded: list[str]) -> list[Outcome]:
    """Phase 5: the five systems with the model of this id, priced against the lines. Rows carry the degraded labels."""
    return _run_steps(run, targets, steps, model=model, degraded=degraded)


@flow(name="grading", flow_run_name="grading {run.mode} {run.game_day}")
def grading(run: Run, targets: Targets, steps: list[Step]) -> list[Outcome]:
    """The grading part of phase 6: what became of the predictions of finished games."""
    return _run_steps(run, targets, steps)


@flow(name="publish", flow_run_name="publish {run.mode} {run.game_day}")
def publish(run: Run, plan: Plan, degraded: list[str]) -> str:
    """Phase 6: publish what is in the store for the run's game day, without games that turned out not to take place.

    The schedule is asked once more, as known now or, for a day in the past, at its first tip-off.
    """
    began = utc_now()
    row = run.ledger.started(
        run_id=run.run_id,
        processor=PUBLICATION,
        phase=Phase.PUBLISH,
        mode=run.mode,
        first_game_day=run.game_day,
        game_day=run.game_day,
        at=began,
        flow_run_id=flow_run.get_id(),
        fingerprint=run.fingerprint,
    )
    facts: dict[str, Any] = {"degraded_reasons": degraded}
    state = State.FAILED
    try:
        path, facts["rows_actual"], facts["rows_expected"] = _publish(run, plan, degraded)
        state = State.DEGRADED if degraded else State.COMPLETE
    except Exception as error:
        facts |= {"fault": fault_of(error), "error_class": type(error).__name__, "error_message": str(error)}
        raise
    finally:
        now = utc_now()
        run.ledger.ended(row, state=state, at=now, duration_s=(now - began).total_seconds(), **facts)
    return path


def _publish(run: Run, plan: Plan, degraded: list[str]) -> tuple[str, int, int]:
    """Publish; returns where the publication lies, its rows, and how many were expected."""
    warehouse, day = run.workspace.warehouse, [run.game_day]
    features = warehouse.read(registry()["ml_feature_store"].writes.spec, day)
    stored = warehouse.read(registry()["predictions"].writes.spec, day)
    now = utc_now()
    newest = run.model_copy(update={"as_of": max(run.as_of, min(now, plan.first_tip_off or run.as_of))})
    schedule = scheduled(newest, DayRange.on(run.game_day))
    rows, dropped = publication.without_games_not_played(stored, schedule)
    expected, _ = publication.without_games_not_played(
        every_eligible_player_and_system({"ml_feature_store": features}), schedule
    )
    manifest = publication.Manifest(
        game_day=run.game_day,
        mode=run.mode.value,
        run_id=run.run_id,
        release=run.fingerprint,
        as_of=run.as_of,
        published_at=now,
        games=tuple(game for game in plan.games if game.game_id not in dropped),
        dropped_games=dropped,
        eligible_players=expected["player_id"].n_unique(),
        systems=tuple(system.name for system in SYSTEMS),
        expected_rows=expected.height,
        rows=rows.height,
        missing=publication.missing_keys(rows, expected),
        degraded=bool(degraded),
        reasons=tuple(degraded),
        model_ids=tuple(rows["model_id"].unique().sort()),
        files={},
    )
    path = publication.publish(run.workspace.publications, rows, manifest)
    narrate("publication", "published", f"{rows.height:,} rows in {path}")
    return path, rows.height, expected.height


# The phases that every mode shares, in order.
PHASE_FLOWS = {Phase.RAW: raw, Phase.ANALYTICS: analytics, Phase.PRECOMPUTE: precompute}


def target_list(targets: pl.DataFrame) -> Targets:
    """Targets as plain values, the form in which they are a flow parameter."""
    return list(targets.select("game_day", "as_of").iter_rows())


def _run_steps(
    run: Run,
    targets: Targets,
    steps: Iterable[Step],
    landed: Mapping[str, str] | None = None,
    model: str | None = None,
    degraded: Iterable[str] = (),
) -> list[Outcome]:
    """Run the steps in order. One that fails does not stop the others: what needs it will say so."""
    hold_to(run.fingerprint)
    shop = run.shop(landed or {}, model)
    job = run.job(targets_frame(targets), flow_run.get_id(), degraded)

    def process(step: Step) -> Outcome:
        outcome = run_processor(registry()[step.processor], job, shop)
        narrate(outcome.processor, outcome.state.value, told(outcome))
        if outcome.state == State.FAILED:
            raise StepFailed(outcome)
        add_asset_metadata(asset_of(registry()[step.processor].table, run.home), facts_of(outcome))
        return outcome

    def task_of(step: Step) -> Callable[[Step], Outcome]:
        made = registry()[step.processor]
        table, needed = asset_of(made.table, run.home), made_of(made, registry(), run.home)
        options = {"task_run_name": step.processor, "cache_policy": NO_CACHE, **RETRIES}
        return materialize(table, asset_deps=[*needed], **options)(process)

    return [_outcome(task_of(step), step) for step in steps]


class StepFailed(Exception):
    """An outcome without its rows: to Prefect a failed task, which it retries if another try may better it."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.fault = outcome.fault or Fault.PERMANENT
        super().__init__(outcome.error)


def _outcome(process: Callable[[Step], Outcome], step: Step) -> Outcome:
    """What a step came to, at its last try."""
    try:
        return process(step)
    except StepFailed as failed:
        return failed.outcome


def told(outcome: Outcome) -> str:
    """One line on an outcome for a person."""
    rows = f"{outcome.rows:,} rows" if outcome.rows else "no rows"
    refused = f", {outcome.refused:,} refused" if outcome.refused else ""
    why = outcome.error or "; ".join(outcome.reasons)
    return f"{rows}{refused} in {outcome.seconds:.2f} s" + (f": {why}" if why else "")
