"""The Odds API's points lines: a free list of the day's games, then one paid request for each, within the quota."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from pydantic import AwareDatetime, ValidationError

from blocks.warehouse import DayRange
from tasks.engine.plan import EASTERN
from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.live.shape import Found, Row, dig, envelope, frame, items, judge, read_json
from tasks.sources.live.web import NotData, Refused, Response, Web

LABEL = "Odds API"
EVENTS = "/v4/sports/basketball_nba/events"
MARKET = "player_points"
REMAINING = "x-requests-remaining"


class _Event(Found):
    id: str
    commence_time: AwareDatetime
    home_team: str
    away_team: str


class _Outcome(Found):
    name: str
    description: str
    price: float
    point: float


class _Market(Found):
    key: str
    last_update: AwareDatetime
    outcomes: list[Any]


class _Odds(_Event):
    bookmakers: list[Any]


def fetch(web: Web, days: DayRange, most: int | None = None) -> tuple[list[Response], list[str]]:
    """The odds of every game of the days, or of the first few of them, and notes on the games that could not be had.

    Raises SourceError without a key or a game, where the quota does not reach, or where not one game could be had.
    """
    key = web.settings.odds_key
    if key is None:
        raise Refused(f"{LABEL}: no key; set odds_key (docs/sources.md)")
    secret = {"apiKey": key.get_secret_value()}
    listed = web.get("odds", EVENTS, label=f"{LABEL} events", secret=secret, params=_window(days))
    assert listed is not None
    events = _events(listed, days)[:most]
    _hold_quota(web, len(events))
    params = {"regions": web.settings.odds_regions, "markets": MARKET, "oddsFormat": "american"}

    def odds(event: _Event) -> Response:
        label = f"{LABEL} {event.away_team} at {event.home_team}"
        response = web.get("odds", f"{EVENTS}/{event.id}/odds", label=label, secret=secret, params=params)
        assert response is not None
        _ = envelope(response, _Odds)
        return response

    answers = web.each(odds, events)
    responses = [item for item in answers if isinstance(item, Response)]
    errors = [item for item in answers if isinstance(item, SourceError)]
    if not responses:
        raise errors[0]
    return responses, [str(error) for error in errors]


def rows(response: Response, file: str) -> pl.DataFrame:
    """A row a player, book and number, with the prices of both sides, as found."""
    event = envelope(response, _Odds)
    about: Row = {
        "game_date": event.commence_time.astimezone(EASTERN).date().isoformat(),
        "commence_time": event.commence_time.isoformat(),
        "home_team": event.home_team,
        "away_team": event.away_team,
    }
    lines: dict[tuple[str | None, ...], Row] = {}
    for book, market, outcome in _outcomes(event):
        line: Row = {
            "bookmaker": dig(book, "key"),
            "snapshot": dig(market, "last_update"),
            "player": dig(outcome, "description"),
            "line": dig(outcome, "point"),
        }
        side = {"Over": "over_price", "Under": "under_price"}.get(dig(outcome, "name") or "")
        if side is None:
            # Neither over nor under is no line: it is shown to phase 2 as what it is, which refuses it.
            line["line"] = " ".join(filter(None, (dig(outcome, "name"), line["line"]))) or None
        held = lines.setdefault(tuple(line.values()), about | line)
        if side is not None:
            held.setdefault(side, dig(outcome, "price"))
    return frame(lines.values(), REQUIRED_COLUMNS[Kind.PROP_LINES], file)


def notes(responses: Sequence[Response]) -> list[str]:
    """What is not as documented, and games without a line. Raises NotData where no game has any, or most are unlike."""
    found = [(response, envelope(response, _Odds)) for response in responses]
    outcomes = [outcome for _, event in found for _, _, outcome in _outcomes(event)]
    markets = [market for _, event in found for book in event.bookmakers for market in items(_part(book, "markets"))]
    if not outcomes:
        raise NotData(f"{LABEL}: not one points line in {len(found)} games")
    said = judge(LABEL, "markets", markets, _Market) + judge(LABEL, "outcomes", outcomes, _Outcome)
    without = [f"{event.away_team} at {event.home_team}" for _, event in found if not any(_outcomes(event))]
    return said + ([f"{LABEL}: no points line yet for {', '.join(without)}"] if without else [])


def quota(web: Web) -> str | None:
    """What is left of the month's quota, as the site last said."""
    said = web.quota.get("odds")
    if said is None:
        return None
    return f"{said.get(REMAINING, '?')} left, {said.get('x-requests-used', '?')} used"


def _events(response: Response, days: DayRange) -> list[_Event]:
    document = read_json(response)
    if not isinstance(document, list):
        raise NotData(f"{response.label}: no list of games; it begins with {response.beginning}")
    _ = judge(response.label, "games", document, _Event)
    events = list(_readable(document))
    wanted = [event for event in events if event.commence_time.astimezone(EASTERN).date() in days]
    if not wanted:
        raise NotData(f"{response.label}: not one game on {days}, though the schedule has some")
    return list({event.id: event for event in wanted}.values())


def _readable(document: list[Any]) -> Iterator[_Event]:
    """The entries that are games; the others have been noted by `judge`."""
    for item in document:
        try:
            yield _Event.model_validate(item)
        except ValidationError:
            continue


def _hold_quota(web: Web, games: int) -> None:
    """Raise Refused rather than ask for what the quota does not hold."""
    settings = web.settings
    left = web.quota.get("odds", {}).get(REMAINING, "")
    cost = games * len([region for region in settings.odds_regions.split(",") if region.strip()])
    try:
        remaining = float(left)
    except ValueError:
        return  # the site did not say
    if remaining - cost < settings.odds_reserve:
        raise Refused(
            f"{LABEL}: {remaining:.0f} requests of the month's quota are left and {games} games cost {cost}, with "
            f"{settings.odds_reserve} held back: wait for the next month, or lower odds_reserve"
        )


def _window(days: DayRange) -> dict[str, str]:
    """From the first day's morning to the morning after the last, in New York: a late game belongs to its evening."""
    assert days.first is not None
    assert days.last is not None
    first = dt.datetime.combine(days.first, dt.time(4), EASTERN).astimezone(dt.UTC)
    last = dt.datetime.combine(days.last + dt.timedelta(days=1), dt.time(4), EASTERN).astimezone(dt.UTC)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {"commenceTimeFrom": first.strftime(form), "commenceTimeTo": last.strftime(form)}


def _outcomes(event: _Odds) -> list[tuple[Any, Any, Any]]:
    return [
        (book, market, outcome)
        for book in event.bookmakers
        for market in items(_part(book, "markets"))
        if _part(market, "key") == MARKET
        for outcome in items(_part(market, "outcomes"))
    ]


def _part(entity: Any, name: str) -> Any:
    return entity.get(name) if isinstance(entity, dict) else None
