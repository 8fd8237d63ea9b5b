"""Invented bookmakers: what they think a player will score, when they say so, and how they move.

A book knows much but not the truth: its estimate is the league's own median given the injury report of the
hour, with an error that all books share and a smaller one of its own.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import polars as pl

from .availability import OUT, QUESTIONABLE
from .players import FIRST_PLAYER_ID, Players
from .report import MINUTE_US, Report
from .schedule import at_hour
from .season import Setting, plan
from .teams import Team
from .truth import Curves


@dataclass(frozen=True)
class Bookmaker:
    """`opens`: minutes after 10:00 ET at which its lines begin; `whole`: posts whole numbers too."""

    key: str
    opens: int
    coverage: float
    lean: float  # points added to its estimates
    spelling: str  # of names: "full", "plain" (no Jr. or III), "ascii" (no diacritics)
    whole: bool = False
    in_game: bool = False


BOOKMAKERS = (
    Bookmaker("harborline", 0, 0.96, 0.00, "full", in_game=True),
    Bookmaker("northgate", 10, 0.94, 0.10, "plain"),
    Bookmaker("bluefinch", 25, 0.92, -0.10, "full", whole=True),
    Bookmaker("tidewater", 45, 0.90, 0.05, "ascii", in_game=True),
    Bookmaker("ironbridge", 70, 0.86, -0.05, "plain"),
)
SHARED_ERROR, SHARED_ERROR_PER_POINT = 0.85, 0.065  # spread of what all books get wrong, points
OWN_ERROR = 0.28
LINED_FROM_POINTS, LINED_WIDTH = 5.0, 0.9  # expected points at which half of the players get a line
MARGIN = 0.024  # added to each side's chance: the bookmaker's hold


def post_lines(
    rng: np.random.Generator,
    setting: Setting,
    report: Report,
    curves: Curves,
    points: np.ndarray,
    players: Players,
    clubs: tuple[Team, ...],
) -> pl.DataFrame:
    """All snapshots of all books; points: actual points per cell, used by the in-game snapshots only."""
    a = setting.availability
    medians = [
        curves.median(plan(setting, p)[2].points)
        for p in (a.p_absent_early, a.p_absent, np.where(report.final_out | ~setting.there, 1.0, 0.0))
    ]
    minutes = plan(setting, a.p_absent_early)[0]
    likely = 1.0 / (1.0 + np.exp(-(medians[0] - LINED_FROM_POINTS) / LINED_WIDTH))
    lined = (rng.random(likely.shape) < likely) & (minutes > 15) & setting.there & (a.p_absent_early < 0.75)
    row, slot = np.nonzero(lined)
    scale = SHARED_ERROR + SHARED_ERROR_PER_POINT * medians[0][row, slot]
    shared = rng.normal(0.0, 1.0, len(row)) * scale
    later = 0.9 * shared + np.sqrt(1 - 0.9**2) * 0.7 * rng.normal(0.0, 1.0, len(row)) * scale
    estimates = [m[row, slot] + e for m, e in zip(medians, (shared, shared, later), strict=True)]
    waits = (a.noon[row, slot] == QUESTIONABLE) & (rng.random(len(row)) < 0.85)
    gone = (a.noon[row, slot] == OUT, report.final_out[row, slot])
    cells = _Cells(row, slot, estimates, waits, gone, points[row, slot])
    pieces = [_book_rows(rng, setting, book, number, cells) for number, book in enumerate(BOOKMAKERS)]
    return _frame(setting, players, clubs, row, slot, pieces)


@dataclass(frozen=True)
class _Cells:
    row: np.ndarray
    slot: np.ndarray
    estimates: list[np.ndarray]  # at opening, at noon, at the close
    waits: np.ndarray  # no line before his status is settled
    gone: tuple[np.ndarray, np.ndarray]  # taken down at noon, at the close
    points: np.ndarray


_Piece = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _book_rows(rng: np.random.Generator, setting: Setting, book: Bookmaker, number: int, cells: _Cells) -> list[_Piece]:
    """(book, cell, minute, line, over price, under price) of each snapshot one book takes."""
    count = len(cells.row)
    games = len(setting.games)
    of = cells.row // 2
    tip = np.array([int(g.tip.timestamp()) // 60 for g in setting.games])
    ten = np.array([int(at_hour(g.day, 10.0).timestamp()) // 60 for g in setting.games])
    opens = np.minimum(ten + book.opens + rng.integers(0, 50, games), tip - 110)
    noon = ten + 120 + rng.integers(1, 12, games)
    close = tip - rng.integers(2, 10, games)
    has = rng.random(count) < book.coverage
    own = rng.normal(book.lean, OWN_ERROR, count)
    early = has & ~cells.waits
    moved = np.abs(cells.estimates[2] - cells.estimates[1]) > 0.9
    reacts = np.minimum(close[of] - 5, tip[of] - rng.integers(20, 58, count))
    half_way = cells.estimates[1] + 0.6 * (cells.estimates[2] - cells.estimates[1])
    stages = [
        (early, opens[of], cells.estimates[0]),
        (early & ~cells.gone[0] & (noon < tip - 45)[of], noon[of], cells.estimates[1]),
        (early & ~cells.gone[1] & moved, reacts, half_way),
        (has & ~cells.gone[1], close[of], cells.estimates[2]),
    ]
    if book.in_game:
        for after, share in ((28, 0.25), (80, 0.60)):
            live = share * cells.points + (1.0 - share) * cells.estimates[2]
            stages.append((has & ~cells.gone[1], tip[of] + after, live))
    pieces = []
    for shown, minute, estimate in stages:
        which = np.flatnonzero(shown)
        line, over, under = _price(rng, estimate[which] + own[which], book.whole)
        pieces.append((number, which, np.broadcast_to(minute, (count,))[which], line, over, under))
    return pieces


def _price(rng: np.random.Generator, estimate: np.ndarray, whole: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The posted number (a half, at a book with `whole` also whole) and American odds of both sides."""
    line = np.floor(estimate) + 0.5
    if whole:
        near = np.abs(estimate - np.round(estimate)) < 0.22
        line = np.where(near, np.round(estimate), line)
    line = np.maximum(line, 0.5)
    over = 0.5 + 0.07 * (estimate - line) + rng.normal(0.0, 0.006, len(line))
    return line, _american(over + MARGIN), _american(1.0 - over + MARGIN)


