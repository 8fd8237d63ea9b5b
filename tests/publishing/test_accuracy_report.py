"""The accuracy report: known answers, nothing to fetch, every name escaped, and a sentence where there is nothing."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect import get_client
from prefect.testing.utilities import prefect_test_harness
from typer.testing import CliRunner

from blocks.objects import LocalObjects
from blocks.warehouse import LocalWarehouse
from blocks.workspace import ORIGIN
from flows.accuracy import accuracy, cli, write_report
from tasks.grading.prediction_grades import BASELINE, CONTRACT
from tasks.predictions.models import ModelStore
from tasks.predictions.points_model import LIBRARIES
from tasks.publishing import charts
from tasks.publishing.accuracy_measures import GradesError
from tasks.publishing.accuracy_report import Evidence, accuracy_of, accuracy_report
from tasks.publishing.page import html, markdown

WRITTEN = dt.datetime(2025, 1, 2, 12, tzinfo=dt.UTC)
DAY = dt.date(2024, 11, 5)
SCRIPT = "<script>alert('x')</script>"


def grade(predicted: float, actual: int | None, line: float | None = None, **changes: Any) -> dict[str, Any]:
    """A grade as flows/grade.py writes it, the interval ten points to either side."""
    edge = None if line is None else predicted - line
    bet = edge is not None and abs(edge) > 1
    recommendation = "NO_LINE" if edge is None else "PASS" if not bet else "OVER" if edge > 0 else "UNDER"
    over = None
    if line is not None and actual is not None:
        over = "PUSH" if actual == line else "OVER" if actual > line else "UNDER"
    settled = "PUSH" if over == "PUSH" else "WIN" if over == recommendation else "LOSS"
    error = None if actual is None else predicted - actual
    return {
        "game_day": DAY,
        "player_id": 1,
        "system": "ensemble",
        "player_name": "Somebody",
        "season": "2024-25",
        "season_type": "regular",
        "line": line,
        "has_line": line is not None,
        "predicted_points": predicted,
        "points_q10": predicted - 10,
        "points_q90": predicted + 10,
        "over_probability": None if edge is None else 0.5 + edge / 40,
        "edge": edge,
        "recommendation": recommendation,
        "actual_points": actual,
        "error": error,
        "absolute_error": None if error is None else abs(error),
        "pinball": None if error is None else abs(error) / 2,
        "covered_80": None if error is None else abs(error) <= 10,
        "over_result": over,
        "outcome": "NO_BET" if not bet else "VOID" if actual is None else settled,
        "in_population": actual is not None,
        BASELINE: predicted + 4,
        "feature_quality": 90.0,
        "model_id": "points-2024-11-04-aaaaaaaaaaaa",
        **changes,
    }


def grades(*rows: dict[str, Any]) -> pl.DataFrame:
    """Grades with the columns of the table, each of a game of its own."""
    numbered = [{"game_id": f"g{number:05}", **row} for number, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=CONTRACT.spec.polars_schema)


# All: n 5, errors 3 6 1 2 2: MAE 2.8, RMSE sqrt(54 / 5). With a line: n 4, MAE 13 / 4 = 3.25, the line's errors
# 1.5 4.5 4.5 0: 2.625; differences 1.5 1.5 -2.5 2: mean 0.625, standard error sqrt(13.1875 / 3) / 2 = 1.048.
# Bets: LOSS, LOSS, WIN, a push and a void: 1 of 3.
KNOWN = (
    grade(20, 23, 21.5),
    grade(10, 4, 8.5),
    grade(15, 16),
    grade(18, 16, 20.5, player_name=SCRIPT),
    grade(25, 23, 23.0),
    grade(25, None, 20.5),
    grade(40, 10, 20.5, season_type="playoffs", in_population=False),
    grade(40, 10, 20.5, in_population=None),
)


def page(*rows: dict[str, Any], **more: Any) -> str:
    return html(accuracy_report(accuracy_of(Evidence(grades(*rows), WRITTEN, **more))))


class _Reader(HTMLParser):
    """Collects what a page fetches, its ids, tables, and texts."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.unscoped: list[str] = []
        self.rows: list[list[str]] = []
        self.labels: list[str] = []
        self.headings: list[str] = []
        self._into: list[list[str]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags[tag] += 1
        self.ids.update(value for name, value in attrs if name == "id" and value)
        self.fetched += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "srcset", "data", "action") and not (value or "").startswith("#")
        ]
        if tag == "th" and found.get("scope") not in ("row", "col"):
            self.unscoped.append(str(found))
        if found.get("role") == "img":
            self.labels.append(found.get("aria-label") or "")
        if tag == "tr":
            self.rows.append([])
        self._cell = tag in ("td", "th")
        self._heading = tag == "h3"

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._heading = False

    def handle_data(self, data: str) -> None:
        if getattr(self, "_cell", False):
            self.rows[-1].append(data)
        if getattr(self, "_heading", False):
            self.headings.append(data.replace("\N{NO-BREAK SPACE}", " "))


