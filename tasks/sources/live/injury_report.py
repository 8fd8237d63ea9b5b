"""NBA's official injury report, a PDF: found by its time in its address, read by where its words stand on the page."""

from __future__ import annotations

import datetime as dt
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import pdfplumber
import polars as pl
from pdfminer.pdfparser import PDFSyntaxError

from blocks.warehouse import DayRange
from tasks.engine.plan import EASTERN
from tasks.sources.base import REQUIRED_COLUMNS, Kind
from tasks.sources.live.directory import with_ids
from tasks.sources.live.shape import Row, frame
from tasks.sources.live.web import NotData, Response, Web

LABEL = "NBA injury report"
FOLDER = "/referee/injury/Injury-Report"
# One every 15 minutes since December 2025, with the minutes in its name; before that every hour, without.
STEP = dt.timedelta(minutes=15)
OLDEST = dt.timedelta(hours=6)
# The store answers 403, not 404, for a report that is not there (yet).
NOT_THERE = frozenset({403, 404})
HEADINGS = ("Game Date", "Game Time", "Matchup", "Team", "Player Name", "Current Status", "Reason")
NOT_SUBMITTED = "NOT YET SUBMITTED"
SPACE = 1.0  # points between two words of a cell; the text holds no blanks of its own
MARGIN = 3.0  # points by which a cell's text may stand left of its heading
SAME_LINE = 2.5  # points
_TITLE = re.compile(r"Injury Report:\s*(\d{1,2}/\d{1,2}/\d{2,4})\s+(\d{1,2}:\d{2}\s*[AP]M)")
_PAGE = re.compile(r"^Page\s*(\d+)\s*of\s*(\d+)$")
# Its warnings about odd fonts and colours are of no use to anybody here.
logging.getLogger("pdfminer").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Report:
    """What one report says: its instant, a row for each listed player, and which teams had not reported yet."""

    reported_at: dt.datetime
    listed: tuple[Row, ...]
    not_submitted: tuple[tuple[str | None, str | None], ...]


@dataclass
class _Line:
    """The words of one line of the table, by column."""

    top: float
    cells: dict[int, str] = field(default_factory=dict)


def fetch(web: Web, now: dt.datetime) -> Response:
    """The newest report, at most six hours old. Raises SourceError if there is none."""
    for name in _names(now):
        response = web.get("injuries", f"{FOLDER}_{name}.pdf", label=f"{LABEL} {name}", absent=NOT_THERE)
        if response is not None:
            _ = read(response)
            return response
    raise NotData(
        f"{LABEL}: no address of the last {OLDEST / dt.timedelta(hours=1):.0f} hours holds one, from {FOLDER}_"
        f"{next(_names(now))}.pdf back; the form of the address may have changed (docs/sources.md)"
    )


def read(response: Response) -> Report:
    """The report in a PDF. Raises NotData for anything but a whole report."""
    return _read(response.label, response.body)


@lru_cache(maxsize=8)
def _read(label: str, body: bytes) -> Report:
    """Taking a PDF apart costs most of a second, and a report is asked several times what it says."""
    pages = _pages(label, body)
    title = _TITLE.search(_joined(pages[0]))
    reported_at = _instant(title.group(1), title.group(2)) if title else None
    if reported_at is None:
        raise NotData(f"{label}: no title with date and time on its first page; its form may have changed")
    edges: list[float] = []
    rows: list[_Line] = []
    for words in pages:
        edges = _edges(words) or edges
        if not edges:
            raise NotData(f"{label}: no line with the headings {', '.join(HEADINGS)}; its form may have changed")
        rows += _rows(words, edges)
    _hold_whole(label, pages)
    return _filled(reported_at, rows)


def rows(response: Response, players: pl.DataFrame, aliases: dict[str, str], file: str) -> pl.DataFrame:
    """A row a listed player, as found, with NBA's id where the name leads to one."""
    return with_ids(
        frame(read(response).listed, REQUIRED_COLUMNS[Kind.INJURY_REPORT], file), players, "player", aliases
    )


def notes(response: Response, days: DayRange) -> list[str]:
    """Which teams of these game days had not reported yet."""
    asked = pl.DataFrame(
        read(response).not_submitted, schema={"game_date": pl.String, "team": pl.String}, orient="row"
    ).filter(
        pl.col("game_date").str.to_date(strict=False).is_between(days.first or dt.date.min, days.last or dt.date.max)
    )
    missing = asked["team"].unique().sort().to_list()
    return [f"{LABEL}: not yet submitted by {', '.join(missing)}"] if missing else []


def _names(now: dt.datetime) -> Iterator[str]:
    """The times of the reports that there may be, newest first, as their addresses write them."""
    local = now.astimezone(EASTERN)
    newest = local.replace(minute=local.minute - local.minute % 15, second=0, microsecond=0)
    steps = int(OLDEST / STEP)
    yield from ((newest - n * STEP).strftime("%Y-%m-%d_%I_%M%p") for n in range(steps + 1))
    hour = newest.replace(minute=0)
    hours = int(OLDEST / dt.timedelta(hours=1))
    yield from ((hour - dt.timedelta(hours=n)).strftime("%Y-%m-%d_%I%p") for n in range(hours + 1))


