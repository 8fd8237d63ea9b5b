"""Drills as declared and judged: what passes, what does not, what the report shows. `make drill` plays them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from drills.__main__ import ORDER, declared
from drills.report import picture, write
from drills.story import BEGINS, DEADLINE, Drill, Expected, Moment, Original, Result, at

DRILL = Drill(
    name="a-drill",
    title="A <drill>",
    original=Original(source="Z1", what="It went wrong.", detected_after=75, healed_after=115, predictions=0.43),
    expected=Expected(detected_within=dt.timedelta(minutes=2)),
)


def result(
    *moments: tuple[str, int], rows: int | None = 1080, messages: tuple[str, ...] = ("hear",), error: str = ""
) -> Result:
    """A result with moments so many seconds after the beginning."""
    made = tuple(Moment(at=BEGINS + dt.timedelta(seconds=s), says=f"<{kind}>", kind=kind) for kind, s in moments)
    return Result(drill=DRILL, moments=made, rows=rows, of=1080, messages=messages, error=error)


WELL = (("fault", 0), ("detected", 20), ("healed", 100), ("complete", 150))


def test_a_drill_that_comes_to_what_it_must_has_passed_and_says_so_in_a_line() -> None:
    passed = result(*WELL)
    assert passed.failures == ()
    assert passed.verdict == (
        "detected after 20 s, healed after 2 min, 1,080 of 1,080 predictions complete at 12:32:30 PM: deadline met"
    )


def test_whatever_is_missing_fails_it_by_name() -> None:
    assert result(("fault", 0), *WELL[2:]).failures == ("nobody noticed",)
    assert result(("fault", 0), ("detected", 300), *WELL[2:]).failures == ("noticed after 5 min, not within 2 min",)
    assert result(*WELL, messages=()).failures == ("no message arrived",)
    assert result(*WELL[:3]).failures == ("predictions were never complete",)
    assert result(*WELL, rows=464).failures == ("464 of 1080 predictions",)
    late = int((DEADLINE - BEGINS).total_seconds()) + 1
    assert result(*WELL[:3], ("complete", late)).failures == ("complete at 1:30:01 PM, after the deadline",)
    assert result(error="it broke").failures[0] == "it broke"


def test_every_drill_declares_itself_and_the_known_incidents_are_among_them() -> None:
    known = declared()
    assert set(known) >= {*ORDER, "stale-worker", "tampered-release", "silent-alerts"}
    assert list(known)[: len(ORDER)] == list(ORDER)
    for name, (drill, _) in known.items():
        assert drill.name == name
        assert drill.original.what
        assert drill.expected.detected_within <= dt.timedelta(minutes=45)


def test_the_picture_puts_both_courses_on_one_scale() -> None:
    drawn = picture(result(*WELL))
    original = {mark.kind: mark.at for mark in drawn.original}
    assert original["fault"] < drawn.deadline < original["detected"] < original["healed"] < 100
    ours = {mark.kind: mark.at for mark in drawn.ours}
    assert ours["fault"] < ours["detected"] < ours["complete"] < drawn.deadline
    assert at(12, 30) == BEGINS


def test_the_report_shows_original_against_ours_and_escapes_what_was_said(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "drills.html"
    write(file, [result(*WELL), result(*WELL[:1], rows=None, error="<b>broke</b>")])
    page = file.read_text()
    assert "1 of 2 drills passed" in page
    for shown in (
        "75 min",
        "40 min",
        "115 min",
        "43 %",
        "100 %",
        "20 s",
        "80 s",
        "A &lt;drill&gt;",
        "&lt;b&gt;broke",
        "&lt;detected&gt;",
    ):
        assert shown in page, shown
    assert "<b>broke" not in page
