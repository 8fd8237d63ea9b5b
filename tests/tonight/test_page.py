"""The page: everything is on it, nothing is believed of what it shows, and it says the same without colour."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tasks.engine.ledger import State
from tasks.engine.processor import Mode
from tasks.tonight.compose import tonight
from tasks.tonight.geometry import curve, months, timeline
from tasks.tonight.page import asset, fragment, page
from tasks.tonight.snapshot import (
    AccuracyDay,
    GameCoverage,
    Level,
    Mark,
    Prediction,
    Stamp,
    Tonight,
    Trouble,
    Verdict,
)
from tests.leagues import DAY
from tests.tonight.nights import at, manifest, night, run, schedule

EVIL = "<script>alert(1)</script>\"' onload=x"


class _Tags(HTMLParser):
    """What is really in a document: its tags with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def shown(**more: object) -> Tonight:
    runs = [run(name, at(12, 31), flow_run_id="f-1") for name in ("upcoming_player_game_context", "predictions")]
    made = tonight(night(at(13), manifest=manifest(at(12, 41)), runs=runs, schedule=schedule()))
    return made.model_copy(update=more)


def player(name: str = "Player One", **more: object) -> Prediction:
    values = {
        "player": name, "team": "LAL", "opponent": "BOS", "is_home": True, "line": 20.5, "predicted": 22.0,
        "quantiles": (12.0, 17.0, 22.0, 27.0, 32.0), "over_probability": 0.6, "edge": 1.5, "recommendation": "OVER",
        "status": None, "degraded": None,
    }  # fmt: skip
    return Prediction.model_validate(values | more)


def test_every_text_from_the_data_is_escaped_wherever_it_stands() -> None:
    evil = Trouble(title=EVIL, what=EVIL, level=Level.FAILING, impact=EVIL, next_step=EVIL, runbook=EVIL)
    document = page(
        shown(
            origin=EVIL,
            verdict=Verdict(level=Level.FAILING, says=EVIL, next_step=EVIL),
            troubles=(evil,),
            marks=(Mark(at=at(13), kind="opened", says=EVIL),),
            coverage=(GameCoverage(game=EVIL, tip_off=None, systems={EVIL: (1, 2)}),),
            stamps=(Stamp(who=EVIL, what=EVIL, release=EVIL, expected="x", refused=EVIL),),
            predictions=(player(EVIL, team=EVIL, recommendation=EVIL, status=EVIL, degraded=EVIL),),
        ),
        prefect_ui="http://127.0.0.1:4200",
    )
    tags = _Tags(document).found
    assert [attributes.get("src") for tag, attributes in tags if tag == "script"] == ["/night.js"]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on") or name == "style"]
    assert document.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 15


def test_nothing_is_fetched_from_anywhere_else() -> None:
    tags = _Tags(page(shown())).found
    links = [value for tag, each in tags for key, value in each.items() if key in ("src", "href") and value]
    assert [link for link in links if not link.startswith(("/", "#", "data:,"))] == []
    assert not re.search(r"https?://(?!127)", asset("night.js") + asset("night.css"))


def test_runs_link_to_the_prefect_ui_where_it_is_known() -> None:
    assert 'href="http://127.0.0.1:4200/runs/flow-run/f-1"' in fragment(shown(), "http://127.0.0.1:4200/")
    assert "flow-run" not in fragment(shown())


def test_state_is_in_words_and_signs_and_every_table_has_headers() -> None:
    document = page(shown(troubles=(), stamps=(Stamp(who="a", what="phase", release="41", expected="42"),)))
    assert "✕ other code" in document
    assert "Tonight is fine" in document
    tags = _Tags(document).found
    heads = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert heads
    assert None not in heads
    assert all(each.get("aria-label") for tag, each in tags if tag == "svg" and each.get("role") == "img")
    assert {tag for tag, _ in tags} >= {"header", "nav", "main", "footer", "h1"}
    assert [each for tag, each in tags if each.get("aria-live") == "polite"]


