"""What a day's run came to, as one value: the terminal, the artifacts and the exit code are all read from it."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import polars as pl
from pydantic import AwareDatetime

from tasks.engine.plan import EASTERN, Frozen, Game
from tasks.engine.runner import Outcome

TOP_EDGES = 8


class DayState(StrEnum):
    """What a run came to."""

    COMPLETE = "COMPLETE"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"
    NO_GAMES = "NO_GAMES"


class PhaseReport(Frozen):
    """One phase: how long it took and what its processors came to."""

    name: str
    seconds: float
    outcomes: tuple[Outcome, ...] = ()
    note: str = ""


class Coverage(Frozen):
    """Predictions of one game by one system: rows counted in the store against eligible players."""

    game: str
    system: str
    rows: int
    expected: int


class Edge(Frozen):
    """A recommendation of the ensemble."""

    player: str
    team: str
    opponent: str
    line: float
    predicted: float
    edge: float
    over_probability: float
    recommendation: str


class DayReport(Frozen):
    """Everything a person asks after a run."""

    run_id: str
    mode: str
    game_day: dt.date
    as_of: AwareDatetime
    state: DayState
    reasons: tuple[str, ...] = ()
    games: tuple[Game, ...] = ()
    deadline: AwareDatetime | None = None
    phases: tuple[PhaseReport, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    edges: tuple[Edge, ...] = ()
    model_id: str | None = None
    publication: str | None = None

    @property
    def rows(self) -> int:
        """Predictions counted in the store."""
        return sum(item.rows for item in self.coverage)

    @property
    def expected(self) -> int:
        """Predictions that had to be there."""
        return sum(item.expected for item in self.coverage)


def coverage_of(predictions: pl.DataFrame, expected: pl.DataFrame, games: tuple[Game, ...]) -> tuple[Coverage, ...]:
    """Rows against expected rows for each game and system, from what is in the store."""
    keys = ["game_id", "system"]
    table = (
        expected.group_by(keys)
        .agg(expected=pl.len())
        .join(predictions.group_by(keys).agg(rows=pl.len()), on=keys, how="left")
        .with_columns(pl.col("rows").fill_null(0))
    )
    counts = {(row["game_id"], row["system"]): row for row in table.iter_rows(named=True)}
    systems = expected["system"].unique(maintain_order=True).to_list()
    found = []
    for game in games:
        for system in systems:
            row = counts.get((game.game_id, system), {"rows": 0, "expected": 0})
            found.append(
                Coverage(
                    game=f"{game.away} @ {game.home}",
                    system=system,
                    rows=row["rows"],
                    expected=row["expected"],
                )
            )
    return tuple(found)


def top_edges(predictions: pl.DataFrame, system: str) -> tuple[Edge, ...]:
    """The system's recommendations with the largest edges."""
    bets = predictions.filter((pl.col("system") == system) & pl.col("recommendation").is_in(["OVER", "UNDER"])).sort(
        pl.col("edge").abs(), "player_name", descending=[True, False]
    )
    return tuple(
        Edge(
            player=row["player_name"],
            team=row["team"],
            opponent=row["opponent"],
            line=row["line"],
            predicted=row["predicted_points"],
            edge=row["edge"],
            over_probability=row["over_probability"],
            recommendation=row["recommendation"],
        )
        for row in bets.head(TOP_EDGES).iter_rows(named=True)
    )


def eastern(moment: dt.datetime | None) -> str:
    """A time of day in New York for a person, as 1:30 PM ET."""
    return "unknown" if moment is None else f"{moment.astimezone(EASTERN):%-I:%M %p} ET"


def markdown(report: DayReport) -> str:
    """The report as the markdown artifact of the flow run."""
    lines = [
        f"# {report.mode} {report.game_day}: {report.state}",
        "",
        f"{len(report.games)} games, {report.rows:,} of {report.expected:,} predictions written, "
        f"facts as of {eastern(report.as_of)}, due {eastern(report.deadline)}.",
        "",
        *(f"- {reason}" for reason in report.reasons),
        "",
        "| phase | seconds | outputs |",
        "|---|---|---|",
        *(f"| {phase.name} | {phase.seconds:.1f} | {_outputs(phase)} |" for phase in report.phases),
    ]
    if report.edges:
        lines += [
            "",
            "| player | game | line | predicted | edge | P(over) | |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {edge.player} | {edge.team} v {edge.opponent} | {edge.line:g} | {edge.predicted:.1f} "
            f"| {edge.edge:+.1f} | {edge.over_probability:.0%} | {edge.recommendation} |"
            for edge in report.edges
        ]
    if report.publication:
        lines += [
            "",
            f"Model `{report.model_id}`, run `{report.run_id}`, publication `{report.publication}`.",
        ]
    return "\n".join(lines)


def _outputs(phase: PhaseReport) -> str:
    return ", ".join(f"{outcome.processor} {outcome.state}" for outcome in phase.outcomes) or phase.note
