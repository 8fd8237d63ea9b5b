"""Train: the points model from the feature store and the results of earlier games, kept in the model store."""

from __future__ import annotations

import datetime as dt

from prefect import flow

from blocks.warehouse import DayRange
from flows.clock import utc_now
from flows.narration import narrate
from flows.run import Run
from tasks.catalog import registry
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.models import ModelCard
from tasks.predictions.points_model import POINTS_FEATURES, library_versions
from tasks.predictions.predictions import SYSTEMS
from tasks.predictions.training import MEMORY, with_results
from tasks.predictions.training import train as fit

NEWEST_AGE = dt.timedelta(days=31)  # a model that has not seen the last month is trained anew


@flow(name="train", flow_run_name="train for {run.game_day}")
def train(run: Run) -> ModelCard:
    """Train a points model on games before the run's game day and store it. Raises TrainingError."""
    days = DayRange(run.game_day - MEMORY, run.game_day - dt.timedelta(days=1))
    warehouse = run.workspace.warehouse
    features = warehouse.read(registry()["ml_feature_store"].writes.spec, days)
    results = warehouse.read(registry()["player_game_summary"].writes.spec, days)
    model, trained = fit(with_results(features, results), SYSTEMS)
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
    return card


def model_for(run: Run) -> ModelCard:
    """The newest model that may predict the run's game day; trained now if there is none."""
    card = run.models.usable_for(
        run.game_day,
        newest_age=NEWEST_AGE,
        feature_set_version=FEATURE_SET_VERSION,
        features=POINTS_FEATURES,
        libraries=library_versions(),
    )
    if card is None:
        return train(run)
    narrate("model", "loaded", f"{card.id}, trained through {card.trained_through}")
    return card