def _american(chance: np.ndarray) -> np.ndarray:
    """American odds of a chance between 0 and 1: -100 c/(1-c) for favourites, +100 (1-c)/c for the others."""
    c = np.clip(chance, 0.2, 0.8)
    return np.round(np.where(c >= 0.5, -100.0 * c / (1.0 - c), 100.0 * (1.0 - c) / c))


def _spelt(name: str, spelling: str) -> str:
    if spelling == "ascii":
        return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return " ".join(name.split(" ")[:2]) if spelling == "plain" else name


def _frame(
    setting: Setting,
    players: Players,
    clubs: tuple[Team, ...],
    row: np.ndarray,
    slot: np.ndarray,
    pieces: list[list[_Piece]],
) -> pl.DataFrame:
    flat = [piece for book in pieces for piece in book]
    book = np.concatenate([np.full(len(p[1]), p[0]) for p in flat])
    cell = np.concatenate([p[1] for p in flat])
    game, who = row[cell] // 2, setting.roster[row, slot][cell]
    listed = len(players)
    names = [_spelt(n, b.spelling) for b in BOOKMAKERS for n in players.name]
    games = setting.games
    tips = pl.Series([g.tip for g in games], dtype=pl.Datetime("us", "UTC"))
    minute = pl.Series(np.concatenate([p[2] for p in flat]).astype(np.int64) * MINUTE_US)
    frame = pl.DataFrame(
        {
            "game_date": pl.Series([g.day for g in games], dtype=pl.Date).gather(game),
            "player": pl.Series(names, dtype=pl.String).gather(book * listed + who),
            "bookmaker": pl.Series([b.key for b in BOOKMAKERS]).gather(book),
            "line": np.concatenate([p[3] for p in flat]),
            "over_price": np.concatenate([p[4] for p in flat]),
            "under_price": np.concatenate([p[5] for p in flat]),
            "commence_time": tips.dt.strftime("%Y-%m-%dT%H:%M:%SZ").gather(game),
            "home_team": pl.Series([clubs[g.home].name for g in games]).gather(game),
            "away_team": pl.Series([clubs[g.away].name for g in games]).gather(game),
            "at": minute.cast(pl.Datetime("us", "UTC")),
            "player_id": who + FIRST_PLAYER_ID,
            "game_id": pl.Series([g.game_id for g in games]).gather(game),
            "team": pl.Series([c.code for c in clubs]).gather(setting.club[row][cell]),
        }
    ).sort("at", "game_id", "bookmaker", "player_id", maintain_order=True)
    days = frame["at"].unique(maintain_order=True)
    stamps = pl.DataFrame({"at": days, "snapshot": days.dt.strftime("%Y-%m-%dT%H:%MZ")})
    return frame.join(stamps, on="at", how="left", maintain_order="left").select(
        "game_date",
        "player",
        "bookmaker",
        "line",
        "over_price",
        "under_price",
        "commence_time",
        "home_team",
        "away_team",
        "snapshot",
        pl.lit("simulated").alias("source"),
        "player_id",
        "game_id",
        "team",
        pl.lit(setting.season).alias("season"),
        pl.lit("regular").alias("season_type"),
    )
