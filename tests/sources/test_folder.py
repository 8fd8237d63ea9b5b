"""A folder of seasons: what is missing is named, CSV and Parquet are the same, and one bad file or line is not all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from blocks.warehouse import DayRange
from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.folder import FolderSource
from tests.leagues import (
    DAY,
    FILES,
    ROWS,
    clean,
    eastern,
    game,
    one_game,
    player_line,
    prop_line,
    raw_tables,
    roster_row,
    served,
    table,
    tables_of,
    team_line,
    tiny_league,
    write,
)

MUCH_LATER = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
NEXT_NOON = eastern(DAY + dt.timedelta(days=1), 12)


def test_a_missing_folder_is_named_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"nowhere is not a folder; --data takes a folder in the layout of docs/data\.md"
    ):
        FolderSource(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", [Kind.SCHEDULE, Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES])
def test_a_missing_necessary_table_is_named(tmp_path: Path, kind: Kind) -> None:
    tables = one_game()
    del tables[kind]
    with pytest.raises(SourceError, match=rf"no {FILES[kind]}\*\.parquet or \.csv; docs/data\.md"):
        FolderSource(write(tmp_path, tables))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", list(Kind))
def test_every_missing_column_is_named_with_its_file_and_what_is_there_instead(
    tmp_path: Path, kind: Kind, suffix: str
) -> None:
    tables = one_game()
    tables[kind] = table([ROWS[kind]()])
    for column in REQUIRED_COLUMNS[kind]:
        odd = tables[kind].rename({column: "what"})
        source = FolderSource(write(tmp_path, {**tables, kind: odd}, suffix))
        with pytest.raises(SourceError) as error:
            source.fetch(kind, DayRange.on(DAY), NEXT_NOON, NEXT_NOON)
        message = str(error.value)
        assert message.startswith(f"{FILES[kind]}.{suffix}: no column {column} (it has ")
        assert "what" in message
        assert "_surplus" not in message


def test_a_kind_that_the_folder_lacks_says_so_and_the_others_are_served(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, one_game()))
    with pytest.raises(SourceError, match=r"folder has no injury report; docs/data\.md says how to add it"):
        source.fetch(Kind.INJURY_REPORT, DayRange.on(DAY), NEXT_NOON, NEXT_NOON)
    assert served(source, Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON).height == 1


@pytest.mark.parametrize(
    ("suffix", "body"), [("parquet", b"PAR1 not really"), ("csv", b""), ("csv", b"season,arena\n2025-26,Caf\xe9\n")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, suffix: str, body: bytes) -> None:
    folder = write(tmp_path, one_game())
    (folder / "rosters").mkdir()
    (folder / f"rosters/rosters.{suffix}").write_bytes(body)
    with pytest.raises(SourceError, match=rf"rosters/rosters\.{suffix}: cannot be read as {suffix}"):
        FolderSource(folder).fetch(Kind.ROSTERS, DayRange.on(DAY), NEXT_NOON, NEXT_NOON)


def test_parquet_whose_pages_are_damaged_ends_as_a_source_error(tmp_path: Path) -> None:
    folder = write(tmp_path, tables_of(tiny_league()), "parquet")
    path = folder / "lines/points_lines.parquet"
    body = bytearray(path.read_bytes())
    body[100:2000] = bytes(1900)
    path.write_bytes(body)
    with pytest.raises(SourceError, match="the prop lines cannot be read"):
        FolderSource(folder).fetch(Kind.PROP_LINES, DayRange(), MUCH_LATER, MUCH_LATER)


def test_csv_and_parquet_of_the_same_data_give_identical_raw_tables(tmp_path: Path) -> None:
    tables = tables_of(tiny_league())
    days = DayRange(dt.date(2025, 10, 22), dt.date(2025, 12, 31))
    csv, parquet = (
        raw_tables(FolderSource(write(tmp_path / suffix, tables, suffix)), days, MUCH_LATER)
        for suffix in ("csv", "parquet")
    )
    for kind in Kind:
        assert csv[kind].rows.height > 15
        assert csv[kind].rows.equals(parquet[kind].rows), kind
        lines_refused = csv[kind].refused.drop("file").equals(parquet[kind].refused.drop("file"))
        assert lines_refused, kind
    # The books that go on during the game are all that is refused.
    assert csv[Kind.PROP_LINES].refused["reason"].unique().to_list() == [
        "is at or after tip-off: not a line but leakage"
    ]
    assert sum(csv[kind].refused.height for kind in Kind if kind != Kind.PROP_LINES) == 0


def test_one_table_may_be_part_csv_and_part_parquet(tmp_path: Path) -> None:
    """An older season exported as CSV beside a newer one in Parquet."""
    tables = tables_of(tiny_league())
    whole = FolderSource(write(tmp_path / "whole", tables, "parquet"))
    early = {kind: frame.head(frame.height // 2) for kind, frame in tables.items()}
    late = {kind: frame.tail(-(frame.height // 2)) for kind, frame in tables.items()}
    mixed = FolderSource(write(write(tmp_path / "mixed", late, "csv"), early, "parquet"))
    days = DayRange(dt.date(2025, 10, 22), dt.date(2026, 4, 12))
    one, other = raw_tables(whole, days, MUCH_LATER), raw_tables(mixed, days, MUCH_LATER)
    for kind in Kind:
        assert one[kind].rows.equals(other[kind].rows), kind


def test_files_written_with_pandas_categories_are_read_as_text(tmp_path: Path) -> None:
    tables = one_game()
    odd = tables[Kind.SCHEDULE].with_columns(pl.col("home", "game_date").cast(pl.Categorical), tip_utc=pl.lit(None))
    source = FolderSource(write(tmp_path, {**tables, Kind.SCHEDULE: odd}, "parquet"))
    made = raw_tables_of_schedule(source)
    assert made["home_team"].to_list() == ["LAL"]
    assert made["tip_off"].to_list() == [None]


def raw_tables_of_schedule(source: FolderSource) -> pl.DataFrame:
    return clean(Kind.SCHEDULE, served(source, Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON)).rows


def test_excel_csv_with_a_byte_order_mark_windows_lines_and_a_blank_line_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, one_game())
    path = folder / "schedule/schedule.csv"
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([lines[0], "", lines[1], ""]).encode() + b"\r\n\r\n")
    found = served(FolderSource(folder), Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON)
    made = clean(Kind.SCHEDULE, found)
    assert made.rows["game_id"].to_list() == ["0022500447"]
    assert made.refused.is_empty()
    assert found["_row"].to_list() == [1]  # a blank line is no row, and is still counted


def test_a_csv_line_with_too_many_values_is_refused_and_the_rest_is_served(tmp_path: Path) -> None:
    """An unquoted comma in a name shifts every value after it: nothing of the line can be trusted."""
    folder = write(tmp_path, one_game())
    path = folder / "player_games/player_games.csv"
    header, line = path.read_text().splitlines()
    path.write_text("\n".join([header, line.replace("LeBron James", "James, LeBron"), line, ""]))
    made = clean(
        Kind.PLAYER_BOX_SCORES, served(FolderSource(folder), Kind.PLAYER_BOX_SCORES, DayRange.on(DAY), NEXT_NOON)
    )
    assert made.rows["player_name"].to_list() == ["LeBron James"]
    assert made.refused.select("file", "row", "field", "value", "reason").row(0) == (
        "player_games/player_games.csv",
        0,
        "_surplus",
        "35:22",
        "stands beyond the last column of the header",
    )


def test_rosters_of_commonteamroster_are_read_as_they_are_and_dated_by_their_file(tmp_path: Path) -> None:
    folder = write(tmp_path, one_game())
    old = {"player": "PLAYER", "player_id": "PLAYER_ID", "team": "TEAM_ABBR", "position": "POSITION"}
    roster = table([roster_row()]).drop("snapshot_date").rename(old)
    (folder / "rosters").mkdir()
    roster.write_csv(folder / "rosters/rosters_2025-26_2025-12-18.csv")
    found = served(FolderSource(folder), Kind.ROSTERS, DayRange.on(DAY), NEXT_NOON)
    made = clean(Kind.ROSTERS, found).rows
    assert made.select("player_id", "player_name", "team", "snapshot_day").row(0) == (
        2544,
        "LeBron James",
        "LAL",
        dt.date(2025, 12, 18),
    )


def test_games_that_only_the_box_scores_know_are_on_the_schedule_with_their_score(tmp_path: Path) -> None:
    playoff = {"game_id": "0042500101", "season_type": "playoffs"}
    home = player_line(**playoff, is_home="Yes")
    other = {"team": "BOS", "opponent": "LAL", "is_home": "No", "win": "No"}
    away = player_line(**playoff, **other, player_id="1628369", player_name="Jayson Tatum")
    scored = [
        home | {"pts": "60"},
        home | {"pts": "55", "player_id": "2"},
        home | {"pts": None, "player_id": "3"},
        away,
    ]
    source = FolderSource(write(tmp_path, one_game(player_box_scores=table(scored))))
    found = served(source, Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON)
    only_there = found.filter(pl.col("game_id") == "0042500101").row(0, named=True)
    assert (only_there["home"], only_there["away"], only_there["season_type"]) == ("LAL", "BOS", "playoffs")
    assert (int(only_there["home_pts"]), int(only_there["away_pts"])) == (115, 24)


def test_a_score_with_an_unreadable_part_is_unknown_instead_of_too_low(tmp_path: Path) -> None:
    playoff = {"game_id": "0042500101", "season_type": "playoffs"}
    scored = [player_line(**playoff, pts="60"), player_line(**playoff, pts="6O", player_id="2")]
    source = FolderSource(write(tmp_path, one_game(player_box_scores=table(scored))))
    found = served(source, Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON).filter(pl.col("game_id") == "0042500101")
    assert found["home_pts"].to_list() == [None]


def test_a_game_id_without_its_zeros_is_the_same_game(tmp_path: Path) -> None:
    """A spreadsheet saved the schedule: its 22500447 is the box scores' 0022500447."""
    tables = one_game()
    tables[Kind.SCHEDULE] = table([game(game_id="22500447")])
    source = FolderSource(write(tmp_path, tables))
    assert raw_tables_of_schedule(source)["game_id"].to_list() == ["0022500447"]


