"""Every alert about a run says who is affected and how long is left, and never says it of another day."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.user_templates import render_user_template_sync

from blocks.alerts import TONIGHT
from deployments.alerting.fleet import WATCHED
from deployments.alerting.stake import STAKE, impact_of_run
from tasks.alerting.stake import at_stake
from tasks.engine.ledger import State
from tasks.engine.processor import Mode, Phase
from tests.engine.days import DAY, DUE, MINUTE, judged, owed

ALWAYS = "Tonight's predictions are due 1:30 PM ET, or 60 minutes before the first tip-off."


def variable(published: State = State.EXPECTED, players: int | None = 342, **other: Any) -> dict[str, Any]:
    outputs = [judged(State.COMPLETE), judged(published, owed("publication", Phase.PUBLISH, **other))]
    return at_stake(outputs, DAY, players).as_variable()


def said(template: str = STAKE, at: dt.datetime = DUE - 59 * MINUTE, name: str = "daily/same-day", **more: Any) -> str:
    event = {"id": uuid4(), "event": "a.b", "occurred": at, "received": at, "resource": {"prefect.resource.id": "x"}}
    flow, deployment = ({"name": part} for part in name.split("/"))
    context = {"event": ReceivedEvent.model_validate(event), "flow": flow, "deployment": deployment, **more}
    return render_user_template_sync(template, context).strip()


def tonight(value: object) -> dict[str, Any]:
    return {"variables": {TONIGHT: value}}


def test_games_players_and_minutes_left_are_told() -> None:
    expected = "Tonight's 11 games and 342 players, due Mon Dec 29, 1:30 PM ET, 59 minutes left."
    assert said(**tonight(variable())) == expected


@pytest.mark.parametrize(
    ("value", "at", "words"),
    [
        (variable(players=None), DUE - 5 * MINUTE, "Tonight's 11 games, due Mon Dec 29, 1:30 PM ET, 5 minutes left."),
        (variable(), DUE + MINUTE, "11 games and 342 players, due Mon Dec 29, 1:30 PM ET, which has passed."),
        (variable(State.COMPLETE), DUE, "11 games and 342 players: the predictions are published."),
        (at_stake([], DAY, None).as_variable(), DUE, "No games today."),
        (at_stake([judged(item=owed(games=1))], DAY, 1).as_variable(), DUE - MINUTE, "1 game and 1 player, due"),
    ],
)
def test_it_is_told_as_it_is(value: dict[str, Any], at: dt.datetime, words: str) -> None:
    assert words in said(at=at, **tonight(value))


@pytest.mark.parametrize("days", [1, 2, -1])
def test_what_the_watch_wrote_for_another_day_is_not_told_of_this_one(days: int) -> None:
    assert said(at=DUE + dt.timedelta(days=days), **tonight(variable())) == ALWAYS


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"variables": None},
        {"variables": {}},
        *(tonight(value) for value in (None, "", "text", 7, [], {}, {"until": "soon"}, {"until": 9e12, "games": "x"})),
    ],
)
def test_a_variable_that_is_missing_or_was_edited_never_costs_the_message(context: dict[str, Any]) -> None:
    assert said(**context) == ALWAYS


@pytest.mark.parametrize("watched", WATCHED, ids=lambda item: item.deployment)
def test_a_run_is_told_with_what_it_is_for_and_tonight_only_where_it_is_touched(watched: Any) -> None:
    words = said(impact_of_run(), name=watched.deployment, **tonight(variable()))
    assert words.startswith(watched.impact)
    assert ("342 players" in words) is watched.tonight


def test_only_the_same_day_run_of_the_day_is_at_stake() -> None:
    others = [judged(item=owed(mode=Mode.OVERNIGHT)), judged(item=owed(game_day=DAY + dt.timedelta(days=1), games=3))]
    assert at_stake(others, DAY, None).games == 0
    assert at_stake([*others, judged()], DAY, None).games == 11
