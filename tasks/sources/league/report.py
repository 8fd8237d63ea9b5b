"""The injury report as it appears: rows with the instant of publication, and what each stage reveals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from .availability import DOUBTFUL, LONG, NONE, OUT, PROBABLE, QUESTIONABLE, REST, STATUS_NAMES
from .players import FIRST_PLAYER_ID, Players
from .schedule import at_hour
from .season import Setting
from .teams import Team

NEVER_REPORTED = 0.03  # of absences not OUT by noon: the player simply does not appear
MINUTE_US = 60_000_000
MINOR = ("Illness", "Left Knee; Soreness", "Right Ankle; Soreness", "Back; Tightness", "Left Hip; Contusion")
SERIOUS = ("Right Hamstring; Strain", "Left Ankle; Sprain", "Right Calf; Strain", "Left Groin; Strain")
LASTING = (
    "Right Foot; Stress Reaction",
    "Left Knee; Surgery",
    "Right Hand; Fracture",
    "Left Shoulder; Surgery",
)
REASONS = (*MINOR, *SERIOUS, *LASTING, "Rest")


@dataclass(frozen=True)
class Report:
    """`frame`: the rows of `injuries`. `final_out`: per cell, OUT on the last report before tip-off."""

    frame: pl.DataFrame
    final_out: np.ndarray


def publish(rng: np.random.Generator, setting: Setting, players: Players, clubs: tuple[Team, ...]) -> Report:
    """Turn statuses into rows: of the evening before, then of the morning and the afternoon where changed."""
    a = setting.availability
    shape = setting.roster.shape
    tip = np.repeat([int(g.tip.timestamp()) // 60 for g in setting.games], 2)  # minutes since 1970
    nine = np.repeat([int(at_hour(g.day, 9.0).timestamp()) // 60 for g in setting.games], 2)
    early_tip = tip < nine + 330  # before 14:30 ET
    before = [at_hour(g.day - timedelta(days=1), 17.5) for g in setting.games]
    evening = np.repeat([int(b.timestamp()) // 60 for b in before], 2) + np.round(rng.exponential(40.0, shape).T).clip(
        0, 240
    )
    morning = np.where(a.known_early, rng.integers(-30, 55, shape), rng.integers(65, 125, shape)).T
    morning = np.minimum(nine + morning, np.minimum(nine + 160, tip - 95))
    span = np.where(early_tip, 25, tip - 60 - (nine + 240))
    start = np.where(early_tip, tip - 85, nine + 240)
    afternoon = start + np.floor(np.sqrt(rng.random(shape)).T * span)
    late = rng.random(shape)
    final = a.noon.copy()
    final[a.absent & (a.noon != OUT) & (late > NEVER_REPORTED)] = OUT
    final[~a.absent & np.isin(a.noon, (QUESTIONABLE, DOUBTFUL)) & (late < 0.6)] = PROBABLE
    pieces = [
        (a.evening, a.evening != NONE, evening.T),
        (a.noon, (a.noon != NONE) & (a.noon != a.evening), morning.T),
        (final, (final != a.noon) & (final != NONE), afternoon.T),
    ]
    reasons = _reasons(rng, setting)
    frames = [_rows(setting, players, clubs, reasons, *piece) for piece in pieces]
    frame = pl.concat(frames).sort("reported_at", "game_id", "player_id", maintain_order=True)
    return Report(frame, (final == OUT) & setting.there)


def _reasons(rng: np.random.Generator, setting: Setting) -> np.ndarray:
    """Index into REASONS per cell. A spell under way shows its kind; a new absence could be anything."""
    a = setting.availability
    who = np.maximum(setting.roster, 0)
    pick = (who * 7 + setting.day[:, None] // 40) % 4
    minor = rng.integers(0, len(MINOR) + len(SERIOUS), who.shape)
    lasting = len(MINOR) + len(SERIOUS) + pick
    reason = np.where(a.first, minor, np.where(a.kind == LONG, lasting, np.where(a.kind >= 2, 5 + pick, pick)))
    return np.where((a.kind == REST) & (a.noon == OUT), len(REASONS) - 1, reason)


def _rows(
    setting: Setting,
    players: Players,
    clubs: tuple[Team, ...],
    reasons: np.ndarray,
    status: np.ndarray,
    shown: np.ndarray,
    minutes: np.ndarray,
) -> pl.DataFrame:
    row, slot = np.nonzero(shown & setting.there)
    who = setting.roster[row, slot]
    return pl.DataFrame(
        {
            "game_date": pl.Series([g.day for g in setting.games], dtype=pl.Date).gather(row // 2),
            "game_id": pl.Series([g.game_id for g in setting.games], dtype=pl.String).gather(row // 2),
            "player_id": who + FIRST_PLAYER_ID,
            "player": pl.Series(players.name).gather(who),
            "team": pl.Series([c.code for c in clubs]).gather(setting.club[row]),
            "status": pl.Series(STATUS_NAMES).gather(status[row, slot]),
            "reason": pl.Series(REASONS).gather(reasons[row, slot]),
            "reported_at": pl.Series(minutes[row, slot].astype(np.int64) * MINUTE_US).cast(pl.Datetime("us", "UTC")),
        }
    )
