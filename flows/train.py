"""Train: the points model from the feature store and the results of earlier games; it predicts only once promoted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from pydantic import Field
from rich.console import Console
from rich.table import Table

from blocks.partition import WarehouseError
from blocks.warehouse import DayRange
from blocks.workspace import WorkspaceError
from flows.choice import is_simulated
from flows.clock import utc_now
from flows.command import DAY, Home, Seasons, commands, exit_codes
from flows.history import HistoryFailed, HistoryMissing, build_history
from flows.home import home_of
from flows.narration import narrate
from flows.run import Run, code_fingerprint, new_run_id
from flows.terminal import local_run
from tasks.catalog import registry
from tasks.engine.plan import EASTERN, Mode, default_as_of
from tasks.grading.promotion import Comparison, compared, objections
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.models import ModelCard, ModelError, Promotion
from tasks.predictions.points_model import POINTS_FEATURES, PointsModel, library_versions
from tasks.predictions.predictions import SYSTEMS, said_by
from tasks.predictions.training import MEMORY, Trained, TrainingError, with_results
from tasks.predictions.training import train as train_on
from tasks.sources.base import SourceError

NEWEST_AGE = dt.timedelta(days=31)  # a model that has not seen the last month is trained anew
SHOWN = ("mae", "pinball", "coverage_80", "mae_with_line")


class ModelRefused(ModelError):
    """A model that was trained and must not predict, with every objection."""

    def __init__(self, verdict: Promotion) -> None:
        self.verdict = verdict
        super().__init__(
            f"{verdict.model_id} was trained and is not promoted: {'; '.join(verdict.objections)}. "
            "No other model stands in for it: look into the history that it was trained on"
        )


@dataclass(frozen=True)
class Fitted:
    """A model in the store that has yet to prove itself, and what its training came to."""

    card: ModelCard
    trained: Trained


@flow(name="train")
def train(
    game_day: Annotated[
        dt.date | None, Field(description="Train on games before this day. None: before the day of this run.")
    ] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the simulated league.")] = None,
    home: Annotated[Path | None, Field(description="The workspace. None: one per source in .pipeline.")] = None,
    seasons: Annotated[int, Field(ge=0, description="Seasons of history, where none is built yet.")] = 4,
) -> ModelCard:
    """Train a model on every earlier game, hold it against the current one, and promote it or fail.

    Raises ModelRefused if it must not predict; the current model then stays what it is.
    """
    game_day = game_day or (flow_run.scheduled_start_time or utc_now()).astimezone(EASTERN).date()
    run = Run(
        run_id=new_run_id(Mode.SAME_DAY, game_day),
        mode=Mode.SAME_DAY,
        game_day=game_day,
        as_of=default_as_of(Mode.SAME_DAY, game_day, None),
        data=data,
        home=home_of(data, home),
        fingerprint=code_fingerprint(),
    )
    build_history(run, seasons)
    card = promoted(run, fit(run))
    create_table_artifact(metrics_of(card), key="model-metrics", description=f"{card.id}, on games after its training")
    return card


def fit(run: Run) -> Fitted:
    """Train a points model on games before the run's game day and store it. Raises TrainingError."""
    model, trained = train_on(_grid(run), SYSTEMS)
    card = run.models.save(
        model.files(),
        trained_from=trained.first,
        trained_through=trained.last,
        rows=trained.rows,
        feature_set_version=FEATURE_SET_VERSION,
        features=POINTS_FEATURES,
        libraries=library_versions(),
        metrics=trained.metrics,
        created_at=utc_now(),
    )
    narrate("model", "trained", f"{card.id} on {card.rows:,} games, {card.trained_from} to {card.trained_through}")
    return Fitted(card, trained)


