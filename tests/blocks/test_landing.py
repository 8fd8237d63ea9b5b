"""What the landing zone promises: payloads are kept byte for byte, whole, under a name that says what they are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from blocks.landing import Landing, Payload
from blocks.objects import LocalObjects

DAY = dt.date(2025, 12, 29)
FETCHED = dt.datetime(2025, 12, 29, 12, 30, 0, 250_000, dt.timezone(dt.timedelta(hours=-5)))


def payload(body: bytes = b"\x00\xffraw", last: dt.date = DAY) -> Payload:
    return Payload("folder", "prop_lines", DAY, last, FETCHED, FETCHED, "parquet", body)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(LocalObjects(folder=tmp_path / "landing"))


def test_a_payload_comes_back_byte_for_byte(landing: Landing) -> None:
    assert landing.get(landing.put(payload())) == b"\x00\xffraw"


def test_a_payload_is_named_by_source_kind_days_and_fetch_time_in_utc(landing: Landing) -> None:
    assert landing.put(payload()) == "folder/prop_lines/2025-12-29/20251229T173000250000Z.parquet"
    week = payload(last=DAY + dt.timedelta(days=6))
    assert landing.put(week) == "folder/prop_lines/2025-12-29_2026-01-04/20251229T173000250000Z.parquet"


def test_a_payload_is_whole_or_not_there(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        landing.put(payload(b"first"))
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        landing.get(payload().name)
    landing.put(payload(b"second, longer"))
    assert landing.get(payload().name) == b"second, longer"


def test_a_payload_that_never_landed_is_not_found(landing: Landing) -> None:
    with pytest.raises(FileNotFoundError):
        landing.get("folder/prop_lines/2025-12-29/nothing.parquet")


def test_landed_payloads_are_found_again_by_source_and_kind_and_nothing_half_written_is(landing: Landing) -> None:
    later = payload(last=DAY + dt.timedelta(days=6))
    names = [landing.put(payload()), landing.put(later)]
    assert isinstance(landing.objects, LocalObjects)
    (landing.objects.folder / names[0]).with_name("_tmp-1-20251229T173000250000Z.parquet").write_bytes(b"half")
    assert landing.names("folder", "prop_lines") == sorted(names)
    assert landing.names("folder", "rosters") == landing.names("live", "prop_lines") == []
