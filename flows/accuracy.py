"""The accuracy report: read the grades of one or several workspaces, write the page, show the headline."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.objects import LocalObjects
from blocks.warehouse import DayRange, LocalWarehouse, WarehouseError
from blocks.workspace import ORIGIN
from flows.clock import utc_now
from flows.command import commands, exit_codes
from flows.home import HOME
from tasks.engine.plan import Frozen
from tasks.grading.accuracy import ALL, WITH_LINE
from tasks.grading.prediction_grades import CONTRACT
from tasks.predictions.models import ModelCard, ModelError, ModelStore
from tasks.predictions.points_model import PointsModel
from tasks.publishing.accuracy_bars import NO_NEWS, PERFECT_REPORT
from tasks.publishing.accuracy_measures import VARIANT, GradesError
from tasks.publishing.accuracy_report import (
    PUBLISHED,
    Evidence,
    accuracy_of,
    accuracy_report,
)
from tasks.publishing.page import html, markdown
from tasks.publishing.wording import count, number, percent, said, start, with_error

OUT = Path("reports/accuracy.html")
SIMULATED = "the simulated league"
_HINDSIGHT = re.compile(r"in hindsight \((\w+)\)")


class AccuracyReport(Frozen):
    """Where the page was written, the same as markdown, the headline's rows, and the reasons to suspect leakage.

    `explained`: accuracy too good to be true, but by hindsight that the predictions are known to have had.
    """

    path: Path
    markdown: str
    headline: tuple[dict[str, Any], ...]
    bars: tuple[dict[str, Any], ...]
    suspicions: tuple[str, ...]
    explained: tuple[str, ...] = ()


@flow(name="accuracy", flow_run_name="accuracy report")
def accuracy(homes: list[Path], variants: list[str] | None = None, out: Path = OUT) -> AccuracyReport:
    """Write the accuracy report of these workspaces and keep it as an artifact. Raises GradesError."""
    report = write_report(homes, variants, out)
    create_markdown_artifact(report.markdown, key="accuracy-report", description="How good the predictions are")
    return report


def write_report(homes: Sequence[Path], variants: Sequence[str] | None = None, out: Path = OUT) -> AccuracyReport:
    """Write the page of the grades in the workspaces `homes` to `out`.

    `variants` labels what the predictions of each workspace knew; without it, each says so itself. Raises GradesError
    for a workspace without grades, and where the labels do not fit the workspaces.
    """
    measured = accuracy_of(evidence_of(homes, variants))
    page = accuracy_report(measured)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html(page), encoding="utf-8")
    return AccuracyReport(
        path=out,
        markdown=markdown(page),
        headline=tuple(measured.headline.to_dicts()),
        bars=tuple(asdict(bar) for bar in measured.bars),
        suspicions=tuple(str(suspicion) for suspicion in measured.suspicions if suspicion.explained is None),
        explained=tuple(str(suspicion) for suspicion in measured.suspicions if suspicion.explained is not None),
    )


def evidence_of(homes: Sequence[Path], variants: Sequence[str] | None = None) -> Evidence:
    """What the workspaces hold for a report. Raises GradesError (see `write_report`)."""
    labels = [said(name) for name in variants] if variants else [_variant(home) for home in homes]
    if len(labels) != len(homes):
        raise GradesError(
            f"{len(labels)} variants for {len(homes)} workspaces: give one --variant for each --home, in order"
        )
    if repeated := {label for label in labels if labels.count(label) > 1}:
        raise GradesError(
            f"two workspaces are both labelled '{repeated.pop()}': tell them apart, with one --variant for each --home"
        )
    graded = [_graded(home).with_columns(variant=pl.lit(label)) for home, label in zip(homes, labels, strict=True)]
    cards = [(home, card) for home in homes for card in _cards(home)]
    importance, importance_of = _importance(cards)
    return Evidence(
        graded=pl.concat(graded),
        written_at=utc_now(),
        origins={label: home.resolve().name for label, home in zip(labels, homes, strict=True)},
        simulated=frozenset(label for label, home in zip(labels, homes, strict=True) if _origin(home) == SIMULATED),
        importance=importance,
        importance_of=importance_of,
        models=tuple({card.id: card for _, card in cards}.values()),
    )


def _origin(home: Path) -> str:
    """A workspace's mark of what its data comes from; empty where it has none."""
    marker = home / ORIGIN
    return marker.read_text() if marker.exists() else ""


def _variant(home: Path) -> str:
    """What the predictions of a workspace knew, by its mark of origin."""
    found = _HINDSIGHT.search(_origin(home))
    labels = {"no_news": NO_NEWS, "perfect_report": PERFECT_REPORT}
    return PUBLISHED if found is None else labels.get(found.group(1), said(found.group(1)))


