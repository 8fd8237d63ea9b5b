"""How far a long run is: days that were there before count as done and say nothing of the pace."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.narration import listening, measuring, narrate
from flows.progress import Pace, progress_bar


def test_the_rest_is_reckoned_by_what_this_run_has_done() -> None:
    measured: list[tuple[int, int]] = []
    with measuring(lambda done, total: measured.append((done, total))):
        pace = Pace(total=165, there=100, began=0.0)
        assert pace.says(now=60.0) == "100 of 165 game days"
        pace.advance(5)
        # Five days took two minutes: sixty more take 24.
        assert pace.says(now=120.0) == "105 of 165 game days, 24 min left"
        pace.advance(59)
        assert pace.says(now=1_500.0) == "164 of 165 game days, under a minute left"
        pace.advance(1)
    assert pace.says(now=1_600.0) == "165 of 165 game days"
    assert measured == [(100, 165), (105, 165), (164, 165), (165, 165)]


@pytest.mark.parametrize("terminal", [True, False], ids=["a terminal", "a file"])
def test_a_terminal_shows_days_and_stage_and_a_file_only_what_is_narrated(terminal: bool) -> None:
    shown, heard = io.StringIO(), []
    console = Console(file=shown, force_terminal=terminal, width=140)
    with listening(lambda what, state, detail: heard.append((what, state, detail))), progress_bar(console):
        pace = Pace(total=165, there=100)
        pace.advance(31)
        narrate("2023-11-01 to 2023-11-30", "predicted", pace.says())
    assert heard == [("2023-11-01 to 2023-11-30", "predicted", pace.says())]
    assert ("131/165" in shown.getvalue()) is terminal
    assert ("2023-11-01 to 2023-11-30 predicted" in shown.getvalue()) is terminal