def test_the_headline_states_the_known_answers_with_their_n() -> None:
    rows = _Reader(page(*KNOWN)).rows
    # The average says 4 more than the prediction, which errs by -3 6 -1 2 2: it errs by 1 10 3 6 6.
    assert ["ensemble", "2024-25", "5", "2.800", "5.200", "3.286", "1.400", "100.0 %", "20.00"] in rows
    with_line = ["ensemble", "2024-25", "4", "3.250", "2.625", "+0.625 ± 1.048", "5.750"]
    assert [*with_line, "3.640", "1.625", "100.0 %", "20.00", "3", "33.3 %"] in rows


def test_a_hit_rate_stands_beside_its_n_interval_and_break_even() -> None:
    read = _Reader(page(*KNOWN))
    assert ["ensemble", "1 to 1.5", "2", "0", "0.0 %", "0.0 to 65.8 %"] in read.rows  # z^2 / (2 + z^2)
    assert ["ensemble", "2 to 3", "1", "1", "100.0 %", "20.7 to 100.0 %"] in read.rows
    assert ["ensemble", "all bets", "3", "1", "33.3 %", "6.1 to 79.2 %"] in read.rows
    assert "Ensemble wins 33.3 % of 3 bets; nowhere surely above break-even" in read.headings
    assert any("break-even is 52.4 %" in label for label in read.labels)


def test_a_distance_at_which_bets_surely_pay_is_named() -> None:
    won = [grade(22, 25, 20.5) for _ in range(20)]
    assert (
        "Ensemble wins 100.0 % of 20 bets; surely above break-even at 1 to 1.5 points" in _Reader(page(*won)).headings
    )


def test_calibration_compares_what_was_stated_with_what_came() -> None:
    rows = [grade(22.5, 25 if number % 4 else 12, 20.5, over_probability=0.75) for number in range(40)]
    read = _Reader(page(*rows))
    deciles = [row for row in read.rows if row[:1] == ["ensemble"] and row[3:4] == ["75.0 %"]]
    assert [row[1:3] for row in deciles] == [[str(decile), "4"] for decile in range(1, 11)]
    assert {row[4] for row in deciles} == {"75.0 %"}
    assert "Ensemble's probability of over is within 2 points of what happened in 10 of 10 deciles" in read.headings
    doubtful = _Reader(page(*({**row, "over_probability": 0.6} for row in rows)))
    assert "Ensemble's probability of over is within 2 points of what happened in 0 of 10 deciles" in doubtful.headings


def test_months_are_compared_with_the_line_on_the_same_rows() -> None:
    november = [grade(20, 21, 23.5), grade(15, 30)]  # with a line off by 1, the line by 2.5
    december = [grade(20, 24, 23.5, game_day=dt.date(2024, 12, 1))]  # off by 4, the line by 0.5
    january = [grade(20, 21, 22.5, game_day=dt.date(2025, 1, 3))]  # off by 1, the line by 1.5
    read = _Reader(page(*november, *december, *january))
    assert ["2024-11", "1", "1.000", "2.500"] in read.rows
    assert ["2024-12", "1", "4.000", "0.500"] in read.rows
    assert ["2024-11", "2", "8.000", "7.000"] in read.rows  # everyone, beside the weighted average
    assert "Ensemble is below the line in 2 of 3 months" in read.headings


def test_a_month_that_stands_alone_is_drawn_too() -> None:
    """A line and a band need two points: where a season has one month, they are marks."""
    line = charts.Series("the line", charts.INK, [5.0], marker="", dashed=True)
    assert re.search(r"<use[^>]*var\(--ink\)", charts.by_month([DAY], [line], "error"))
    lead = charts.Series("lead", charts.HUES[1], [0.0], [-1.0], [1.0])
    assert re.search(r"stroke: var\(--hue-2\); stroke-opacity: 0.3", charts.by_month([DAY], [lead], "error"))


