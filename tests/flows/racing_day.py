"""A process of its own that runs a same-day day in a workspace, and waits for `go` first; the tests race it.

python racing_day.py GAME_DAY DATA HOME
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from google.auth import credentials

from flows.daily import daily
from tasks.engine.processor import Mode
from tests.fakes.cloud import BOUNDARY


def main() -> None:
    day, data, home = sys.argv[1:]
    # As in the process of the fakes: nobody is asked on the Internet.
    setattr(credentials.CredentialsWithRegionalAccessBoundary, BOUNDARY, lambda *_: None)
    print("ready", flush=True)
    sys.stdin.readline()
    report = daily(Mode.SAME_DAY, dt.date.fromisoformat(day), data=Path(data), home=Path(home))
    print(report.run_id)


if __name__ == "__main__":
    main()