def _pages(label: str, body: bytes) -> list[list[dict[str, float | str]]]:
    """The words of each page. pdfplumber forgives what pdfminer does not, and both raise all sorts on damaged files."""
    if not body.lstrip().startswith(b"%PDF"):
        raise NotData(f"{label}: no PDF; it begins with {body[:40]!r}")
    if b"%%EOF" not in body[-1024:]:
        raise NotData(f"{label}: a PDF that breaks off after {len(body):,} bytes")
    try:
        with pdfplumber.open(io.BytesIO(body)) as document:
            pages = [page.extract_words(x_tolerance=SPACE) for page in document.pages]
    except PDFSyntaxError as error:
        raise NotData(f"{label}: a damaged PDF ({error})") from None
    except Exception as error:  # a foreign parser on foreign bytes: whatever it trips over, the file is not readable
        raise NotData(f"{label}: a damaged PDF ({type(error).__name__}: {error})") from None
    if not pages or not pages[0]:
        raise NotData(f"{label}: a PDF without text")
    return pages


def _joined(words: list[dict[str, float | str]]) -> str:
    return " ".join(str(word["text"]) for word in words)


def _instant(day: str, clock: str) -> dt.datetime | None:
    """The report's date and wall-clock time, which are Eastern, as an instant."""
    year = "%y" if len(day.rsplit("/", 1)[1]) == 2 else "%Y"
    try:
        local = dt.datetime.strptime(f"{day} {clock.replace(' ', '')}", f"%m/%d/{year} %I:%M%p")  # noqa: DTZ007
    except ValueError:
        return None
    return local.replace(tzinfo=EASTERN).astimezone(dt.UTC)


def _edges(words: list[dict[str, float | str]]) -> list[float]:
    """Where each column begins, from the line of headings; none where the page has no such line."""
    starts = ("Game", "Game", "Matchup", "Team", "Player", "Current", "Reason")
    for line in _lines(words):
        texts = [str(word["text"]) for word in line]
        if " ".join(texts).replace(" ", "") == "".join(HEADINGS).replace(" ", ""):
            at = [float(word["x0"]) for word, text in zip(line, texts, strict=True) if text in starts]
            return [x - MARGIN for x in at] if len(at) == len(HEADINGS) else []
    return []


def _lines(words: list[dict[str, float | str]]) -> Iterator[list[dict[str, float | str]]]:
    """Words that stand on one line, from left to right."""
    line: list[dict[str, float | str]] = []
    for word in sorted(words, key=lambda item: (float(item["top"]), float(item["x0"]))):
        if line and float(word["top"]) - float(line[0]["top"]) > SAME_LINE:
            yield sorted(line, key=lambda item: float(item["x0"]))
            line = []
        line.append(word)
    if line:
        yield sorted(line, key=lambda item: float(item["x0"]))


def _rows(words: list[dict[str, float | str]], edges: list[float]) -> list[_Line]:
    """The table's rows on a page: a line with a player or without a report is one, a line of reasons belongs to one."""
    reason = len(HEADINGS) - 1
    rows: list[_Line] = []
    loose: list[_Line] = []
    for line in _lines(words):
        text = " ".join(str(word["text"]) for word in line)
        if _TITLE.search(text) or _PAGE.match(text) or text.replace(" ", "") == "".join(HEADINGS).replace(" ", ""):
            continue
        made = _Line(float(line[0]["top"]))
        for word in line:
            column = max((n for n, edge in enumerate(edges) if float(word["x0"]) >= edge), default=0)
            made.cells[column] = f"{made.cells.get(column, '')} {word['text']}".strip()
        (loose if set(made.cells) == {reason} and made.cells[reason] != NOT_SUBMITTED else rows).append(made)
    for part in loose:
        owner = min(rows, key=lambda row: abs(row.top - part.top), default=None)
        if owner is None:
            continue
        said = owner.cells.get(reason, "")
        owner.cells[reason] = (
            f"{part.cells[reason]} {said}" if part.top < owner.top else f"{said} {part.cells[reason]}"
        ).strip()
    return rows


def _hold_whole(label: str, pages: list[list[dict[str, float | str]]]) -> None:
    """Raise NotData unless the last page says that it is the last one."""
    for line in _lines(pages[-1]):
        number = _PAGE.match(" ".join(str(word["text"]) for word in line))
        if number:
            if int(number.group(2)) != len(pages):
                raise NotData(f"{label}: {len(pages)} of {number.group(2)} pages")
            return


def _filled(reported_at: dt.datetime, lines: list[_Line]) -> Report:
    """The rows in full: date, time, matchup and team stand only where they change."""
    listed: list[Row] = []
    silent: list[tuple[str | None, str | None]] = []
    day = matchup = team = None
    for line in lines:
        day = _iso(line.cells[0]) if 0 in line.cells else day
        matchup = line.cells.get(2, matchup)
        team = line.cells.get(3, team)
        if line.cells.get(6) == NOT_SUBMITTED and 4 not in line.cells:
            silent.append((day, team))
            continue
        if 4 not in line.cells and 5 not in line.cells:
            continue
        listed.append(
            {
                "game_date": day,
                "player": _in_order(line.cells.get(4)),
                "team": team,
                "status": line.cells.get(5),
                "reason": line.cells.get(6),
                "reported_at": reported_at.isoformat(),
            }
        )
    return Report(reported_at, tuple(listed), tuple(silent))


def _iso(day: str) -> str:
    """01/04/2024 as 2024-01-04; anything else as it stands, for phase 2 to refuse."""
    parts = day.split("/")
    return f"{parts[2]}-{parts[0]}-{parts[1]}" if len(parts) == 3 else day


def _in_order(name: str | None) -> str | None:
    """`Duke Jr., David` as `David Duke Jr.`."""
    if name is None or "," not in name:
        return name
    last, first = name.split(",", 1)
    return f"{first.strip()} {last.strip()}".strip()