def test_drift_is_shown_by_month() -> None:
    rows = [grade(20, 21, 23.5), grade(20, 24, 19.5, game_day=dt.date(2024, 12, 1), feature_quality=70.0)]
    read = _Reader(page(*rows))
    assert ["2024-11", "1", "−3.50"] in read.rows  # prediction - line
    assert ["2024-12", "1", "+0.50"] in read.rows
    assert ["2024-11", "1", "−1.00"] in read.rows  # prediction - result
    assert ["2024-12", "1", "−4.00"] in read.rows
    assert ["2024-12", "1", "70.0"] in read.rows
    assert "Feature quality by month: 70 to 90 of 100" in read.headings


def test_several_seasons_are_also_shown_as_one() -> None:
    rows = [grade(20, 21), grade(20, 23, season="2025-26", game_day=dt.date(2025, 11, 5))]
    starts = [row[:4] for row in _Reader(page(*rows)).rows]
    for expected in (["2024-25", "1", "1.000"], ["2025-26", "1", "3.000"], ["all seasons", "2", "2.000"]):
        assert ["ensemble", *expected] in starts
    assert not any("all seasons" in row for row in _Reader(page(*KNOWN)).rows)


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    document = page(*KNOWN, importance={"points_ewm_10": 0.6, "minutes": 0.4}, importance_of="points-x")
    read = _Reader(document)
    assert read.fetched == []
    assert "script" not in read.tags
    assert not re.search(r"https?:|@import|url\((?!#)", document)


def test_every_name_is_escaped_in_the_page_and_in_markdown() -> None:
    rows = [grade(20, 40, 21.5, player_name=SCRIPT, system="<b>$x$</b>|y", model_id="<i>")]
    report = accuracy_report(accuracy_of(Evidence(grades(*rows), WRITTEN, {"as published": "<img src=x>"})))
    document, text = html(report), markdown(report)
    for name in ("<script", "<b>", "<i>", "<img"):
        assert name not in document
        assert name not in text
    assert "&lt;script&gt;alert(&#39;x&#39;)" in document
    assert "&lt;b>$x$&lt;/b>\\|y" in text  # a bar would end the cell


def test_charts_have_titles_text_alternatives_labelled_axes_and_tables_with_captions() -> None:
    document = page(*KNOWN, importance={"points_ewm_10": 0.6, "minutes": 0.4}, importance_of="points-x")
    read = _Reader(document)
    assert read.tags["svg"] == read.tags["figure"] == len(read.labels) == len(read.headings) >= 9
    assert all(len(label) > 20 for label in read.labels)
    assert read.tags["table"] == read.tags["caption"]
    assert read.unscoped == []
    assert [name for name, times in read.ids.items() if times > 1] == []
    for axis in ("mean absolute error (points)", "stated probability of over", "results inside the 80 % interval",
                 "distance from the line (points), n of ensemble", "prediction − result (points)"):  # fmt: skip
        assert f">{axis}</text>" in document


def test_charts_take_their_colours_from_the_page() -> None:
    drawn = re.findall(r"<svg.*?</svg>", page(*KNOWN), re.DOTALL)
    assert drawn
    assert not [colour for chart in drawn for colour in re.findall(r"#[0-9a-fA-F]{6}\b", chart)]
    assert all("var(--ink)" in chart or "var(--muted)" in chart for chart in drawn)


def test_a_report_without_lines_says_nothing_of_the_market() -> None:
    read = _Reader(page(grade(20, 23), grade(15, 16)))
    assert any(row[:3] == ["ensemble", "2024-25", "2"] for row in read.rows)
    assert not [heading for heading in read.headings if "line" in heading or "bets" in heading]


def test_rows_without_a_line_bet_or_probability_leave_their_charts_out() -> None:
    read = _Reader(page(*(grade(20, 20, 20.0, over_probability=None) for _ in range(3))))
    assert any("below the line" in heading for heading in read.headings)
    assert not [heading for heading in read.headings if "probability" in heading or "wins" in heading]


@pytest.mark.parametrize("rows", [(), (grade(25, None, 20.5),)])
def test_a_report_without_rows_is_a_sentence(rows: tuple[dict[str, Any], ...]) -> None:
    document = page(*rows)
    assert f"None of the {len(rows)} graded predictions is of a player who played" in document
    assert _Reader(document).tags["svg"] == 0
    assert "No sign of leakage" not in document


