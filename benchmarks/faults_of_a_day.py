"""Faults put into December 29, 2025: what was shown and told, what healed it, and the seconds, into docs/faults.md.

`REAL_DATA_DIR=FOLDER python -m benchmarks.faults_of_a_day` plays tests/flows/test_faults_of_a_real_day.py;
`--courses FILE` makes the table of what an earlier run wrote there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCENES = "tests/flows/test_faults_of_a_real_day.py"
WRITE_TO = "FAULTS_FILE"
DOCUMENT = Path("docs/faults.md")
BEGIN, END = "<!-- faults of a day: begin -->", "<!-- faults of a day: end -->"
HEADINGS = ("fault", "noticed by", "state shown", "told", "healed by", "to notice", "to complete", "healing run")


def play(courses: Path) -> int:
    """Run the scenes, each of which appends its course to the file."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--show-capture=no", SCENES]
    return subprocess.run(command, env={**os.environ, WRITE_TO: str(courses)}, check=False).returncode


def row(course: Mapping[str, Any]) -> tuple[str, ...]:
    """A course as cells."""
    told = [f"{kind} {subject} {'opened' if opened else 'resolved'}" for kind, subject, opened in course["told"]]
    noticed = course["noticed_at"]
    return (
        course["fault"],
        course["noticed_by"] or "no fault",
        course["shown"] or "COMPLETE",
        ", ".join(told) or "nobody",
        course["healed_by"],
        seconds_between(course["at"], noticed),
        seconds_between(noticed or course["at"], course["complete_at"]),
        f"{course['healing_s']:,.1f} s" if course["healing_s"] is not None else "",
    )


def lasted(course: Mapping[str, Any]) -> dt.timedelta:
    """From the fault until the day was complete; longest where it never was."""
    if course["complete_at"] is None:
        return dt.timedelta.max
    return dt.datetime.fromisoformat(course["complete_at"]) - dt.datetime.fromisoformat(course["at"])


def seconds_between(first: str | None, then: str | None) -> str:
    """Seconds by the day's clock."""
    if first is None or then is None:
        return ""
    return f"{(dt.datetime.fromisoformat(then) - dt.datetime.fromisoformat(first)).total_seconds():,.1f} s"


def table(courses: Path) -> str:
    """The courses as a Markdown table, the shortest first."""
    played = [json.loads(line) for line in courses.read_text().splitlines()]
    rows = [row(course) for course in sorted(played, key=lasted)]
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(document: Path, text: str) -> None:
    """Put the table where the document wants it."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> int:
    """Play the scenes, or take an earlier run's courses, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=Path, help="what an earlier run wrote")
    given = parser.parse_args().courses
    with tempfile.TemporaryDirectory() as folder:
        courses = given or Path(folder) / "courses.json"
        code = 0 if given else play(courses)
        write(DOCUMENT, table(courses))
    return code


if __name__ == "__main__":
    sys.exit(main())
