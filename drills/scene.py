"""A drill in progress: its own time, what has happened so far, and who has heard of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from drills.stage import Hands, Stage
from drills.story import BEGINS, Drill, Moment, Result

INCIDENT_SEEN = dt.timedelta(minutes=5)  # how often the watch looks


class Scene:
    """The drill begins at 12:30 PM of its day, and from then on its time runs as fast as the machine's.

    What a process with a clock of its own did is told in that clock's time: see `Stage.act`.
    """

    def __init__(self, drill: Drill, stage: Stage) -> None:
        self.drill, self.stage = drill, stage
        self.began = dt.datetime.now(dt.UTC)
        self.moments: list[Moment] = []

    def at(self, wall: dt.datetime) -> dt.datetime:
        """The drill's time at an instant of the machine's clock."""
        return BEGINS + (wall - self.began)

    def note(self, kind: str, says: str, at: dt.datetime | None = None) -> dt.datetime:
        """Note a moment: now, or at an instant of the drill's time."""
        when = at or self.at(dt.datetime.now(dt.UTC))
        self.moments.append(Moment(at=when, says=says, kind=kind))
        return when

    def told(self, text: str, kind: str = "detected", since: dt.datetime | None = None, seconds: float = 60.0) -> None:
        """Wait until a message that says this has arrived, since then or at all in this drill, and note when."""
        after = since or self.began
        message = self.stage.until(f"a message with {text!r}", lambda: self.stage.heard(text, after), seconds)
        self.note(kind, f"message: {message.subject}", self.at(message.received))

    def watched(self, home: Path, first: dt.datetime, data: Path | None = None) -> None:
        """Let the watch look every five minutes from then on until something is wrong; note what, and the message."""
        self.stage.act("watch", first, home, **_of(data))
        history = Hands(home).incidents()
        for incident, opened, _ in history[:1]:
            self.note("detected", f"watch: {incident.kind.heading}: {incident.subject}: {incident.what}"[:160], opened)
            self.stage.until("the message of the incident", lambda: self.stage.messages(self.began), 60)

    def healed(self, home: Path, at: dt.datetime, data: Path | None = None) -> None:
        """Note when self-heal has brought everything back, by what is in the store."""
        self.stage.act("heal", at, home, **_of(data))
        hands = Hands(home)
        there, expected = hands.predictions()
        published = hands.published()
        if expected and there == expected and published:
            self.note("healed", "self-heal: every expected row is there again", published)

    def result(self, home: Path | None = None, wall: bool = False) -> Result:
        """What it came to. `wall`: the ledger's instants are the machine's, not the drill's."""
        rows = of = None
        if home is not None:
            hands = Hands(home)
            rows, of = hands.predictions()
            published = hands.published()
            if published is not None and rows == of:
                self.note("complete", f"published: {rows:,} predictions", self.at(published) if wall else published)
        return Result(
            drill=self.drill,
            moments=tuple(sorted(self.moments, key=lambda moment: moment.at)),
            rows=rows,
            of=of,
            messages=self.stage.messages(self.began),
            seconds=(dt.datetime.now(dt.UTC) - self.began).total_seconds(),
        )


def _of(data: Path | None) -> dict[str, object]:
    return {"data": data} if data is not None else {}
