"""The season's games: who meets whom, on which day, at what hour, and which games are postponed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from .seeds import stream
from .teams import Team

EASTERN = ZoneInfo("America/New_York")

# The fixed day: the eleven games of December 29, 2025, home, away and tip-off (hour ET), ids 0022500447 on.
FIXED_DAY = date(2025, 12, 29)
FIXED_SEASON = "2025-26"
FIXED_FIRST_NUMBER = 447
FIXED_GAMES = (
    ("CHA", "MIL", 19.0),
    ("WAS", "PHX", 19.0),
    ("BKN", "GSW", 19.5),
    ("MIA", "DEN", 19.5),
    ("TOR", "ORL", 19.5),
    ("CHI", "MIN", 20.0),
    ("HOU", "IND", 20.0),
    ("NOP", "NYK", 20.0),
    ("OKC", "ATL", 20.0),
    ("SAS", "CLE", 20.0),
    ("POR", "DAL", 23.0),
)
# Relative weight of a game day by weekday, Monday first: Tuesdays and Thursdays are thin.
WEEKDAY_WEIGHT = (7.8, 6.4, 9.1, 5.8, 9.0, 7.1, 7.9)
POSTPONED_A_SEASON = 2


@dataclass(frozen=True)
class Game:
    """One row of the schedule. `home` and `away` are indices into the league's teams."""

    game_id: str
    day: date
    home: int
    away: int
    tip: datetime
    postponed_at: datetime | None = None  # this row was called off then; it has no result
    announced_at: datetime | None = None  # this row (a make-up game) entered the schedule then


def season_bounds(season: str) -> tuple[date, date]:
    """First and last day of a regular season: a Tuesday in late October to a Sunday in mid-April."""
    if season == FIXED_SEASON:
        return date(2025, 10, 21), date(2026, 4, 12)
    year = int(season[:4])
    start = date(year, 10, 18)
    start += timedelta(days=(1 - start.weekday()) % 7)
    end = date(year + 1, 4, 9)
    end += timedelta(days=(6 - end.weekday()) % 7)
    return start, end


def days_off(season: str) -> set[date]:
    """Days without games: Thanksgiving, Christmas Eve, six days around the all-star game, last Saturday."""
    start, end = season_bounds(season)
    november = date(start.year, 11, 1)
    thanksgiving = november + timedelta(days=(3 - november.weekday()) % 7 + 21)
    february = date(end.year, 2, 1)
    all_star_friday = february + timedelta(days=(4 - february.weekday()) % 7 + 7)
    gap = {all_star_friday + timedelta(days=i) for i in range(6)}
    return {thanksgiving, date(start.year, 12, 24), end - timedelta(days=1), *gap}


def season_games(seed: int, season: str, clubs: tuple[Team, ...], games_per_team: int) -> list[Game]:
    """All games of a season by id, postponed rows included; every played game has exactly one row of its own.

    Each team plays `games_per_team` games, half at home (one apart when odd), never twice a day.
    """
    rng = stream(seed, season, "schedule")
    pairs = _match_ups(rng, len(clubs), games_per_team)
    fixed = _fixed_pairs(season, clubs, pairs)
    placed = _place_on_days(rng, season, pairs, fixed, len(clubs), games_per_team)
    return _with_ids(rng, season, clubs, placed, fixed)