def _graded(home: Path) -> pl.DataFrame:
    warehouse = LocalWarehouse(folder=home / "warehouse")
    if not warehouse.partitions(CONTRACT.table):
        raise GradesError(
            f"{home} holds no grades: predict and grade finished game days there first (python -m flows.grade), or "
            "name another workspace with --home"
        )
    return warehouse.read(CONTRACT.spec, DayRange())


def _models(home: Path) -> ModelStore:
    return ModelStore(LocalObjects(folder=home / "models"))


def _cards(home: Path) -> list[ModelCard]:
    return _models(home).cards()


def _importance(cards: Sequence[tuple[Path, ModelCard]]) -> tuple[dict[str, float], str]:
    """Feature importance of the newest model that this code can load; none where there is none."""
    for home, card in sorted(cards, key=lambda item: (item[1].trained_through, item[1].id), reverse=True):
        try:
            return PointsModel.of(_models(home).load(card.id)).importance, card.id
        except ModelError:  # trained with other libraries or features: its figures stand, its trees cannot be read
            continue
    return {}, ""


def show(console: Console, report: AccuracyReport) -> None:
    """Print the headline and the verdict."""
    titles = {ALL: "everyone in the population", WITH_LINE: "players with a line"}
    for (variant, population), rows in groupby(report.headline, key=lambda row: (row[VARIANT], row["population"])):
        console.print(_table(list(rows), f"{start(variant)}: {titles[population]}, errors in points"))
    if not report.headline:
        console.print("No graded prediction is of a player who played and belongs to the population.")
    if report.bars:
        console.print(_bars(report.bars))
    for suspicion in report.suspicions:
        console.print(Text(suspicion, style="bold red"), soft_wrap=True)
    for suspicion in report.explained:
        console.print(Text(suspicion, style="yellow"), soft_wrap=True)
    console.print(f"report: {report.path}", soft_wrap=True, highlight=False)


def _bars(bars: Sequence[dict[str, Any]]) -> Table:
    """What the predictions are held to, and whether it holds."""
    table = Table(title="The bar", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, justify in (("figure", "left"), ("season", "left"), ("n", "right"), ("measured", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("bar")
    table.add_column("holds")
    for bar in bars:
        holds = Text("yes", style="green") if bar["holds"] else Text("no", style="bold red")
        table.add_row(bar["what"], bar["season"], count(bar["n"]), bar["figure"], bar["bar"], holds)
    return table


def _table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """The systems of each season, and below them what they are held against, on the first system's rows."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    lined = rows[0]["population"] == WITH_LINE
    for name in ("season", "system"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "MAE", *(("less the line's", "bets won") if lined else ("RMSE", "pinball", "80 % covers"))):
        table.add_column(name, justify="right", no_wrap=True)
    for season, found in groupby(rows, key=lambda row: row["season"]):
        systems = list(found)
        for at, row in enumerate(systems):
            cells = _beside_the_line(row) if lined else _spread(row)
            table.add_row("" if at else season, said(row["system"]), count(row["n"]), number(row["mae"]), *cells)
        other, measure = ("the line", "line_mae") if lined else ("weighted average", "ewm_mae")
        table.add_row("", other, count(systems[0]["n"]), number(systems[0][measure]), style="dim", end_section=True)
    return table


def _beside_the_line(row: dict[str, Any]) -> tuple[str, str]:
    return with_error(row["over_line"], row["over_line_se"]), f"{percent(row['hit_rate'])} of {count(row['bets'])}"


def _spread(row: dict[str, Any]) -> tuple[str, str, str]:
    return number(row["rmse"]), number(row["pinball"]), percent(row["coverage_80"])


cli = commands()


@cli.command()
def main(
    home: Annotated[list[Path] | None, typer.Option(help="Workspace with grades; may be given several times.")] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="What the predictions of each --home knew, in order. Default: as the workspace is marked."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = OUT,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where the headline goes as JSON: a row per season and system.")
    ] = None,
) -> None:
    """Write how good the predictions are as one HTML file, and print the headline.

    Exit code 0: written. 1: written, and something is probable leakage that no hindsight explains. 2: something that
    you can put right.
    """
    console = Console()
    with exit_codes(console, bad_input=(GradesError, WarehouseError, ModelError)):
        report = write_report(home or [HOME / "simulated"], variant, out)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        rows = report.model_dump(include={"headline", "bars", "suspicions", "explained"})
        json_file.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    show(console, report)
    if report.suspicions:
        raise typer.Exit(1)


if __name__ == "__main__":
    cli()
