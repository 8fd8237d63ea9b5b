"""What tonight's predictions are for, in the few words that every alert about a run carries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from pydantic import AwareDatetime, Field

from tasks.engine.expected import PUBLICATION, Judged
from tasks.engine.incidents import in_new_york
from tasks.engine.plan import EASTERN, Frozen
from tasks.engine.processor import Mode


class Stake(Frozen):
    """Who is affected if the game day's predictions do not come, and by when they must."""

    game_day: dt.date
    games: int = Field(ge=0)
    players: int | None = Field(description="To be predicted. None: the features that tell are not made yet.")
    due: AwareDatetime | None = Field(description="None on a day without games.")
    published: bool

    def as_variable(self) -> dict[str, str | int | bool | None]:
        """Plain values for a template, which can compare and subtract seconds but not read a date."""
        over = dt.datetime.combine(self.game_day + dt.timedelta(days=1), dt.time(), EASTERN)
        return {
            "game_day": self.game_day.isoformat(),
            "games": self.games,
            "players": self.players,
            "due": in_new_york(self.due) if self.due else None,
            "due_at": int(self.due.timestamp()) if self.due else None,
            "published": self.published,
            "until": int(over.timestamp()),
        }


def at_stake(outputs: Iterable[Judged], game_day: dt.date, players: int | None) -> Stake:
    """What is at stake on a game day, from what its same-day run owes: nothing if it owes nothing."""
    owed = [item for item in outputs if item.owed.game_day == game_day and item.owed.mode == Mode.SAME_DAY]
    publications = [item for item in owed if item.owed.output == PUBLICATION]
    return Stake(
        game_day=game_day,
        games=max((item.owed.games for item in owed), default=0),
        players=players,
        due=max((item.owed.expected_by for item in publications or owed), default=None),
        published=any(item.state.usable for item in publications),
    )
