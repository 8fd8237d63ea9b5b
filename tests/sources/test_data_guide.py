"""docs/data.md tells the truth: its example files run as they stand, its errors and refusals are the real ones."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from blocks.warehouse import DayRange
from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.folder import FolderSource
from tests.leagues import DAY, clean, eastern, one_game, player_line, raw_tables, table, write

GUIDE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
EXAMPLES = dict(re.findall(r"^```csv (\S+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
NOON = eastern(DAY, 13)


def _folder(folder: Path) -> Path:
    for name, body in EXAMPLES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    return folder


def test_the_examples_of_the_guide_are_a_folder_that_runs_without_a_refused_row(tmp_path: Path) -> None:
    days = DayRange(dt.date(2025, 12, 28), DAY)
    made = raw_tables(FolderSource(_folder(tmp_path)), days, NOON)
    assert set(made) == set(Kind)
    for kind, cleaned in made.items():
        assert cleaned.rows.height > 0, kind
        assert cleaned.refused.is_empty(), kind
    assert made[Kind.PROP_LINES].rows["player_id"].to_list() == [2544]


def test_the_examples_have_no_column_that_could_be_left_out(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    for kind, name in zip(Kind, _in_order(), strict=True):
        header = (folder / name).read_text().splitlines()[0].split(",")
        assert set(header) == set(REQUIRED_COLUMNS[kind]), name


def _in_order() -> list[str]:
    """The example files in the order of the kinds, by their folder."""
    folders = ("schedule", "player_games", "team_games", "rosters", "injuries", "lines")
    return [next(name for name in EXAMPLES if name.startswith(f"{folder}/")) for folder in folders]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_required_column_is_explained(kind: Kind) -> None:
    for column in REQUIRED_COLUMNS[kind]:
        assert f"`{column}`" in GUIDE


def test_the_errors_quoted_are_the_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = GUIDE.split("```text\n")[1].split("```")[0].splitlines()
    monkeypatch.chdir(tmp_path)
    folder = Path("my-seasons")
    said: list[str] = []

    def say(kind: Kind) -> None:
        with pytest.raises(SourceError) as error:
            FolderSource(folder).fetch(kind, DayRange.on(DAY), NOON, NOON)
        said.append(str(error.value))

    say(Kind.SCHEDULE)
    tables = one_game()
    write(folder, {Kind.SCHEDULE: tables[Kind.SCHEDULE]})
    say(Kind.SCHEDULE)
    write(folder, {**tables, Kind.SCHEDULE: tables[Kind.SCHEDULE].rename({"tip_utc": "tipoff"})})
    say(Kind.SCHEDULE)
    say(Kind.INJURY_REPORT)
    write(folder, {kind: tables[kind].clear() for kind in (Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES)})
    with pytest.raises(SourceError) as error:
        FolderSource(folder).covers()
    said.append(str(error.value))
    assert said == quoted


def test_the_refusals_shown_are_the_real_ones(tmp_path: Path) -> None:
    rows = [player_line(), player_line(player_id="7", pts="24.5"), player_line(player_id="8", team="SEA")]
    source = FolderSource(write(tmp_path, one_game(player_box_scores=table(rows))))
    late = eastern(DAY + dt.timedelta(days=1), 12)
    payload = source.fetch(Kind.PLAYER_BOX_SCORES, DayRange.on(DAY), late, late)
    refused = clean(Kind.PLAYER_BOX_SCORES, source.parse(payload.body, payload.name)).refused
    for row in refused.iter_rows():
        assert f"| {' | '.join(map(str, row))} |" in GUIDE
    assert refused.height == 2
