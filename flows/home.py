"""Where a run's workspace is: a folder by what its facts come from, or one that is saved in Prefect.

Apart from `flows.run` so that whoever only looks need not import every source.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from blocks.workspace import SAVED
from tasks.sources.hindsight import Information
from tasks.sources.named import name_of

HOME = Path(".pipeline")
BLOCK = SAVED


def home_of(data: Path | None, home: Path | None, information: Information = Information.PUBLISHED) -> Path:
    """The workspace: as given, else a folder, one for the simulated league, each data folder and live sources."""
    if home is not None:
        return home
    hindsight = "" if information == Information.PUBLISHED else f"-{information.replace('_', '-')}"
    return HOME / f"{name_of(data)}{hindsight}"


def options_of(data: Path | None, home: Path | None) -> str:
    """What a command has to be given to work on this workspace, with a blank before it; empty for the usual one."""
    chosen = {"--data": data, "--home": home if home != home_of(data, None) else None}
    return "".join(f" {name} {shlex.quote(str(value))}" for name, value in chosen.items() if value is not None)


def is_saved(home: Path) -> bool:
    """Whether this workspace is a saved Prefect block instead of a folder."""
    return str(home).startswith(BLOCK)
