"""The web as live sources see it: polite, patient with what passes, and never mistaking an error page for data."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from blocks.live_sources import LiveSettings, Site
from tasks.sources.base import SourceError

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
KEPT_HEADERS = ("content-type", "etag", "last-modified", "date")
QUOTA_HEADERS = ("x-requests-remaining", "x-requests-used", "x-requests-last")
SHOWN_BYTES = 80
T = TypeVar("T")
U = TypeVar("U")


class Unreachable(SourceError):
    """A passing fault that outlasted every attempt: no connection, a time-out, an overloaded or broken server."""

    transient = True


class Refused(SourceError):
    """A lasting fault: the site understood and said no. Asking again changes nothing."""

    transient = False


class NotData(SourceError):
    """The site answered, but not with what it should have: an error page, an empty list, half a file."""

    transient = True


class SchemaChanged(NotData):
    """The site answered in another shape than is documented: somebody has to look at it."""

    transient = False


class _Passing(Exception):
    """One attempt that failed for a reason that may pass, and how long the site asked to be left alone."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        self.wait_s = wait_s
        super().__init__(message)


@dataclass(frozen=True)
class Response:
    """An answer, its body untouched. The address is without keys: it is landed, logged and shown."""

    site: str
    label: str
    url: str
    fetched_at: dt.datetime
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0

    @property
    def beginning(self) -> str:
        """What the body begins with, for an error message."""
        return repr(self.body[:SHOWN_BYTES].decode(errors="replace"))


@dataclass(frozen=True)
class Clock:
    """What the client knows of time, given from outside: the wall clock, a steady one, and how to wait."""

    now: Callable[[], dt.datetime]
    steady: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass
