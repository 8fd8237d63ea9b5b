"""The six phases as subflows. What each runs comes from the plan; how a processor is run is the engine's business."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import polars as pl
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from blocks.warehouse import DayRange
from flows.narration import narrate
from flows.release import hold_to
from flows.run import Run, utc_now
from flows.slate import scheduled
from tasks.catalog import registry
from tasks.engine.plan import Plan, Step, targets_frame
from tasks.engine.processor import Phase
from tasks.engine.runner import Outcome, run_processor
from tasks.predictions.predictions import SYSTEMS, every_eligible_player_and_system
from tasks.publishing import publication
from tasks.sources.base import Kind, SourceError

Targets = list[tuple[dt.date, dt.datetime]]


@flow(name="ingest", flow_run_name="ingest {run.mode} {run.game_day}", log_prints=False)
def ingest(run: Run, first: dt.date, last: dt.date, kinds: list[str]) -> dict[str, str]:
    """Phase 1: fetch each kind of facts about the days `first` to `last` as known at the run's as_of, and land it.

    Returns the landed payload's name of each kind. A source that cannot give a kind leaves it out: the processors that
    need it say so in the next phase, and the others go on.
    """
    return {kind: name for kind in kinds if (name := _fetch(run, kind, first, last)) is not None}


@task(task_run_name="fetch {kind}", cache_policy=NO_CACHE)
def _fetch(run: Run, kind: str, first: dt.date, last: dt.date) -> str | None:
    try:
        payload = run.source.fetch(Kind(kind), DayRange(first, last), run.as_of, utc_now())
    except SourceError as error:
        narrate(f"fetch {kind}", "not available", str(error))
        return None
    name = run.workspace.landing.put(payload)
    narrate(f"fetch {kind}", "landed", f"{len(payload.body) / 1024:,.0f} KiB")
    for note in payload.notes:
        narrate(f"fetch {kind}", "noted", note)
    return name


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
    return path


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

    @task(task_run_name="{step.processor}", cache_policy=NO_CACHE)
    def process(step: Step) -> Outcome:
        outcome = run_processor(registry()[step.processor], job, shop)
        narrate(outcome.processor, outcome.state.value, told(outcome))
        return outcome

    return [process(step) for step in steps]


def told(outcome: Outcome) -> str:
    """One line on an outcome for a person."""
    rows = f"{outcome.rows:,} rows" if outcome.rows else "no rows"
    refused = f", {outcome.refused:,} refused" if outcome.refused else ""
    why = outcome.error or "; ".join(outcome.reasons)
    return f"{rows}{refused} in {outcome.seconds:.2f} s" + (f": {why}" if why else "")
