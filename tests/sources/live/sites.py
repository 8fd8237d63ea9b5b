"""A server on 127.0.0.1 that speaks every site's API from a league's tables, with faults on demand."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
from pydantic import SecretStr

from blocks.live_sources import LiveSettings, Site
from tasks.engine.plan import EASTERN
from tasks.identity import TEAM_IDS
from tasks.sources.base import Kind
from tasks.sources.league import League
from tasks.sources.live.espn_rosters import ESPN_CODES
from tasks.sources.live.web import Clock
from tests.leagues import tables_of
from tests.sources.live import pages

ODDS_KEY, BALLDONTLIE_KEY = "odds-key-1234", "bdl-key-5678"
SITES = ("schedule", "stats", "espn", "injuries", "odds", "balldontlie")
Headers = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the server sends."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the requests whose address has `where` in it: the next `times`, or all of them."""

    where: str
    change: Callable[[Answer], Answer]
    times: int | None = None


@dataclass
class Sites:
    """Every site of one league at one moment. Answers are made from the tables; `faults` change them."""

    league: League
    now: dt.datetime
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    remaining: int = 400
    url: str = ""
    not_submitted: tuple[str, ...] = ()
    report_form: str = "%Y-%m-%d_%I_%M%p"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def today(self) -> dt.date:
        return self.now.astimezone(EASTERN).date()

    def settings(self, history: Path, **changes: Any) -> LiveSettings:
        """Live settings that point every address here, without any wish to be polite to this machine."""
        here = {name: Site(url=f"{self.url}/{name}", per_second=50) for name in SITES}
        keys = {"odds_key": SecretStr(ODDS_KEY), "balldontlie_key": SecretStr(BALLDONTLIE_KEY)}
        return LiveSettings(history=history, **{**here, **keys, **changes})

    def clock(self) -> Clock:
        """The server's moment as the wall clock; waiting takes no time, but passes it."""
        passed = [0.0]

        def sleep(seconds: float) -> None:
            passed[0] += seconds

        return Clock(lambda: self.now + dt.timedelta(seconds=passed[0]), lambda: passed[0], sleep)

    def break_(self, where: str, change: Callable[[Answer], Answer] | Answer, times: int | None = None) -> None:
        """Let requests whose address has `where` in it go wrong."""
        made = change if callable(change) else lambda _: change
        self.faults.append(Fault(where, made, times))

    def count(self, where: str) -> int:
        """How many requests had `where` in their address."""
        return sum(where in request for request in self.requests)

    def answer(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """The answer to one request, faults included."""
        address = path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
        with self._lock:
            self.requests.append(address)
            self.headers.append(headers)
            found = self._route(path, query, headers)
            for fault in self.faults:
                if fault.where in address and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault.change(found)
        if found.status == 200 and headers.get("If-None-Match") == found.headers.get("ETag", "none"):
            return Answer(304, b"", found.headers)
        return found

    def _route(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        site, _, rest = path.removeprefix("/").partition("/")
        match site:
            case "schedule" if rest == "static/json/staticData/scheduleLeagueV2.json":
                return self._tagged(self._schedule())
            case "stats":
                return self._stats(rest.removeprefix("stats/"), query)
            case "espn":
                return self._roster(rest)
            case "injuries":
                return self._report(rest)
            case "odds":
                return self._odds(rest, query)
            case "balldontlie" if headers.get("Authorization") == BALLDONTLIE_KEY:
                return self._balldontlie(query)
            case "balldontlie":
                return Answer(401, b'{"error": "Unauthorized"}')
        return Answer(404, b"<html>not found</html>", {"Content-Type": "text/html"})

    def _table(self, kind: Kind) -> pl.DataFrame:
        return tables_of(self.league)[kind]

    def _schedule(self) -> dict[str, Any]:
        season = self._table(Kind.SCHEDULE)["season"].max()
        assert isinstance(season, str)
        games = self._table(Kind.SCHEDULE).filter(
            (pl.col("season") == season) & (pl.col("announced_at").is_null() | (pl.col("announced_at") <= self.now))
        )
        return pages.schedule(pages.rows(games.sort("game_date", "tip_utc")), season, self.now)

    def _stats(self, endpoint: str, query: Mapping[str, str]) -> Answer:
        match endpoint:
            case "scheduleleaguev2":
                games = self._table(Kind.SCHEDULE).filter(pl.col("season") == query["Season"])
                return _json(pages.schedule(pages.rows(games.sort("game_date", "tip_utc")), query["Season"], self.now))
            case "leaguegamelog":
                kind = Kind.PLAYER_BOX_SCORES if query["PlayerOrTeam"] == "P" else Kind.TEAM_BOX_SCORES
                wanted = {"Regular Season": "regular", "Playoffs": "playoffs", "PlayIn": "play-in"}[query["SeasonType"]]
                found = self._over(kind).filter(season=query["Season"], season_type=wanted)
                for name, keep in (("DateFrom", pl.col("game_date").ge), ("DateTo", pl.col("game_date").le)):
                    if query.get(name):
                        found = found.filter(keep(dt.date.fromisoformat(query[name])))
                return _json(pages.game_log(pages.rows(found), query["PlayerOrTeam"]))
            case "boxscoretraditionalv3":
                of_game = [
                    pages.rows(self._over(kind).filter(game_id=query["GameID"]))
                    for kind in (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
                ]
                return _json(pages.box_score(*of_game, query["GameID"])) if of_game[0] else Answer(500, b"")
            case "playerindex":
                return _json(pages.player_index(pages.rows(self._squads())))
        return Answer(404, b"")

    def _over(self, kind: Kind) -> pl.DataFrame:
        """Box scores of games that are over by now."""
        over = self._table(Kind.SCHEDULE).filter(pl.col("tip_utc") + dt.timedelta(hours=2, minutes=30) <= self.now)
        return self._table(kind).filter(pl.col("game_id").is_in(over["game_id"].to_list()))

    def _squads(self) -> pl.DataFrame:
        rosters = self._table(Kind.ROSTERS).filter(pl.col("snapshot_date") <= self.today)
        return rosters.filter(pl.col("snapshot_date") == pl.col("snapshot_date").max().over("team"))

    def _roster(self, rest: str) -> Answer:
        code = rest.rpartition("/")[2].upper()
        team = {theirs: ours for ours, theirs in ESPN_CODES.items()}.get(code, code)
        if team not in TEAM_IDS:
            return Answer(404, b"{}")
        return self._tagged(pages.roster(pages.rows(self._squads().filter(team=team)), team))

    def _report(self, rest: str) -> Answer:
        newest = self.now.astimezone(EASTERN).replace(minute=0, second=0, microsecond=0)
        if rest != f"referee/injury/Injury-Report_{newest.strftime(self.report_form)}.pdf":
            return Answer(403, b"<?xml?><Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        known = self._table(Kind.INJURY_REPORT).filter(
            (pl.col("game_date") == self.today) & (pl.col("reported_at") <= self.now)
        )
        listed = known.sort("reported_at").unique("player_id", keep="last", maintain_order=True)
        games = pages.rows(self._games().sort("tip_utc"))
        return Answer(200, pages.injury_report(games, pages.rows(listed), newest, self.not_submitted))

    def _games(self) -> pl.DataFrame:
        games = self._table(Kind.SCHEDULE).filter(game_date=self.today)
        called_off = (pl.col("status") == "postponed") & (pl.col("status_at") <= self.now)
        return games.filter(~called_off.fill_null(value=False))

    def _odds(self, rest: str, query: Mapping[str, str]) -> Answer:
        if query.get("apiKey") != ODDS_KEY:
            return Answer(401, b'{"message": "API key is not valid"}')
        event = re.fullmatch(r"v4/sports/basketball_nba/events/event(\d+)/odds", rest)
        if event is None:
            return self._with_quota(pages.events(pages.rows(self._games())))
        self.remaining -= 1
        game = self._games().filter(game_id=event.group(1))
        snapshot = pl.col("snapshot").str.to_datetime("%Y-%m-%dT%H:%MZ", time_zone="UTC")
        lines = self._table(Kind.PROP_LINES).filter((pl.col("game_id") == event.group(1)) & (snapshot <= self.now))
        newest = lines.filter(pl.col("snapshot") == pl.col("snapshot").max().over("bookmaker"))
        return self._with_quota(pages.odds(pages.rows(game)[0], pages.rows(newest)))

    def _balldontlie(self, query: Mapping[str, str]) -> Answer:
        over = self._over(Kind.PLAYER_BOX_SCORES).filter(pl.col("game_date") == dt.date.fromisoformat(query["date"]))
        games = self._table(Kind.SCHEDULE).filter(pl.col("game_id").is_in(over["game_id"].to_list()))
        return _json(pages.balldontlie(pages.rows(games), pages.rows(over)))

    def _with_quota(self, document: Any) -> Answer:
        answer = _json(document)
        quota = {"x-requests-remaining": str(self.remaining), "x-requests-used": str(500 - self.remaining)}
        return Answer(answer.status, answer.body, {**answer.headers, **quota, "x-requests-last": "1"})

    def _tagged(self, document: Any) -> Answer:
        answer = _json(document)
        return Answer(200, answer.body, {**answer.headers, "ETag": f'"{hashlib.sha1(answer.body).hexdigest()}"'})


def _json(document: Any) -> Answer:
    return Answer(200, pages.as_json(document), {"Content-Type": "application/json"})


@contextmanager
def serving(league: League, now: dt.datetime) -> Iterator[Sites]:
    """The sites on a free port of this machine."""
    sites = Sites(league, now)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
            answer = sites.answer(address.path, query, self.headers)
            if answer.status == 0:  # the line is cut
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            promised = int(answer.headers.get("X-Promised", len(answer.body)))
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(answer.body)
            if promised != len(answer.body):
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    sites.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield sites
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