class _Pace:
    """When a host may be asked next."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0


class Web:
    """Requests to the sites of the settings. One for each process; safe to use from several threads."""

    def __init__(self, settings: LiveSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.quota: dict[str, dict[str, str]] = {}
        self._client = httpx.Client(
            timeout=settings.timeout_s, follow_redirects=True, headers={"User-Agent": settings.user_agent}
        )
        self._paces: dict[str, _Pace] = {}
        self._lock = threading.Lock()
        self._remembered: dict[str, Response] = {}

    def remember(self, responses: Iterable[Response]) -> None:
        """Take earlier answers as what a site may say is unchanged. A newer one replaces an older one."""
        with self._lock:
            for response in responses:
                held = self._remembered.get(response.url)
                if held is None or held.fetched_at < response.fetched_at:
                    self._remembered[response.url] = response

    def get(
        self,
        site: str,
        path: str,
        *,
        label: str,
        params: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        absent: frozenset[int] = frozenset(),
    ) -> Response | None:
        """Ask the site of that name in the settings for one document.

        `secret` parameters are sent and nowhere shown; None is returned for the status codes `absent`.

        Raises Unreachable, Refused, or NotData for an answer without a body.
        """
        asked: Site = getattr(self.settings, site)
        url = str(httpx.URL(f"{asked.url}{path}", params=dict(params or {}) or None))
        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._wait,
            sleep=self.clock.sleep,
            reraise=True,
        )
        try:
            return retrying(self._attempt, site, url, label, dict(secret or {}), dict(headers or {}), absent)
        except _Passing as error:
            raise Unreachable(f"{label}: {error}; {self.settings.attempts} attempts, {_shown(url)}") from None

    def each(self, work: Callable[[T], U], items: Iterable[T]) -> list[U | SourceError]:
        """Do `work` for every item, several at once; one that fails gives its error in its place and costs no other."""

        def attempt(item: T) -> U | SourceError:
            try:
                return work(item)
            except SourceError as error:
                return error

        # Each thread goes on in the caller's context: a clock that is set for this run is set for its requests too.
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            asked = [pool.submit(copy_context().run, attempt, item) for item in items]
            return [future.result() for future in asked]

    def _attempt(
        self,
        site: str,
        url: str,
        label: str,
        secret: dict[str, str],
        headers: dict[str, str],
        absent: frozenset[int],
    ) -> Response | None:
        host = urlsplit(url).netloc
        self._keep_pace(host, getattr(self.settings, site).per_second)
        known = self._remembered.get(url)
        started = self.clock.steady()
        try:
            answer = self._client.get(
                httpx.URL(url).copy_merge_params(secret), headers={**headers, **_conditions(known)}
            )
        except httpx.TransportError as error:
            raise _Passing(f"{host} cannot be reached ({_kind(error)})") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(_hidden(f"{label}: {host} cannot be asked ({_kind(error)}), {_shown(url)}", secret)) from None
        self._note_quota(site, answer)
        if answer.status_code in absent:
            return None
        if answer.status_code in TRANSIENT:
            raise _Passing(f"{host} answered {answer.status_code}", _asked_wait(answer, self.clock.now()))
        now, seconds = self.clock.now(), self.clock.steady() - started
        if answer.status_code == httpx.codes.NOT_MODIFIED and known is not None:
            response = replace(known, label=label, fetched_at=now, seconds=seconds)
        elif answer.is_success:
            kept = {name: answer.headers[name] for name in (*KEPT_HEADERS, *QUOTA_HEADERS) if name in answer.headers}
            response = Response(site, label, url, now, kept, answer.content, seconds)
        else:
            raise Refused(_hidden(_refusal(label, host, answer, url), secret))
        if not response.body.strip():
            raise NotData(f"{label}: {host} answered {answer.status_code} with nothing in it, {_shown(url)}")
        self.remember([response])
        return response

    def _wait(self, state: RetryCallState) -> float:
        """As long as the site asks for, else twice as long each time with some chance in it."""
        error = state.outcome.exception() if state.outcome else None
        longest = self.settings.longest_wait_s
        if isinstance(error, _Passing) and error.wait_s is not None:
            if error.wait_s > longest:
                raise Unreachable(f"{error} and asks to be left alone for {error.wait_s:.0f} s: given up for this run")
            return error.wait_s
        return min(longest, wait_random_exponential(multiplier=0.5, max=longest)(state))

    def _keep_pace(self, host: str, per_second: float) -> None:
        with self._lock:
            pace = self._paces.setdefault(host, _Pace())
        with pace.lock:
            now = self.clock.steady()
            turn = max(now, pace.free_at)
            pace.free_at = turn + 1 / per_second
        if turn > now:
            self.clock.sleep(turn - now)

    def _note_quota(self, site: str, answer: httpx.Response) -> None:
        found = {name: answer.headers[name] for name in QUOTA_HEADERS if name in answer.headers}
        if found:
            with self._lock:
                self.quota[site] = found


def _conditions(known: Response | None) -> dict[str, str]:
    if known is None:
        return {}
    pairs = {"If-None-Match": known.headers.get("etag"), "If-Modified-Since": known.headers.get("last-modified")}
    return {name: value for name, value in pairs.items() if value}


def _asked_wait(answer: httpx.Response, now: dt.datetime) -> float | None:
    """The Retry-After header, in seconds or as a date; None where there is none that can be read."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - now).total_seconds()) if until.tzinfo else None


def _refusal(label: str, host: str, answer: httpx.Response, url: str) -> str:
    body = repr(answer.content[:SHOWN_BYTES].decode(errors="replace"))
    advice = {
        401: "its key is missing or not accepted: see docs/sources.md",
        402: "its plan does not include this: see docs/sources.md",
        403: "it does not serve this address or this machine: see docs/sources.md",
        404: "there is no such document: its address may have changed",
    }.get(answer.status_code, "see docs/sources.md")
    return f"{label}: {host} answered {answer.status_code} ({advice}), {_shown(url)}, {body}"


def _hidden(text: str, secret: Mapping[str, str]) -> str:
    for value in filter(None, secret.values()):
        text = text.replace(value, "***")
    return text


def _kind(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _shown(url: str) -> str:
    return url if len(url) <= 160 else f"{url[:157]}..."
