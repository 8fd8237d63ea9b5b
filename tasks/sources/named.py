"""How `data` names a source: nothing is the simulated league, `live:` or `live:NAME` are the sites, else a folder."""

from __future__ import annotations

from pathlib import Path

LIVE = "live:"


def is_live(data: Path | None) -> bool:
    """Whether this names the live sources instead of a folder."""
    return str(data).startswith(LIVE)


def origin_of(data: Path | None) -> str:
    """What a workspace with results from this source holds results from."""
    if data is None:
        return "the simulated league"
    return "the live sources" if is_live(data) else f"the folder {data.resolve()}"


def name_of(data: Path | None) -> str:
    """What the folder of a workspace for this source is called."""
    if data is None:
        return "simulated"
    return str(data).rstrip(":").replace(":", "-") if is_live(data) else f"folder-{data.resolve().name}"


def absolute(data: Path) -> Path:
    """The same name wherever it is read: a folder by its whole path, live sources as they are."""
    return data if is_live(data) else data.resolve()