def test_information_is_told_apart_and_what_was_known_is_said() -> None:
    both = pl.concat(
        [
            grades(grade(20, 24, 21.5)).with_columns(variant=pl.lit("perfect report")),
            grades(grade(20, 23, 21.5)).with_columns(variant=pl.lit("no news")),
        ]
    )
    report = accuracy_report(accuracy_of(Evidence(both, WRITTEN)))
    assert [section.heading for section in report.sections if section.figures] == [
        "In charts: no news",
        "In charts: perfect report",
    ]
    known = " ".join(report.sections[-1].sentences)
    assert "No injury report" in known
    assert "what turned out to be true" in known
    headline = next(section for section in report.sections if section.name == "headline")
    captions = [table.caption for table in headline.tables]
    assert [caption.split(":")[0] for caption in captions] == ["No news", "No news", "Perfect report", "Perfect report"]
    assert [table.rows[0][3] for table in headline.tables] == ["3.000", "3.000", "4.000", "4.000"]


def test_how_early_a_line_was_taken_is_stated_once_for_each_player() -> None:
    tip_off = dt.datetime(2024, 11, 6, 0, 30, tzinfo=dt.UTC)
    taken = {"tip_off": tip_off, "line_snapshot_at": tip_off - dt.timedelta(hours=7)}
    rows = [grade(20, 24, 21.5, game_id="g", system=system, **taken) for system in ("ensemble", "lightgbm")]
    assert ["as published", "1", "7.0 hours (n 1)", "1", "–"] in _Reader(page(*rows)).rows


LEAKING = [grade(20, 22) for _ in range(9_000)]


def test_probable_leakage_stands_on_top_of_the_page_and_of_the_markdown() -> None:
    report = accuracy_report(accuracy_of(Evidence(grades(*LEAKING), WRITTEN)))
    document = html(report)
    assert 'class="verdict bad" role="alert"' in document
    assert "Probable leakage" in document[: document.index("<main>")]
    assert "MAE 2.000, below 4.5 (n 9,000)" in document.replace("\N{NO-BREAK SPACE}", " ")
    assert markdown(report).index("MAE 2.000, below 4.5") < markdown(report).index("## ")


def test_believable_accuracy_is_said_to_be_so() -> None:
    document = page(*KNOWN)
    assert 'class="verdict good"' in document
    assert "Probable leakage" not in document


def test_the_simulated_league_may_err_less_and_is_named() -> None:
    graded = grades(*[grade(20.45, 16) for _ in range(9_000)])
    assert not accuracy_report(accuracy_of(Evidence(graded, WRITTEN))).verdict.good
    report = accuracy_report(accuracy_of(Evidence(graded, WRITTEN, simulated=frozenset({"as published"}))))
    assert report.verdict.good
    assert report.subtitle.startswith("The simulated league.")


def test_markdown_states_the_same_numbers_as_the_page() -> None:
    report = accuracy_report(accuracy_of(Evidence(grades(*KNOWN), WRITTEN)))
    text, cells = markdown(report), {cell for row in _Reader(html(report)).rows for cell in row}
    said = {cell.strip(" *") for line in text.splitlines() if line.startswith("| ") for cell in line.split(" | ")}
    assert {cell for cell in cells if re.fullmatch(r"[+−]?[\d.,]+( %| ± [\d.]+)?", cell)} <= said | {
        cell.strip("| *") for cell in said
    }


def test_the_same_grades_give_the_same_bytes_in_any_order() -> None:
    table = grades(*KNOWN)
    first, second = (html(accuracy_report(accuracy_of(Evidence(frame, WRITTEN)))) for frame in (table, table.reverse()))
    assert first == second


def test_a_missing_column_is_named() -> None:
    with pytest.raises(GradesError, match="no column over_result: grade the game days again"):
        accuracy_of(Evidence(grades(*KNOWN).drop("over_result"), WRITTEN))


def workspace(home: Path, *rows: dict[str, Any], origin: str = "the folder /somewhere") -> Path:
    home.mkdir()
    (home / ORIGIN).write_text(origin)
    table = grades(*rows)
    days = table["game_day"].unique().to_list()
    LocalWarehouse(folder=home / "warehouse").replace_each_day(CONTRACT.spec, table, days)
    return home


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


