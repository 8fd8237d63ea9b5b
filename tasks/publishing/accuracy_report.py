"""The accuracy report: graded predictions as a page that says how good they are, on which rows, and knowing what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from tasks.grading.accuracy import ALL, WITH_LINE
from tasks.grading.suspicion import HIGHEST_HIT_RATE, LARGEST_LEAD, LOWEST_MAE, Suspicion, suspicions
from tasks.predictions.models import ModelCard
from tasks.publishing.accuracy_bars import HIGHEST_PINBALL, NO_NEWS, PERFECT_REPORT, Held, held
from tasks.publishing.accuracy_figures import (
    ACCEPTED_COVERAGE,
    figures_of,
    importance_figure,
    order_of,
)
from tasks.publishing.accuracy_measures import VARIANT, measures, population_of, with_all_seasons
from tasks.publishing.page import Page, Section, Table, Tile, Verdict
from tasks.publishing.wording import NONE, count, interval, number, percent, said, signed, start, with_error

TITLE = "How good the predictions are"
PUBLISHED = "as published"
POPULATION = "Players who played, with at least 5 earlier games and 10 minutes a game over their last 10"
WORST_SHOWN = 10
MODELS_SHOWN = 10
KNOWN: Mapping[str, str] = {
    PUBLISHED: "What the sources had published by each day's as_of: schedule, rosters, injury reports, lines, results.",
    NO_NEWS: "No injury report: nobody is known to be absent. Box scores of earlier days, schedule, rosters, and lines "
    "taken before as_of.",
    PERFECT_REPORT: "As without news, and who was absent, derived afterwards from who appeared: what turned out to be "
    "true, as a perfect report at tip-off would have said. Nobody knew all of it in the morning.",
}


@dataclass(frozen=True)
class Evidence:
    """What a report is made of.

    `graded`: prediction grades of one or several systems; a column `variant` tells kinds of information apart, rows
    without one are PUBLISHED. `origins`: where each variant's grades come from; `simulated` names those of the
    simulated league. `importance`: feature to its share of the gain of the model `importance_of`. `models`: cards of
    the models in the workspaces.
    """

    graded: pl.DataFrame
    written_at: dt.datetime
    origins: Mapping[str, str] = field(default_factory=dict)
    simulated: frozenset[str] = frozenset()
    importance: Mapping[str, float] = field(default_factory=dict)
    importance_of: str = NONE
    models: Sequence[ModelCard] = ()


@dataclass(frozen=True)
class Accuracy:
    """What the evidence comes to: its rows in the population, the headline (see `measures`), and what is suspicious.

    The headline has a row by variant, season, system and population, and where there are several, for all seasons.
    """

    evidence: Evidence
    rows: pl.DataFrame
    headline: pl.DataFrame
    suspicions: tuple[Suspicion, ...]
    bars: tuple[Held, ...]

    @property
    def variants(self) -> list[str]:
        """Kinds of information, the one that was really to be had first."""
        order = {name: at for at, name in enumerate(KNOWN)}
        return sorted(self.rows[VARIANT].unique(), key=lambda name: (order.get(name, len(order)), name))


def accuracy_of(evidence: Evidence) -> Accuracy:
    """Measure the evidence. Raises GradesError if the grades lack a column."""
    rows = population_of(evidence.graded, PUBLISHED)
    table = measures(with_all_seasons(rows), [VARIANT, "season"])
    order = {name: at for at, name in enumerate(order_of(table["system"].unique()))}
    rank = pl.col("system").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    headline = table.sort(VARIANT, "population", "season", rank)
    found = [
        suspicion
        for (variant,), part in headline.partition_by(VARIANT, as_dict=True, maintain_order=True).items()
        for suspicion in suspicions(
            part, simulated=variant in evidence.simulated, perfect_report=variant == PERFECT_REPORT
        )
    ]
    real = ~pl.col(VARIANT).is_in(sorted(evidence.simulated))
    return Accuracy(evidence, rows, headline, tuple(found), held(headline.filter(real), rows.filter(real)))


def accuracy_report(accuracy: Accuracy) -> Page:
    """The report as a page."""
    if accuracy.rows.is_empty():
        return _without_rows(accuracy.evidence)
    return Page(
        title=TITLE,
        subtitle=_subtitle(accuracy),
        verdict=_verdict(accuracy.suspicions),
        tiles=tuple(_tiles(accuracy.headline.filter(pl.col(VARIANT) == accuracy.variants[0]))),
        sections=tuple(_sections(accuracy)),
        footnote=_FOOTNOTE,
    )


def _subtitle(accuracy: Accuracy) -> str:
    rows = accuracy.rows
    games, days = rows.select("game_id", "player_id").n_unique(), rows["game_day"].unique().sort().to_list()
    league = "The simulated league. " if accuracy.evidence.simulated else ""
    return (
        f"{league}Game days {days[0]} to {days[-1]}: {count(rows.height)} graded predictions of {count(games)} "
        f"player-games. {POPULATION}. Written {accuracy.evidence.written_at:%Y-%m-%d %H:%M} UTC."
    )


def _verdict(found: tuple[Suspicion, ...]) -> Verdict:
    reasons = tuple(_suspected(suspicion) for suspicion in found)
    if any(suspicion.explained is None for suspicion in found):
        return Verdict(False, "Probable leakage: too good to be true until explained, and not to be promoted", reasons)
    if found:
        says = "No sign of leakage in what could be known in the morning; too good to be true is only hindsight"
        return Verdict(True, says, reasons)
    return Verdict(
        True,
        f"No sign of leakage: no system errs by less than {LOWEST_MAE} points, beats the line by more than "
        f"{LARGEST_LEAD} or wins over {percent(HIGHEST_HIT_RATE, 0)} of its bets, where there are enough to judge by",
    )


def _suspected(suspicion: Suspicion) -> str:
    reason = "" if suspicion.explained is None else f". Explained: {suspicion.explained}"
    return f"{start(suspicion.system)}, {suspicion.rule.value}: {suspicion.found}{reason}"


def _tiles(headline: pl.DataFrame) -> Iterator[Tile]:
    """The featured system over all days: a green or red number is one with a bar, passed or missed."""
    system = order_of(headline["system"].unique())[0]
    mine = headline.filter(pl.col("system") == system)
    # With several seasons, the last row of the sorted ones is that of all; otherwise it is the only one.
    rows = {row["population"]: row for row in mine.sort("n").iter_rows(named=True)}
    row, n = rows[ALL], f"n {count(rows[ALL]['n'])}"
    yield Tile(f"Mean absolute error, {said(system)}, {said(row[VARIANT])}", number(row["mae"]), f"points, {n}")
    if line := rows.get(WITH_LINE):
        says = f"± {number(line['over_line_se'])} points, n {count(line['n'])} with a line; below zero is better"
        yield Tile("Its error less the line's", signed(line["over_line"]), says, line["over_line"] < 0)
    if row["coverage_80"] is not None:
        inside = ACCEPTED_COVERAGE[0] <= row["coverage_80"] <= ACCEPTED_COVERAGE[1]
        says = f"at {number(row['width_80'], 1)} points wide, {n}; to be 78 to 82 %"
        yield Tile("80 % interval covers", percent(row["coverage_80"]), says, inside)
    if row["pinball"] is not None:
        passed = row["pinball"] <= HIGHEST_PINBALL
        says = f"points over nine levels, {n}; to be {HIGHEST_PINBALL} at most"
        yield Tile("Mean pinball loss", number(row["pinball"]), says, passed)
    if line is not None and line["bets"]:
        says = f"of {count(line['bets'])}, 95 %: {interval(line['hit_low'], line['hit_high'])}; break-even 52.4 %"
        yield Tile("Bets won", percent(line["hit_rate"]), says)


def _sections(accuracy: Accuracy) -> Iterator[Section]:
    rows, variants, evidence = accuracy.rows, accuracy.variants, accuracy.evidence
    if accuracy.bars:
        yield _bars(accuracy.bars)
    yield Section(
        "headline",
        "By season and system",
        (
            "Every figure of a row is measured on that row's n player-games, the line's and the weighted average's "
            "too. Marked: the smallest error of each season.",
        ),
        tuple(table for variant in variants for table in _headline_tables(accuracy.headline, variant)),
    )
    for at, variant in enumerate(variants):
        who = f"{start(variant)}, all seasons" if rows["season"].n_unique() > 1 else start(variant)
        figures = figures_of(rows.filter(pl.col(VARIANT) == variant), who)
        yield Section(f"charts-{at}", f"In charts: {said(variant)}", (_known(variant),), (), figures)
    yield _worst(rows.filter(pl.col(VARIANT) == variants[0]), variants[0])
    if evidence.importance:
        figure = importance_figure(evidence.importance, evidence.importance_of)
        yield Section("importance", "What the points model looks at", (), (), (figure,))
    sentences = tuple(f"{start(variant)}: {_known(variant)}" for variant in variants)
    yield Section("information", "What was known", sentences, tuple(_information(accuracy)))


def _bars(bars: Sequence[Held]) -> Section:
    missed = [at for at, bar in enumerate(bars) if not bar.holds]
    table = Table(
        "What the predictions are held to; marked: what falls short",
        ("figure", "season", "n", "measured", "bar", "holds"),
        tuple((bar.what, bar.season, count(bar.n), bar.figure, bar.bar, "yes" if bar.holds else "no") for bar in bars),
        row_headers=2,
        marked=frozenset(missed),
    )
    says = (
        "Without news unless the figure says otherwise. A figure is held against its bar at the bar's own decimals; "
        "± is one standard error, which chance alone exceeds in one of three.",
    )
    return Section("bar", f"The bar: {len(bars) - len(missed)} of {len(bars)} hold", says, (table,))


def _headline_tables(headline: pl.DataFrame, variant: str) -> Iterator[Table]:
    mine = headline.filter(pl.col(VARIANT) == variant)
    everyone = mine.filter(pl.col("population") == ALL).to_dicts()
    lined = mine.filter(pl.col("population") == WITH_LINE).to_dicts()
    yield Table(
        f"{start(variant)}: everyone in the population, with and without a line. Errors in points.",
        ("system", "season", "n", "MAE", "weighted average's MAE", "RMSE", "pinball", "80 % covers", "width"),
        tuple(
            (said(row["system"]), row["season"], count(row["n"]), number(row["mae"]), number(row["ewm_mae"]),
             *_spread(row))
            for row in everyone
        ),
        row_headers=2,
        marked=_best(everyone),
        breaks=_begins(everyone),
    )  # fmt: skip
    if not lined:
        return
    yield Table(
        f"{start(variant)}: players with a line. Errors in points, differences with their paired standard errors.",
        ("system", "season", "n", "MAE", "line's MAE", "difference", "weighted average's MAE", "RMSE", "pinball",
         "80 % covers", "width", "bets", "won"),
        tuple(
            (said(row["system"]), row["season"], count(row["n"]), number(row["mae"]), number(row["line_mae"]),
             with_error(row["over_line"], row["over_line_se"]), number(row["ewm_mae"]), *_spread(row),
             count(row["bets"]), percent(row["hit_rate"]))
            for row in lined
        ),
        row_headers=2,
        marked=_best(lined),
        breaks=_begins(lined),
    )  # fmt: skip


def _spread(row: Mapping[str, float | None]) -> tuple[str, ...]:
    return (number(row["rmse"]), number(row["pinball"]), percent(row["coverage_80"]), number(row["width_80"], 2))


def _best(rows: Sequence[Mapping[str, float]]) -> frozenset[int]:
    """The system with the smallest error in each season."""
    best: dict[object, int] = {}
    for at, row in enumerate(rows):
        if row["season"] not in best or row["mae"] < rows[best[row["season"]]]["mae"]:
            best[row["season"]] = at
    return frozenset(best.values())


def _begins(rows: Sequence[Mapping[str, float]]) -> frozenset[int]:
    """The rows in which another season begins."""
    return frozenset(at for at in range(1, len(rows)) if rows[at]["season"] != rows[at - 1]["season"])


def _worst(rows: pl.DataFrame, variant: str) -> Section:
    system = order_of(rows["system"].unique())[0]
    largest = rows.filter(pl.col("system") == system).sort("absolute_error", "game_day", *("game_id", "player_id"),
                                                           descending=[True, False, False, False])  # fmt: skip
    table = Table(
        f"The {WORST_SHOWN} largest errors of {said(system)}, {said(variant)}",
        ("player", "game day", "predicted", "80 % interval", "line", "scored", "minutes"),
        tuple(
            (row["player_name"], str(row["game_day"]), number(row["predicted_points"], 1),
             _between(row["points_q10"], row["points_q90"]), number(row["line"], 1), number(row["actual_points"], 0),
             number(row["actual_minutes"], 0))
            for row in largest.head(WORST_SHOWN).iter_rows(named=True)
        ),
        row_headers=2,
    )  # fmt: skip
    return Section("worst", "Where it was furthest off", (), (table,))


def _between(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{number(low, 0)} to {number(high, 0)}"


def _information(accuracy: Accuracy) -> Iterator[Table]:
    """What each variant knew, when its lines were taken, and the models behind it."""
    evidence, found = accuracy.evidence, []
    for variant in accuracy.variants:
        mine = accuracy.rows.filter(pl.col(VARIANT) == variant)
        once = mine.unique(["game_id", "player_id"])
        before = ((once["tip_off"] - once["line_snapshot_at"]).dt.total_minutes() / 60).drop_nulls()
        lines = f"{number(_median(before), 1)} hours (n {count(before.len())})" if before.len() else NONE
        days, models = mine["game_day"].n_unique(), mine["model_id"].drop_nulls().n_unique()
        origin = evidence.origins.get(variant, NONE)
        found.append((said(variant), count(days), lines, count(models) if models else NONE, origin))
    columns = ("information", "game days", "line taken before tip-off, median",
               "models", "workspace")  # fmt: skip
    yield Table("Information that the predictions were made from", columns, tuple(found))
    used = accuracy.rows["model_id"].unique().to_list()
    cards = sorted(evidence.models, key=lambda card: (card.trained_through, card.id), reverse=True)
    behind = [card for card in cards if card.id in used]
    if behind:
        yield Table(
            f"Models behind the predictions: the newest {min(len(behind), MODELS_SHOWN)} of {len(behind)}",
            ("model", "trained on games from", "to", "rows", "feature set"),
            tuple(
                (card.id, str(card.trained_from), str(card.trained_through), count(card.rows),
                 str(card.feature_set_version))
                for card in behind[:MODELS_SHOWN]
            ),
        )  # fmt: skip


def _median(values: pl.Series) -> float | None:
    middle = values.median()
    return float(middle) if isinstance(middle, int | float) else None


def _known(variant: str) -> str:
    return KNOWN.get(variant, "What was known is not described for this label.")


def _without_rows(evidence: Evidence) -> Page:
    graded = evidence.graded.height
    return Page(
        TITLE,
        f"Nothing to measure yet. Written {evidence.written_at:%Y-%m-%d %H:%M} UTC.",
        Verdict(None, "Nothing is judged: there are no rows"),
        (),
        (
            Section(
                "nothing",
                "No rows",
                (
                    f"None of the {count(graded)} graded predictions is of a player who played and belongs to the "
                    "population: grade finished game days first (flows/grade.py).",
                ),
            ),
        ),
        POPULATION + ".",
    )


_FOOTNOTE = (
    "MAE: mean absolute error of the predicted points. RMSE: root of the mean squared error. Pinball: mean quantile "
    "loss over the nine levels 10 to 90 % (Koenker and Bassett, 1978). Difference: MAE less the line's MAE on the same "
    "rows, ± the standard error of the mean paired difference. Weighted average: of a player's earlier games, "
    "exponentially, alpha 0.10. Bets: recommended sides, without pushes and players who sat; intervals by Wilson "
    "(1927), players of one game counted as independent. Break-even is for a price of -110."
)