def _match_ups(rng: np.random.Generator, count: int, games_per_team: int) -> list[tuple[int, int]]:
    """(home, away) pairs by the circle method: rounds in which every team plays once, each also mirrored."""
    pairs: list[tuple[int, int]] = []
    half = (games_per_team + 1) // 2
    order: list[int] = []
    for number in range(half):
        step = number % (count - 1)
        if step == 0:
            order = [int(i) for i in rng.permutation(count)]
        ring = [order[0], *np.roll(order[1:], step).tolist()]
        meetings = [(ring[i], ring[count - 1 - i]) for i in range(count // 2)]
        meetings = [(a, b) if (i + number) % 2 else (b, a) for i, (a, b) in enumerate(meetings)]
        pairs += meetings
        if 2 * number + 2 <= games_per_team:
            pairs += [(b, a) for a, b in meetings]
    return pairs


def _fixed_pairs(season: str, clubs: tuple[Team, ...], pairs: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """The fixed day's games that this league can hold, taken out of `pairs`."""
    index = {club.code: i for i, club in enumerate(clubs)}
    if season != FIXED_SEASON or len(clubs) < 30:
        return {}
    fixed = {(index[h], index[a]): hour for h, a, hour in FIXED_GAMES}
    if not all(pair in pairs for pair in fixed):
        return {}  # too few games a team for every pair to meet
    for pair in fixed:
        pairs.remove(pair)
    return fixed


def _place_on_days(
    rng: np.random.Generator,
    season: str,
    pairs: list[tuple[int, int]],
    fixed: dict[tuple[int, int], float],
    count: int,
    games_per_team: int,
) -> list[tuple[date, int, int]]:
    """Give each game a day, greedily: teams furthest behind an even pace play first, back-to-backs rarely."""
    start, end = season_bounds(season)
    off = days_off(season)
    days = [start + timedelta(days=i) for i in range((end - start).days + 1)]
    days = [d for d in days if d not in off and not (fixed and d == FIXED_DAY)]
    weights = np.array([WEEKDAY_WEIGHT[d.weekday()] for d in days]) * np.exp(rng.normal(0.0, 0.25, len(days)))
    weights[-1] = 3.0 * weights.mean()  # on the last day nearly everyone plays
    due = np.diff(np.concatenate([[0.0], np.cumsum(weights / weights.sum() * len(pairs))]).round()).astype(int)
    played: list[set[int]] = [set() for _ in range(count)]  # ordinals of the days on which each team plays
    placed: list[tuple[date, int, int]] = []
    for home, away in fixed:
        placed.append((FIXED_DAY, home, away))
        played[home].add(FIXED_DAY.toordinal())
        played[away].add(FIXED_DAY.toordinal())
    remaining = [pairs[i] for i in rng.permutation(len(pairs))]
    owed = np.zeros(count)
    for day, quota in zip(days, due, strict=True):
        owed += quota * 2 / count
        remaining = _fill_day(rng, day, int(quota), remaining, played, owed, placed)
    _place_left_over(days, remaining, played, placed)
    return placed


def _fill_day(
    rng: np.random.Generator,
    day: date,
    quota: int,
    remaining: list[tuple[int, int]],
    played: list[set[int]],
    owed: np.ndarray,
    placed: list[tuple[date, int, int]],
) -> list[tuple[int, int]]:
    """Place up to `quota` of the remaining games on `day`; returns those still to place."""
    ordinal = day.toordinal()
    eager = owed + rng.normal(0.0, 0.18, len(owed))
    for team, dates in enumerate(played):
        if ordinal in dates or _too_dense(dates, ordinal):
            eager[team] = -np.inf
        elif ordinal - 1 in dates or ordinal + 1 in dates:
            eager[team] -= 0.26
        elif ordinal - 2 not in dates:
            eager[team] += 0.3
    scores = [eager[h] + eager[a] for h, a in remaining]
    busy: set[int] = set()
    chosen: set[int] = set()
    for i in np.argsort(-np.array(scores), kind="stable").tolist():
        if len(chosen) == quota or scores[i] == -np.inf:
            break
        home, away = remaining[i]
        if home in busy or away in busy:
            continue
        chosen.add(i)
        busy |= {home, away}
        placed.append((day, home, away))
        for team in (home, away):
            played[team].add(ordinal)
            owed[team] -= 1.0
    return [pair for i, pair in enumerate(remaining) if i not in chosen]


def _too_dense(dates: set[int], ordinal: int) -> bool:
    """Would a game here be the third in three days, or the fourth in five?"""
    near = [d for d in range(ordinal - 4, ordinal + 5) if d in dates]
    if any(sum(w <= d < w + 3 for d in near) >= 2 for w in range(ordinal - 2, ordinal + 1)):
        return True
    return any(sum(w <= d < w + 5 for d in near) >= 3 for w in range(ordinal - 4, ordinal + 1))


def _place_left_over(
    days: list[date],
    remaining: list[tuple[int, int]],
    played: list[set[int]],
    placed: list[tuple[date, int, int]],
) -> None:
    """Games that the greedy pass left: the day that crowds both teams least, never one either plays on."""
    for home, away in remaining:
        both = played[home] | played[away]
        free = [d for d in days if d.toordinal() not in both]
        if not free:
            raise ValueError("games_per_team leaves no free day for every game: choose fewer games a team")
        calm = [d for d in free if not any(_too_dense(played[t], d.toordinal()) for t in (home, away))] or free
        day = min(calm, key=lambda d: (sum(d.toordinal() + k in both for k in (-1, 1)), d))
        placed.append((day, home, away))
        played[home].add(day.toordinal())
        played[away].add(day.toordinal())


def _tip_hours(rng: np.random.Generator, day: date, homes: list[Team]) -> list[float]:
    """Hours ET at which a day's games start: Christmas from noon, weekend matinees, else the club's usual."""
    if (day.month, day.day) == (12, 25):
        return [12.0 + 2.5 * min(i, 4) for i in range(len(homes))]
    hours = []
    for club in homes:
        hour = club.tip_hour_et
        if day.weekday() >= 5 and rng.random() < (0.14 if day.weekday() == 5 else 0.34):
            first = 12.0 if hour < 21 else 15.0
            hour = first + float(rng.choice([0.0, 0.5, 1.0, 3.0, 3.5], p=[0.10, 0.05, 0.25, 0.25, 0.35]))
        elif day.weekday() == 6:
            hour -= 1.0
        elif rng.random() < 0.12:
            hour += float(rng.choice([-0.5, 0.5]))
        hours.append(hour)
    return hours


def at_hour(day: date, hour: float) -> datetime:
    """The instant, in UTC, of `hour` o'clock Eastern Time on a game day."""
    local = datetime(day.year, day.month, day.day, tzinfo=EASTERN)
    return local.replace(hour=int(hour), minute=round(hour % 1 * 60)).astimezone(UTC)


def _with_ids(
    rng: np.random.Generator,
    season: str,
    clubs: tuple[Team, ...],
    placed: list[tuple[date, int, int]],
    fixed: dict[tuple[int, int], float],
) -> list[Game]:
    """Tip-offs, ids in order of tip-off (the fixed games keep theirs), then the season's postponements."""
    prefix = f"002{season[2:4]}"
    timed: list[tuple[datetime, int, int, date]] = []
    fixed_rows: list[Game] = []
    for number, ((home, away), hour) in enumerate(fixed.items(), FIXED_FIRST_NUMBER):
        fixed_rows.append(Game(f"{prefix}{number:05d}", FIXED_DAY, home, away, at_hour(FIXED_DAY, hour)))
    for day in sorted({d for d, _, _ in placed}):
        todays = sorted((h, a) for d, h, a in placed if d == day)
        if fixed and day == FIXED_DAY:
            continue
        hours = _tip_hours(rng, day, [clubs[h] for h, _ in todays])
        timed += [(at_hour(day, hour), h, a, day) for hour, (h, a) in zip(hours, todays, strict=True)]
    taken = {row.game_id for row in fixed_rows}
    numbers = (n for n in range(1, len(placed) + 1) if f"{prefix}{n:05d}" not in taken)
    rows = [Game(f"{prefix}{next(numbers):05d}", day, h, a, tip) for tip, h, a, day in sorted(timed)]
    return _postpone(rng, prefix, sorted(rows + fixed_rows, key=lambda g: g.game_id), clubs)


def _postpone(rng: np.random.Generator, prefix: str, rows: list[Game], clubs: tuple[Team, ...]) -> list[Game]:
    """Call off a few winter games on their day; each is made up later under an id of its own."""
    busy = {(team, row.day) for row in rows for team in (row.home, row.away)}
    days = sorted({row.day for row in rows})
    candidates = [i for i, row in enumerate(rows) if row.day.month in (1, 2)]
    made_up: list[Game] = []
    for i in rng.permutation(candidates).tolist():
        row = rows[i]
        later = [d for d in days if d > row.day + timedelta(days=10) and _free_around(busy, row, d)]
        if len(made_up) == POSTPONED_A_SEASON or not later:
            continue
        day = later[int(rng.integers(min(len(later), 15)))]
        called_off = row.tip - timedelta(hours=4)
        busy |= {(row.home, day), (row.away, day)}
        tip = at_hour(day, clubs[row.home].tip_hour_et)
        announced = called_off + timedelta(days=3)
        number = len(rows) + len(made_up) + 1
        made_up.append(Game(f"{prefix}{number:05d}", day, row.home, row.away, tip, announced_at=announced))
        rows[i] = Game(row.game_id, row.day, row.home, row.away, row.tip, postponed_at=called_off)
    return rows + made_up


def _free_around(busy: set[tuple[int, date]], row: Game, day: date) -> bool:
    around = (day - timedelta(days=1), day, day + timedelta(days=1))
    return not any((team, d) in busy for team in (row.home, row.away) for d in around)
