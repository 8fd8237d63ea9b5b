"""A process of its own that opens and closes rows of one output in the ledger at a URL; prints its faults.

python ledger_writer.py URL COUNT
"""

from __future__ import annotations

import datetime as dt
import sys

from tasks.engine.ledger import Ledger, State

DAY = dt.date(2025, 12, 29)
AT = dt.datetime(2025, 12, 29, 17, 30, tzinfo=dt.UTC)


def write(ledger: Ledger, count: int) -> None:
    for number in range(count):
        row = ledger.started(
            run_id=f"run-{number}",
            processor="team_box_scores",
            phase=2,
            mode="overnight",
            first_game_day=DAY,
            game_day=DAY,
            at=AT,
        )
        ledger.ended(row, state=State.COMPLETE, at=AT, duration_s=0.1)


if __name__ == "__main__":
    ledger = Ledger(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    write(ledger, int(sys.argv[2]))
    print(ledger.faults)