def promoted(run: Run, fitted: Fitted) -> ModelCard:
    """The model, promoted. Raises ModelRefused if it is suspicious, unsound or worse than the current one."""
    current = current_for(run)
    comparison = None if current is None else _beside(run, fitted.trained, current)
    found = objections(fitted.card, comparison, simulated=is_simulated(run.data))
    verdict = run.models.decide(fitted.card.id, found, current.id if current else None, utc_now())
    if not verdict.promoted:
        narrate("model", "refused", "; ".join(verdict.objections))
        raise ModelRefused(verdict)
    beside = "the first one" if comparison is None else f"{comparison.rows:,} games beside {comparison.current}"
    narrate("model", "promoted", f"{fitted.card.id}, {beside}")
    return fitted.card


def model_for(run: Run) -> ModelCard:
    """The newest promoted model that may predict the run's game day; trained now if there is none."""
    card = current_for(run)
    if card is None:
        return promoted(run, fit(run))
    narrate("model", "loaded", f"{card.id}, trained through {card.trained_through}")
    return card


def current_for(run: Run) -> ModelCard | None:
    """The model that predicts the run's game day as things stand."""
    return run.models.usable_for(
        run.game_day,
        newest_age=NEWEST_AGE,
        feature_set_version=FEATURE_SET_VERSION,
        features=POINTS_FEATURES,
        libraries=library_versions(),
    )


def metrics_of(card: ModelCard) -> list[dict[str, str | float | None]]:
    """The card's metrics as rows, one per system."""
    return [
        {"system": system.name} | {name: card.metrics.get(f"{system.name}_{name}") for name in SHOWN}
        for system in SYSTEMS
    ]


def _beside(run: Run, trained: Trained, current: ModelCard) -> Comparison:
    """The candidate and the current model on the games since the current one's training."""
    model = PointsModel.of(run.models.load(current.id))
    if trained.last <= current.trained_through:
        return Comparison(current=current.id, rows=0, worse_by={}, standard_error={})
    return compared(trained, current.id, said_by(model, _grid(run), current.trained_through))


def _grid(run: Run) -> pl.DataFrame:
    """Feature rows before the run's game day with what came of them."""
    days = DayRange(run.game_day - MEMORY, run.game_day - dt.timedelta(days=1))
    warehouse, tables = run.workspace.warehouse, registry()
    features = warehouse.read(tables["ml_feature_store"].writes.spec, days)
    results = warehouse.read(tables["player_game_summary"].writes.spec, days)
    return with_results(features, results)


BAD_INPUT = (SourceError, WorkspaceError, WarehouseError, HistoryMissing, TrainingError, ModelError)
cli = commands()


@cli.command()
def main(
    game_day: Annotated[dt.datetime, typer.Option(formats=DAY, help="Train on games before this day.")],
    data: Seasons = None,
    home: Home = None,
    seasons: Annotated[int, typer.Option(min=0, help="Seasons of history, where none is built yet.")] = 4,
) -> None:
    """Train a model on every game before a day, hold it against the current one, and promote it.

    Exit code 0: promoted. 1: trained and refused, or its history could not be made. 2: something you can put right.
    """
    console = Console()
    with exit_codes(console, BAD_INPUT, failed=(ModelRefused, HistoryFailed)), local_run(console):
        card = train(game_day.date(), data, home, seasons)
    _show(console, card)


def _show(console: Console, card: ModelCard) -> None:
    rows, lines = card.metrics["out_of_time_rows"], card.metrics["line_rows"]
    table = Table(
        title=f"{card.id}, on {rows:,.0f} games after its training ({lines:,.0f} lines)", title_justify="left"
    )
    table.add_column("system", no_wrap=True)
    for name in SHOWN:
        table.add_column(name.replace("_", " "), justify="right")
    for row in metrics_of(card):
        values = (row[name] for name in SHOWN)
        table.add_row(str(row["system"]), *("-" if value is None else f"{value:.3f}" for value in values))
    console.print(table)
    if lines:
        console.print(f"the line itself: {card.metrics['line_mae']:.3f}", highlight=False)


if __name__ == "__main__":
    cli()
