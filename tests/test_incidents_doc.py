"""The table of incidents names the tests that hold it: each of them exists, once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _tests() -> Counter[str]:
    trees = (ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py"))
    return Counter(
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_test_that_the_table_of_incidents_names_exists() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "incidents.md").read_text())
    there = _tests()
    assert len(named) > 35
    assert [name for name in named if there[name] < 1] == []


def test_every_row_of_the_table_of_incidents_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "incidents.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| what happened")]
    assert len(rows) == 28
    assert [row for row in rows if "`test_" not in row] == []
