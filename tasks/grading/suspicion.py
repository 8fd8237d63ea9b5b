"""The suspicion rule: accuracy that is too good to be true is called probable leakage, not success.

The limits are for the population of `prediction_grades.in_population` on real seasons, where the best that an honest
model without news reaches is an MAE of about 4.65, and of 4.57 with perfect knowledge of who sits. Honest single months
go below 4.5, and honest small samples win 60 % of their bets: therefore each limit counts only from a size on.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import polars as pl

from tasks.engine.plan import Frozen
from tasks.grading.accuracy import ALL, WITH_LINE

LOWEST_MAE, LOWEST_MAE_FROM = 4.5, 9_000  # points, rows of the population
LARGEST_LEAD, LARGEST_LEAD_FROM = 0.03, 2_000  # points of MAE below the line's, rows with a line
HIGHEST_HIT_RATE, HIGHEST_HIT_RATE_ABOVE = 0.60, 500  # share, bets: more than so many
# Points of MAE that knowing who sits is worth to everybody (2021-22 and 2022-23: 0.10 and 0.11). The morning's line did
# not know it, so that a perfect report may lead by so much more; beyond that something else has leaked.
PERFECT_REPORT_IS_WORTH = 0.10
BY_PERFECT_REPORT = "who sits was derived from who played, which no line could know in the morning"
# The simulated league knows its own best: MAE 4.48, on lines 0.19 below its market, which is weaker than the real one.
SIMULATED_LOWEST_MAE, SIMULATED_LARGEST_LEAD, SIMULATED_HIGHEST_HIT_RATE = 4.4, 0.20, 0.70


class Rule(StrEnum):
    """What makes accuracy suspicious."""

    ERROR_TOO_LOW = "error too low"
    LINE_BEATEN_BY_TOO_MUCH = "line beaten by too much"
    TOO_MANY_BETS_WON = "too many bets won"


class Suspicion(Frozen):
    """Accuracy that is too good: which rule, which system, and what was found on how many rows.

    It is probably leakage unless it is `explained` by hindsight that the predictions are known to have had. What is
    explained is still no accuracy that could be had in the morning, and no reason to promote anything.
    """

    rule: Rule
    system: str
    found: str
    explained: str | None = None

    def __str__(self) -> str:
        verdict = "probably leakage" if self.explained is None else "hindsight"
        reason = "" if self.explained is None else f": {self.explained}"
        return f"{self.system}: {self.rule}, {verdict}: {self.found}{reason}"


def suspicions(
    measured: pl.DataFrame, *, simulated: bool = False, perfect_report: bool = False
) -> tuple[Suspicion, ...]:
    """What is suspicious in the rows of `accuracy` (any `by`), in their order.

    The limits are those of real seasons, or the simulated league's own, which knows how good predictions can be. Of
    predictions made from a perfect report a lead over the line is explained as far as that report is worth.
    """
    groups = measured.columns[: measured.columns.index("system")]
    return tuple(
        Suspicion(
            rule=rule,
            system=row["system"],
            found=found + _of(row, groups),
            explained=BY_PERFECT_REPORT if perfect_report and _is_worth_it(rule, row) else None,
        )
        for row in measured.iter_rows(named=True)
        for rule, found in _found(row, *(SIMULATED if simulated else REAL))
    )


def _is_worth_it(rule: Rule, row: dict[str, Any]) -> bool:
    lead_explained = LARGEST_LEAD + PERFECT_REPORT_IS_WORTH
    return rule == Rule.LINE_BEATEN_BY_TOO_MUCH and bool(row["line_mae"] - row["mae"] <= lead_explained)


REAL = (LOWEST_MAE, LARGEST_LEAD, HIGHEST_HIT_RATE)
SIMULATED = (SIMULATED_LOWEST_MAE, SIMULATED_LARGEST_LEAD, SIMULATED_HIGHEST_HIT_RATE)


def _found(row: dict[str, Any], lowest: float, lead_allowed: float, most_won: float) -> Iterator[tuple[Rule, str]]:
    n, mae, line_mae = row["n"], row["mae"], row["line_mae"]
    if row["population"] == ALL and n >= LOWEST_MAE_FROM and mae < lowest:
        yield Rule.ERROR_TOO_LOW, f"MAE {mae:.3f}, below {lowest} (n {n:,})"
    if row["population"] != WITH_LINE:  # its bets are all there are: once is enough
        return
    if n >= LARGEST_LEAD_FROM and line_mae - mae > lead_allowed:
        lead = f"MAE {mae:.3f} against the line's {line_mae:.3f}"
        yield Rule.LINE_BEATEN_BY_TOO_MUCH, f"{lead}, {line_mae - mae:.3f} better, more than {lead_allowed} (n {n:,})"
    if row["bets"] > HIGHEST_HIT_RATE_ABOVE and row["hit_rate"] > most_won:
        rate = f"{row['hit_rate']:.1%} of {row['bets']:,} bets"
        yield Rule.TOO_MANY_BETS_WON, f"{rate}, more than {most_won:.0%}"


def _of(row: dict[str, Any], groups: list[str]) -> str:
    return "".join(f", {name} {row[name]}" for name in groups)
