"""The daily validation: every check finds the failure that it is there for, and a good day passes them all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from blocks.warehouse import LocalWarehouse
from flows import validate_day as validating
from flows.look import observer
from flows.slate import slate
from flows.validate_day import _evidence, cli, validate_day
from tasks.catalog import registry
from tasks.engine.incidents import Incident
from tasks.engine.plan import plan
from tasks.engine.processor import Mode
from tasks.publishing.validation import Evidence, Verdict, validate, verdict_of
from tests.flows.conftest import Finished
from tests.leagues import eastern


@pytest.fixture(scope="module")
def seen(finished: Finished) -> Evidence:
    """What a validation at 2 PM of the finished day looks at."""
    now = eastern(finished.game_day, 14)
    run = observer(now, finished.folder, finished.home)
    return _evidence(run, plan(Mode.SAME_DAY, finished.game_day, slate(run), registry(), now), now)


def verdicts(seen: Evidence) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in validate(seen)}


def test_a_good_day_passes_every_check(seen: Evidence) -> None:
    found = verdicts(seen)
    assert set(found.values()) <= {Verdict.PASS, Verdict.WARN}, validate(seen)
    assert [name for name, verdict in found.items() if verdict != Verdict.PASS] in ([], ["lines"], ["bias"]), found


def lost(seen: Evidence) -> Evidence:
    players = seen.predictions["player_id"].unique().sort()
    return replace(seen, predictions=seen.predictions.filter(pl.col("player_id").is_in(players[:20].implode())))


def one_team_lost(seen: Evidence) -> Evidence:
    return replace(seen, predictions=seen.predictions.filter(pl.col("team") != seen.predictions["team"][0]))


def doubled(seen: Evidence) -> Evidence:
    return replace(seen, predictions=pl.concat([seen.predictions, seen.predictions.head(1)]))


def unpublished(seen: Evidence) -> Evidence:
    return replace(seen, published=None)


def published_before(seen: Evidence) -> Evidence:
    assert seen.published is not None
    return replace(seen, published=seen.published.with_columns(pl.col("predicted_points") + 0.5))


def postponed(seen: Evidence) -> Evidence:
    first = pl.col("game_id") == seen.schedule["game_id"][0]
    status = pl.when(first).then(pl.lit("postponed")).otherwise("status")
    return replace(seen, schedule=seen.schedule.with_columns(status=status))


def two_releases(seen: Evidence) -> Evidence:
    return replace(seen, runs=[{"mode": "same_day", "fingerprint": "41+abc sha256:0"}, *seen.runs])


def stale(seen: Evidence) -> Evidence:
    return replace(seen, stale=[("player_daily_cache", True)])


def out_of_range(seen: Evidence) -> Evidence:
    worst = seen.features.with_columns(pl.lit(-5.0).alias("points_per_minute_ewm_03"))
    column = seen.contract["points_per_minute_ewm_03"]
    assert column.ge is not None
    return replace(seen, features=worst)


def poor(seen: Evidence) -> Evidence:
    return replace(seen, predictions=seen.predictions.with_columns(feature_quality=pl.lit(60.0)))


def too_low(seen: Evidence) -> Evidence:
    """Another library at serving than in training: every prediction 8.6 points low, and nobody saw it."""
    return replace(seen, predictions=seen.predictions.with_columns(edge=pl.col("edge") - 8.6))


def one_sided(seen: Evidence) -> Evidence:
    return replace(seen, predictions=seen.predictions.with_columns(recommendation=pl.lit("UNDER")))


def crossing(seen: Evidence) -> Evidence:
    return replace(seen, predictions=seen.predictions.with_columns(points_q10=pl.col("points_q90") + 1))


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (lost, "coverage"),
        (one_team_lost, "teams"),
        (doubled, "duplicates"),
        (unpublished, "publication"),
        (published_before, "publication"),
        (postponed, "schedule"),
        (two_releases, "release"),
        (stale, "freshness"),
        (out_of_range, "features"),
        (poor, "quality"),
        (too_low, "bias"),
        (one_sided, "directions"),
        (crossing, "intervals"),
    ],
)
def test_every_fault_fails_its_check(seen: Evidence, fault: Callable[[Evidence], Evidence], check: str) -> None:
    assert verdicts(fault(seen))[check] == Verdict.FAIL


def test_labels_and_missing_lines_warn(seen: Evidence) -> None:
    labelled = seen.predictions.with_columns(degraded=pl.lit(value=True), degraded_reasons=pl.lit("no injury report"))
    assert verdicts(replace(seen, predictions=labelled))["degraded"] == Verdict.WARN
    lineless = seen.predictions.with_columns(line=pl.lit(None, dtype=pl.Float64), edge=pl.lit(None, dtype=pl.Float64))
    found = verdicts(replace(seen, predictions=lineless))
    assert (found["lines"], found["bias"]) == (Verdict.WARN, Verdict.WARN)
    assert verdict_of(validate(replace(seen, predictions=labelled))) == Verdict.WARN


def test_a_failed_validation_is_told_once_and_resolved_by_one_that_passes(
    finished: Finished, copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, day, told = copied(), finished.game_day, list[tuple[str, bool]]()

    def tell(incident: Incident, opened: bool, occurred: dt.datetime) -> None:
        told.append((incident.what.partition(":")[0], opened))

    monkeypatch.setattr(validating, "tell", tell)
    warehouse, spec = LocalWarehouse(folder=home / "warehouse"), registry()["predictions"].writes.spec
    rows = finished.read("predictions")
    warehouse.replace(spec, day, rows.filter(pl.col("player_id") % 2 == 0))
    arguments = ["--game-day", str(day), "--data", str(finished.folder), "--home", str(home)]
    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(
        cli, [*arguments, "--now", f"{day}T14:00-04:00"], catch_exceptions=False
    )
    assert result.exit_code == 1, result.output
    assert f"{day}: FAIL" in result.output
    validate_day(now=eastern(day, 14, 5), data=finished.folder, home=home)
    assert told == [("coverage", True)]
    warehouse.replace(spec, day, rows)
    assert validate_day(now=eastern(day, 14, 10), data=finished.folder, home=home).verdict != Verdict.FAIL
    assert told == [("coverage", True), ("coverage", False)]
    nothing = validate_day(dt.date(2025, 12, 24), eastern(dt.date(2025, 12, 24), 14), finished.folder, home)
    assert (nothing.verdict, nothing.sentence) == (Verdict.PASS, "no games, so there is nothing to validate")
