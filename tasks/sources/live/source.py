"""The live source: past days from a folder of seasons and from what was landed, today and tomorrow from the sites."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import polars as pl

from blocks.landing import STAMP, Landing, Payload
from blocks.live_sources import LiveSettings
from blocks.warehouse import DayRange
from tasks import parsing
from tasks.engine.plan import EASTERN
from tasks.identity import team_code
from tasks.sources.base import Kind, Source, SourceError
from tasks.sources.folder import FolderSource
from tasks.sources.live import balldontlie, directory, espn_rosters, injury_report, nba_box_scores, nba_schedule
from tasks.sources.live import odds_api as odds
from tasks.sources.live.bundle import SUFFIX, Bundle, newest_of_each
from tasks.sources.live.reading import ALIASES, GAMES, HISTORY, PLAYERS, rows_of, split_box_scores
from tasks.sources.live.web import Clock, Response, Web
from tasks.sources.tabular import known_rows

# Facts that no site keeps: what is not fetched while it is so can't be fetched later.
OF_THE_MOMENT = (Kind.ROSTERS, Kind.INJURY_REPORT, Kind.PROP_LINES)
FETCHING = dt.timedelta(minutes=30)  # a run reads facts until its fetches are done, not only until it was started
LOOKED_BACK = dt.timedelta(days=500)  # who has not played for longer is known to the player index or to nobody
SHOWN_GAMES = 5
GAME_COLUMNS = ("game_id", "season", "season_type", "game_date", "home", "away")


@dataclass(frozen=True)
class _Ask:
    """One fetch: the kind, the days, known as of, asked when."""

    kind: Kind
    days: DayRange
    as_of: dt.datetime
    now: dt.datetime

    @property
    def today(self) -> dt.date:
        """The game day that it is now, in New York."""
        return self.now.astimezone(EASTERN).date()

    @property
    def reaches_today(self) -> bool:
        """Whether it asks for anything that can still be fetched while it is so."""
        return self.days.last is None or self.days.last >= self.today


@dataclass
class _Got:
    """What came of a fetch: answers, tables of ours that belong to them, and notes for people."""

    responses: list[Response]
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class LiveSource(Source):
    """Facts from the sites themselves, on top of a folder of past seasons (`make history` makes one).

    Schedule and results up to the folder's last result come from the folder, later ones from the sites. Rosters,
    reports and lines of past days, which no site keeps, come from the folder and from what was landed at the time.
    """

    name = "live"

    def __init__(self, settings: LiveSettings, landing: Landing, clock: Clock) -> None:
        if not settings.history.is_dir():
            raise SourceError(
                f"live: there is no history in {settings.history}: make history SEASONS=... downloads one, or name "
                "another folder in COURTSIDE_HISTORY (docs/sources.md)"
            )
        self.settings = settings
        self.history = FolderSource(settings.history)
        self.landing = landing
        self.web = Web(settings, clock)
        self.live_after = _last_result(self.history)
        self._recalled = False
        self._index: Response | SourceError | None = None

    def covers(self) -> DayRange:
        """From the history's first day to the last one of the season's schedule."""
        days = nba_schedule.rows(self._schedule(), "")["game_date"].str.to_date(strict=False).drop_nulls()
        past = self.history.covers()
        assert past.last is not None
        return DayRange(past.first, max(past.last, *days))

    def known_at(self, now: dt.datetime, usual: dt.datetime, first_tip_off: dt.datetime | None) -> dt.datetime:
        """See Source.known_at: until the fetches of a run that starts now are done, and never past tip-off."""
        latest = max(usual, now + FETCHING)
        return min(latest, first_tip_off) if first_tip_off is not None and now < first_tip_off else latest

    def fetch(self, kind: Kind, days: DayRange, as_of: dt.datetime, now: dt.datetime) -> Payload:
        """See Source.fetch. The body is an archive of every site's answer exactly as it came."""
        if as_of.tzinfo is None:
            raise ValueError(f"as_of is {as_of}, which has no zone: give an aware datetime")
        ask = _Ask(kind, days, as_of.astimezone(dt.UTC), now)
        later = days.last is None or days.last > self.live_after
        got = self._live(ask) if later or kind in OF_THE_MOMENT else _Got([])
        past = self.history.table(kind)
        if past is None and not got.responses:
            raise SourceError(f"live: no {kind.replace('_', ' ')} of {days} was landed, and the history has none")
        if past is not None:
            until = days.last if kind in OF_THE_MOMENT else min(days.last or self.live_after, self.live_after)
            got.frames[HISTORY] = known_rows(kind, past, DayRange(days.first, until), ask.as_of).collect()
        bundle = Bundle(kind, days, ask.as_of, self.live_after, tuple(got.responses), got.frames)
        first, last = days.first or ask.today, days.last or ask.today
        notes = tuple(dict.fromkeys(got.notes))
        return Payload(self.name, kind.value, first, last, ask.as_of, now, SUFFIX, bundle.to_bytes(), notes)

    def parse(self, body: bytes, file: str) -> pl.DataFrame:
        """See Source.parse."""
        return rows_of(Bundle.from_bytes(body, file), file)

    def _live(self, ask: _Ask) -> _Got:
        match ask.kind:
            case Kind.SCHEDULE:
                return self._fetch_schedule()
            case Kind.PLAYER_BOX_SCORES | Kind.TEAM_BOX_SCORES:
                return self._fetch_box_scores(ask)
            case Kind.ROSTERS:
                return self._fetch_rosters(ask)
            case Kind.INJURY_REPORT:
                return self._fetch_injuries(ask)
            case Kind.PROP_LINES:
                return self._fetch_lines(ask)
        raise AssertionError(ask.kind)

    def _schedule(self) -> Response:
        """The season's schedule; what was landed last serves where it has not changed since."""
        if not self._recalled:
            self.web.remember(self._last_landed(Kind.SCHEDULE))
            self._recalled = True
        return nba_schedule.fetch(self.web)

    def _fetch_schedule(self) -> _Got:
        response = self._schedule()
        return _Got([response], notes=nba_schedule.notes(response))

    def _fetch_box_scores(self, ask: _Ask) -> _Got:
        """NBA's, compared with the second source's; where NBA's lack a game the second source's stand in."""
        games = self._finished(ask)
        got = _Got([], frames={GAMES: games})
        if games.is_empty():
            return got
        held = pl.Series(dtype=pl.String)
        try:
            got.responses, got.notes = nba_box_scores.fetch(self.web, games, ask.kind)
            held = pl.concat([nba_box_scores.rows(item, ask.kind, games, "") for item in got.responses])["game_id"]
        except SourceError as error:
            if self.settings.balldontlie_key is None:
                raise
            got.notes = [str(error)]
        self._second_box_scores(ask, games, held, got)
        lacking = games.filter(~pl.col("game_id").is_in(held.to_list()))
        if lacking.height and not any(item.site == balldontlie.SITE for item in got.responses):
            names = ", ".join(f"{game['away']} at {game['home']}" for game in lacking.head(SHOWN_GAMES).to_dicts())
            got.notes.append(f"box scores: {lacking.height} of {games.height} finished games are missing: {names}")
        return got

    def _second_box_scores(self, ask: _Ask, games: pl.DataFrame, held: pl.Series, got: _Got) -> None:
        """Add the second source's answers for the days that lack a game, and for the last day, to compare."""
        if self.settings.balldontlie_key is None:
            return
        lacking = games.filter(~pl.col("game_id").is_in(held.to_list()))
        days = sorted({*lacking["game_date"], *games["game_date"].sort().tail(1)})
        answers = self.web.each(lambda day: balldontlie.fetch(self.web, dt.date.fromisoformat(day)), days)
        errors = [item for item in answers if isinstance(item, SourceError)]
        seconds = [item for item in answers if isinstance(item, Response)]
        got.notes += [str(error) for error in errors]
        if not got.responses and not seconds:
            raise errors[0]
        if not seconds:
            return
        self._with_players(got)
        got.responses += seconds
        bundle = Bundle(ask.kind, ask.days, ask.as_of, self.live_after, tuple(got.responses), got.frames)
        nba, second = split_box_scores(bundle, "", got.frames[PLAYERS], self.settings.aliases)
        got.notes += [note for item in seconds for note in balldontlie.notes(item)]
        taken = sorted(set(lacking["game_id"]) & set(second["game_id"]))
        if taken:
            got.notes.append(f"{balldontlie.LABEL} stand in for {len(taken)} games that NBA's lack")
        if ask.kind == Kind.PLAYER_BOX_SCORES:
            got.notes += directory.coverage(second, balldontlie.LABEL)
            got.notes += balldontlie.differences(nba, second) if not nba.is_empty() else []

    def _finished(self, ask: _Ask) -> pl.DataFrame:
        """The days' games that are final and whose results count as known, by the live schedule."""
        table = nba_schedule.rows(self._schedule(), "")
        first = max(filter(None, (ask.days.first, self.live_after + dt.timedelta(days=1))))
        asked = known_rows(Kind.SCHEDULE, table.lazy(), DayRange(first, ask.days.last), ask.as_of).collect()
        return asked.filter(pl.col("home_pts").is_not_null()).select(GAME_COLUMNS).unique("game_id", keep="first")

    def _fetch_rosters(self, ask: _Ask) -> _Got:
        """Today's, with the last known one of a team that fails now; of a past day what was landed by then."""
        got = self._with_players(_Got(self._landed(ask)))
        if ask.reaches_today:
            newest, notes = espn_rosters.fetch(self.web, got.responses)
            got.notes += notes
            once_a_day = newest_of_each([*got.responses, *newest], on=lambda item: (item.url, _day_of(item)))
            got.responses = sorted(once_a_day, key=lambda item: (item.label, item.fetched_at))
            table = espn_rosters.rows((("", item) for item in newest), got.frames[PLAYERS], self.settings.aliases)
            got.notes += espn_rosters.notes(newest, table)
        return got

    def _fetch_injuries(self, ask: _Ask) -> _Got:
        """The newest report, and those that were landed for these days before."""
        got = self._with_players(_Got(self._landed(ask)))
        if ask.reaches_today:
            newest = injury_report.fetch(self.web, ask.now)
            got.responses = list(newest_of_each([*got.responses, newest]))
            found = injury_report.rows(newest, got.frames[PLAYERS], self.settings.aliases, "")
            asked = known_rows(ask.kind, found.lazy(), ask.days, ask.as_of).collect()
            got.notes += injury_report.notes(newest, ask.days) + directory.coverage(asked, injury_report.LABEL)
        return got

    def _fetch_lines(self, ask: _Ask) -> _Got:
        """The books' numbers now, and those landed for these days before: opening lines are seen only once."""
        got = _Got(self._landed(ask), frames={ALIASES: _alias_frame(self.settings.aliases)})
        if ask.reaches_today:
            first = max(filter(None, (ask.days.first, ask.today)))
            newest, notes = odds.fetch(self.web, DayRange(first, ask.days.last or first))
            got.notes += notes + odds.notes(newest)
            got.responses += newest
        return got

    def _with_players(self, got: _Got) -> _Got:
        """Add the directory of players for sites without NBA ids: the index, or without it the history alone."""
        if self._index is None:
            season = nba_schedule.season_of_day(self.web.clock.now().astimezone(EASTERN).date())
            try:
                self._index = directory.fetch(self.web, season)
            except SourceError as error:
                self._index = error
        index = self._index
        if isinstance(index, SourceError):
            got.notes.append(f"{index}; names are looked up among the players of the history alone")
        known = index if isinstance(index, Response) else None
        got.frames[PLAYERS] = directory.known_players(known, self._past_players())
        got.frames[ALIASES] = _alias_frame(self.settings.aliases)
        return got

    def _past_players(self) -> pl.DataFrame:
        """Everybody who appeared lately in the history, under his last team."""
        table = self.history.table(Kind.PLAYER_BOX_SCORES)
        assert table is not None
        schema = table.collect_schema()
        seen = table.select(
            player_id=parsing.number("player_id", schema["player_id"], pl.Int64()),
            player_name=pl.col("player_name").cast(pl.String),
            team=team_code(pl.col("team").cast(pl.String)),
            on=parsing.day("game_date", schema["game_date"]),
        ).filter(pl.col("on") >= self.live_after - LOOKED_BACK)
        last = seen.drop_nulls("player_id").sort("on").unique("player_id", keep="last", maintain_order=True).collect()
        return last.select(directory.SCHEMA.names())

    def _landed(self, ask: _Ask) -> list[Response]:
        """The answers about these days that were landed, and fetched, by the ask's as_of."""
        stamp = ask.as_of.strftime(STAMP)
        names = [name for name in self.landing.names(self.name, ask.kind.value) if _stamp_of(name) <= stamp]
        chosen = _serving(ask.kind, names, ask.days)
        found = [item for name in chosen for item in Bundle.from_bytes(self.landing.get(name), name).responses]
        return list({(item.url, item.fetched_at): item for item in found}.values())

    def _last_landed(self, kind: Kind) -> tuple[Response, ...]:
        """The answers in the payload of this kind that was landed last."""
        names = sorted(self.landing.names(self.name, kind.value), key=_stamp_of)
        return Bundle.from_bytes(self.landing.get(names[-1]), names[-1]).responses if names else ()