def test_a_number_that_is_not_known_is_a_dash_and_never_a_zero() -> None:
    row = fragment(shown(predictions=(player(line=None, edge=None, over_probability=None, recommendation="NO_LINE"),)))
    cells = re.findall(r'<td class="n" data-value="([^"]*)">([^<]*)</td>', row)
    assert cells == [("", "–"), ("22.0", "22.0"), ("", "–"), ("", "–")]
    assert "priced" not in row.split('id="players"')[1]


def test_the_timeline_puts_what_was_planned_beside_what_was_done() -> None:
    drawn = timeline(shown())
    assert drawn is not None
    rows = {row.name: row for row in drawn.rows}
    [bar] = rows["predictions"].bars
    planned = rows["predictions"].planned
    assert planned is not None
    assert planned.left < bar.left < planned.left + planned.width
    assert [flag.says for flag in drawn.flags] == ["12:41 PM predictions published", "1:30 PM predictions due"]
    assert drawn.later == ("first tip-off 7:00 PM",)
    assert drawn.now is not None
    assert all(0 <= place <= 100 for place, _ in drawn.ticks)
    assert 2 <= len(drawn.ticks) <= 6


def test_a_run_that_is_long_over_fills_its_own_window_in_a_replay() -> None:
    late = at(18, days=300)
    runs = [run("raw", late), run("predictions", late)]
    made = shown(replayed=True, published_at=late, marks=())
    outputs = tonight(night(at(13), runs=runs)).phases
    drawn = timeline(made.model_copy(update={"phases": outputs}))
    assert drawn is not None
    assert drawn.replayed.startswith("Sunday, October 25, 2026")
    assert all(row.planned is None for row in drawn.rows)


def test_an_output_that_still_runs_reaches_to_now() -> None:
    runs = [run("predictions", at(12, 40), ended_at=None, state="RUNNING")]
    drawn = timeline(
        tonight(night(at(12, 50), {"predictions": State.RUNNING, "publication": State.EXPECTED}, runs=runs))
    )
    assert drawn is not None
    [bar] = next(row for row in drawn.rows if row.name == "predictions").bars
    assert drawn.now == pytest.approx(bar.left + bar.width)
    assert "still running" in bar.says


def test_the_calendar_has_every_day_of_its_months_once() -> None:
    [month] = months(tonight(night(at(14))).calendar)[:1]
    numbers = [cell[0] for week in month.weeks for cell in week if cell]
    assert numbers == list(range(1, 32))
    assert {cell[1].game_day for week in month.weeks for cell in week if cell and cell[1] and cell[1].state} >= {DAY}


def test_accuracy_is_compared_on_days_that_have_both() -> None:
    days = [AccuracyDay(game_day=DAY.replace(day=n), players=10, error=4.0 + n, line_error=None) for n in (1, 2)]
    days += [AccuracyDay(game_day=DAY.replace(day=n), players=30, error=5.0, line_error=5.0 + 0.1 * n) for n in (3, 4)]
    drawn = curve(days)
    assert drawn is not None
    assert (drawn.better, drawn.compared) == (2, 2)
    assert drawn.mean == pytest.approx((10 * 5 + 10 * 6 + 60 * 5) / 80)
    assert drawn.line_mean == pytest.approx(5.35)
    assert len(drawn.line.split()) == 2
    assert curve(days[:1]) is None


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_drawn(state: State) -> None:
    document = page(tonight(night(at(14), {"predictions": state})))
    assert state.value.replace("_", " ").lower() in document


def test_last_nights_results_come_before_tonight() -> None:
    made = shown()
    assert [phase.mode for phase in made.phases] == sorted((phase.mode for phase in made.phases), key=list(Mode).index)
    document = fragment(made)
    assert document.index("Last night") < document.index('colspan="9">Tonight')
