"""What an image needs of an installed distribution: its entry points, by which Prefect finds worker types and plugins.

`python -m deployments.metadata FOLDER` writes `courtside-<version>.dist-info` there. The code itself is not installed:
it lies in the release, where the guard holds it against the manifest.
"""

from __future__ import annotations

import configparser
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write(folder: Path) -> Path:
    """The metadata of this tree's pyproject.toml, in the standard form, and where it is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = configparser.ConfigParser()
    points.optionxform = str  # type: ignore[assignment,method-assign]
    points.read_dict(project["entry-points"])
    with (info / "entry_points.txt").open("w") as stream:
        points.write(stream)
    return info


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
