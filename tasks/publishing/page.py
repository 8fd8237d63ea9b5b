"""A page of tables and charts as one self-contained HTML file or as markdown. What it says is up to who fills it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Key:
    """An entry of a chart's legend: the name of a series, its hue, its marker as a character, whether it is dashed."""

    name: str
    hue: str
    marker: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts. The first `row_headers` columns name the row; the others are numbers and stand to the right.

    `marked` holds the indices of rows to be seen first, `breaks` those of rows that begin a new group.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    row_headers: int = 1
    marked: frozenset[int] = frozenset()
    breaks: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A chart: a title that says what to see, what it is measured on, the text alternative, and its numbers."""

    title: str
    measured_on: str
    alternative: str
    svg: str
    numbers: Table
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading with sentences, tables and charts; a section without tables and charts says why in its sentences."""

    name: str
    heading: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One number to be seen at once, with what it is and how to read it; `good` colours it, None leaves it plain."""

    what: str
    value: str
    says: str
    good: bool | None = None


@dataclass(frozen=True)
class Verdict:
    """What the page has found, in one line, and the reasons for it; `good` is None where nothing could be judged."""

    good: bool | None
    says: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """The whole page."""

    title: str
    subtitle: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footnote: str


def html(page: Page) -> str:
    """One HTML document that asks nothing of the network; every text from the data is escaped."""
    return _environment().get_template("page.html.jinja").render(page=page, style=Markup(_read("page.css")))


def markdown(page: Page) -> str:
    """The same words, tables and numbers for a Prefect artifact; charts are their text alternatives and numbers."""
    lines = [f"# {_text(page.title)}", "", _text(page.subtitle), "", *_verdict(page.verdict), ""]
    lines += [f"- {_text(tile.what)}: **{_text(tile.value)}** ({_text(tile.says)})" for tile in page.tiles]
    for section in page.sections:
        lines += ["", f"## {_text(section.heading)}", ""]
        lines += [line for sentence in section.sentences for line in (_text(sentence), "")]
        for table in section.tables:
            lines += [*_table(table), ""]
        for figure in section.figures:
            lines += [f"### {_text(figure.title)}", "", _text(f"{figure.alternative} {figure.measured_on}"), ""]
            lines += [*_table(figure.numbers), ""]
    return "\n".join([*lines, "", _text(page.footnote), ""])


def _verdict(verdict: Verdict) -> Iterable[str]:
    yield f"**{_text(verdict.says)}**"
    if verdict.reasons:
        yield ""
    yield from (f"- {_text(reason)}" for reason in verdict.reasons)


def _table(table: Table) -> Iterable[str]:
    aligned = ["---"] * table.row_headers + ["---:"] * (len(table.columns) - table.row_headers)
    yield f"*{_text(table.caption)}*"
    yield ""
    yield _row(map(_text, table.columns))
    yield _row(aligned)
    for number, row in enumerate(table.rows):
        yield _row(f"**{_text(cell)}**" if number in table.marked and cell else _text(cell) for cell in row)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_[]|"} | {"&": "&amp;", "<": "&lt;", "\n": " "}
)


def _text(words: str) -> str:
    """Words as markdown that shows them as they are: a name may hold a bar, a bracket or a tag."""
    return words.translate(_SPECIAL)


_UNPARTED = re.compile(r"(?<=\d) (?=%)|(?<=\bn) (?=\d)")


def _unparted(words: str) -> str:
    """Words in which no line ends between a number and its sign."""
    return _UNPARTED.sub("\N{NO-BREAK SPACE}", words)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["unparted"] = _unparted
    return environment


@cache
def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
