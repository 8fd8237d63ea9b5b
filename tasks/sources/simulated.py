"""The bundled simulated league as a source: generated once from its seed, then read like any folder of seasons."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from tasks.sources.folder import FolderSource
from tasks.sources.league import LeagueConfig, generate_league


class SimulatedSource(FolderSource):
    """Fictional players in a calibrated league. The folder is named by what it is made from, so it is never stale."""

    name = "simulated"

    def __init__(self, cache: Path, config: LeagueConfig | None = None) -> None:
        config = config or LeagueConfig()
        folder = cache / f"league-{_digest(config)}"
        if not folder.is_dir():
            _generate(config, folder)
        super().__init__(folder)


def _generate(config: LeagueConfig, folder: Path) -> None:
    """Write the league beside its place and move it there whole: a killed or concurrent run leaves no half league."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f"_unfinished-{os.getpid()}-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    generate_league(config).write(unfinished)
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(unfinished)  # another process was first; both made the same


def _digest(config: LeagueConfig) -> str:
    """Of the configuration and of the generator's own code."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True, default=str).encode())
    for module in sorted((Path(__file__).parent / "league").glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]
