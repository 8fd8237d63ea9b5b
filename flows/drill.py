"""Replay an incident of the original: `python -m flows.drill NAME`. Drills live in the repository, not in a release."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

DRILLS = Path(__file__).resolve().parent.parent / "drills"


def main() -> None:
    """Hand on to `python -m drills`, which is named and not imported: a release is whole without it."""
    if not DRILLS.is_dir():
        sys.exit(f"error: drills are no part of a release ({DRILLS} is not there): run them in a checkout")
    runpy.run_module("drills", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