def test_a_payload_holds_only_the_asked_days_and_every_row_whose_day_cannot_be_read(tmp_path: Path) -> None:
    rows = [game(game_date="2025-12-28"), game(), game(game_date="29.12.2025"), game(game_date="2025-12-30")]
    source = FolderSource(write(tmp_path, one_game(schedule=table(rows))))
    found = served(source, Kind.SCHEDULE, DayRange.on(DAY), NEXT_NOON)
    assert found["game_date"].to_list() == ["2025-12-29", "29.12.2025"]
    assert clean(Kind.SCHEDULE, found).refused["row"].to_list() == [2]


def test_the_days_covered_are_those_of_the_schedule(tmp_path: Path) -> None:
    rows = [game(game_date="2025-12-30"), game(game_date="2025-12-28"), game(game_date="some day")]
    source = FolderSource(write(tmp_path, one_game(schedule=table(rows))))
    assert source.covers() == DayRange(dt.date(2025, 12, 28), dt.date(2025, 12, 30))


def test_a_schedule_without_rows_says_that_there_is_no_day_to_run(tmp_path: Path) -> None:
    source = FolderSource(
        write(
            tmp_path,
            {
                Kind.SCHEDULE: table([game()]).clear(),
                Kind.PLAYER_BOX_SCORES: table([player_line()]).clear(),
                Kind.TEAM_BOX_SCORES: table([team_line()]),
            },
        )
    )
    with pytest.raises(SourceError, match="the schedule is empty, so there is no day to run"):
        source.covers()


def test_what_is_no_payload_is_named(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, one_game()))
    with pytest.raises(SourceError, match=r"folder/schedule/x\.parquet: not a Parquet payload"):
        source.parse(b"<html>403 Forbidden</html>", "folder/schedule/x.parquet")


def test_every_refused_row_can_be_found_again_by_its_file_and_number(tmp_path: Path) -> None:
    lines = [prop_line(bookmaker=f"book{n}", line="24.5" if n % 3 else "twenty") for n in range(9)]
    folder = write(tmp_path, one_game(prop_lines=table(lines), rosters=table([roster_row()])))
    source = FolderSource(folder)
    made = raw_tables(source, DayRange.on(DAY), NEXT_NOON)[Kind.PROP_LINES]
    original = (folder / "lines/points_lines.csv").read_text().splitlines()[1:]
    assert made.refused.height == 3
    for row in made.refused.iter_rows(named=True):
        assert row["file"] == "lines/points_lines.csv"
        assert row["value"] in original[row["row"]]