def _last_result(history: FolderSource) -> dt.date:
    """The last game day of which the history has box scores. Raises SourceError where it has none."""
    table = history.table(Kind.PLAYER_BOX_SCORES)
    assert table is not None
    last = table.select(parsing.day("game_date", table.collect_schema()["game_date"]).max()).collect().item()
    if last is None:
        raise SourceError(f"{history.folder}: no box score has a date that can be read; make history downloads some")
    assert isinstance(last, dt.date)
    return last


def _serving(kind: Kind, names: list[str], days: DayRange) -> list[str]:
    """Of the payloads landed by some instant, those that hold something about these days; each is cumulative.

    A report or line is about its own day. A roster is about its day and those that follow, until the next one.
    """
    latest = {name.split("/")[2]: name for name in sorted(names, key=_stamp_of)}
    about = {day: name for text, name in latest.items() for day in [_last_day(text)]}
    within = {day: name for day, name in about.items() if day in days}
    if kind == Kind.ROSTERS and days.first is not None:
        before = [day for day in about if day < days.first]
        within |= {max(before): about[max(before)]} if before else {}
    return [within[day] for day in sorted(within)]


def _last_day(text: str) -> dt.date:
    """The last day in the part of a payload's name that says what days it is about."""
    return dt.date.fromisoformat(text.rpartition("_")[2])


def _day_of(response: Response) -> dt.date:
    return response.fetched_at.astimezone(EASTERN).date()


def _stamp_of(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0]


def _alias_frame(aliases: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"found": list(aliases), "name": list(aliases.values())}, schema={"found": pl.String, "name": pl.String}
    )
