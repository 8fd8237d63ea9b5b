"""The night as markdown: the same words, and nothing from the data that markdown would obey."""

from __future__ import annotations

from tasks.engine.ledger import State
from tasks.tonight.compose import tonight
from tasks.tonight.markdown import markdown
from tests.tonight.nights import at, manifest, night, run, schedule


def test_a_fine_night_says_so_with_its_phases_its_line_and_its_coverage() -> None:
    runs = [run(name, at(12, 31)) for name in ("ml_feature_store", "predictions")]
    text = markdown(tonight(night(at(13), manifest=manifest(at(12, 41)), runs=runs, schedule=schedule())))
    assert text.startswith("# ✓ Fine: 2025-12-29\n")
    assert "| predictions | COMPLETE | 100/100 | 12:31 PM | 2.0 s | 1:30 PM |" in text
    [line] = [line for line in text.splitlines() if line.startswith("predictions ")]
    assert line.count("█") == 1
    assert 25 < line.count("·") < 45
    assert "| BOS at LAL | 0/0 |" in text


def test_what_is_wrong_is_escaped_and_kept_on_its_line() -> None:
    found = night(at(13), {"predictions": State.FAILED}, unreadable=("the ledger cannot be read: [x](http://y)\n# h",))
    text = markdown(tonight(found))
    assert "\\[x\\]\\(http://y\\) \\# h" in text
    assert "\n# h" not in text