def test_the_command_writes_the_page_and_json_and_prints_the_headline(tmp_path: Path) -> None:
    home, out, figures = workspace(tmp_path / "home", *KNOWN), tmp_path / "r" / "a.html", tmp_path / "j" / "a.json"
    code, said = run("--home", home, "--out", out, "--json", figures)
    assert code == 0
    assert "2.800" in said
    assert "2.800" in out.read_text()
    headline = json.loads(figures.read_text())["headline"]
    assert [(row["population"], row["n"], row["mae"]) for row in headline] == [("all", 5, 2.8), ("with_line", 4, 3.25)]


def test_workspaces_are_labelled_by_their_origin_or_as_told(tmp_path: Path) -> None:
    without = workspace(tmp_path / "a", grade(20, 23), origin="the folder /x in hindsight (no_news)")
    perfect = workspace(tmp_path / "b", grade(20, 22), origin="the folder /x in hindsight (perfect_report)")
    out = tmp_path / "report.html"
    by_origin = write_report([without, perfect], out=out).headline
    assert {row["variant"]: row["mae"] for row in by_origin} == {"no news": 3.0, "perfect report": 2.0}
    as_told = write_report([without, perfect], ["old", "new"], out).headline
    assert {row["variant"]: row["mae"] for row in as_told} == {"old": 3.0, "new": 2.0}


def test_a_workspace_without_grades_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    code, said = run("--home", tmp_path / "nothing", "--out", tmp_path / "report.html")
    assert code == 2
    assert "holds no grades: predict and grade finished game days there first" in said
    assert not (tmp_path / "report.html").exists()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    home, other = workspace(tmp_path / "a", *KNOWN), workspace(tmp_path / "b", *KNOWN)
    code, said = run("--home", home, "--variant", "x", "--variant", "y", "--out", tmp_path / "r.html")
    assert (code, "2 variants for 1 workspaces" in said) == (2, True)
    code, said = run("--home", home, "--home", other, "--out", tmp_path / "r.html")
    assert (code, "both labelled 'as published'" in said) == (2, True)


def test_probable_leakage_is_written_shown_and_exit_code_1(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    code, said = run("--home", workspace(tmp_path / "home", *LEAKING), "--out", out)
    assert (code, "probably leakage: MAE 2.000, below 4.5" in said) == (1, True)
    assert "Probable leakage" in out.read_text()


def test_a_lead_by_a_perfect_report_is_shown_as_hindsight_and_fails_nothing(tmp_path: Path) -> None:
    # 4.9 points off where the line is 5 off: no more than such a report is worth.
    leading = [grade(20 + side * 0.1, 20 + side * 5, 20) for side in (1, -1)] * 1_000
    home, out, figures = workspace(tmp_path / "home", *leading), tmp_path / "report.html", tmp_path / "report.json"

    def report_as(variant: str) -> tuple[int, str, list[str], list[str]]:
        code, said = run("--home", home, "--variant", variant, "--out", out, "--json", figures)
        found = json.loads(figures.read_text())
        return code, said, found["suspicions"], found["explained"]

    code, said, suspected, explained = report_as("perfect report")
    assert (code, suspected, len(explained)) == (0, [], 1)
    assert "line beaten by too much, hindsight: MAE 4.900 against the line's 5.000" in said
    page = out.read_text()
    assert "only hindsight" in page
    assert "who sits was derived from who played" in page
    code, _, suspected, explained = report_as("no news")
    assert (code, len(suspected), explained) == (1, 1, [])


def test_a_model_that_this_code_cannot_read_leaves_its_importance_out(tmp_path: Path) -> None:
    home = workspace(tmp_path / "home", *KNOWN)
    ModelStore(LocalObjects(folder=home / "models")).save(
        {"points.txt": b"trees"}, trained_from=DAY, trained_through=DAY, rows=1, feature_set_version=1, features=(),
        libraries=dict.fromkeys(LIBRARIES, "0"), metrics={}, created_at=WRITTEN,
    )  # fmt: skip
    assert "What the points model looks at" not in write_report([home], out=tmp_path / "report.html").markdown


@pytest.mark.slow
def test_the_flow_keeps_the_report_as_an_artifact(tmp_path: Path) -> None:
    with prefect_test_harness(server_startup_timeout=120):
        report = accuracy([workspace(tmp_path / "home", *KNOWN)], out=tmp_path / "report.html")
        with get_client(sync_client=True) as client:
            kept = client.request("GET", "/artifacts/{key}/latest", path_params={"key": "accuracy-report"}).json()
    assert kept["data"] == report.markdown
    assert "2.800" in report.markdown
