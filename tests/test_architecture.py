"""What the house promises: imports run one way, nothing below the flows knows what time it is, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("flows", "tasks", "blocks", "deployments")
MOST_LINES = 450
PROCESSOR_ROOMS = (
    "tasks/raw",
    "tasks/analytics",
    "tasks/precompute",
    "tasks/predictions",
    "tasks/grading",
    "tasks/publishing",
)


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it: `from a import b` gives both a and a.b."""
    package = path.relative_to(REPOSITORY).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    """Which storey of the house a module is on; None: not one of ours."""
    if module.split(".")[0] not in ROOMS:
        return None
    for inner in ("tasks.engine", "deployments.integrity"):
        if module == inner or module.startswith(f"{inner}."):
            return inner
    return module.split(".")[0]


# What each storey may import, besides itself.
BELOW: dict[str, set[str]] = {
    "flows": {"tasks", "tasks.engine", "blocks", "deployments.integrity"},  # a run stamps which code it is
    "tasks": {"tasks.engine", "blocks"},
    "tasks.engine": {"blocks"},
    "blocks": set(),
    "deployments": {"deployments.integrity", "tasks", "tasks.engine", "blocks"},
    "deployments.integrity": set(),
}


def crossings(path: Path) -> list[str]:
    """The imports of a file that go up, or sideways into a room that is none of its business."""
    room = room_of(name_of(path))
    assert room is not None
    reached = {module: room_of(module) for module in imports(path)}
    # `import tasks` to say `tasks.engine` later names the house, not a storey of it.
    return sorted(
        f"{name_of(path)} imports {module}"
        for module, other in reached.items()
        if other not in (None, room) and other not in BELOW[room] and module not in ROOMS
    )


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    """flows -> tasks -> tasks/engine -> blocks; deployments/integrity knows none of them, and nobody imports flows."""
    assert [crossing for path in sources(room) for crossing in crossings(path)] == []


def test_the_imports_of_every_room_are_really_looked_at() -> None:
    looked_at = {(room_of(name_of(path)), room_of(module)) for path in sources(*ROOMS) for module in imports(path)}
    for crossing in (("flows", "tasks"), ("tasks", "tasks.engine"), ("tasks.engine", "blocks"), ("tasks", "blocks")):
        assert crossing in looked_at


@pytest.mark.parametrize(
    ("place", "line", "refused"),
    [
        ("tasks/engine/x.py", "from tasks.raw import schedule", True),
        ("tasks/engine/x.py", "from tasks.catalog import registry", True),
        ("tasks/engine/x.py", "from ..identity import team_id", True),
        ("tasks/engine/x.py", "from .plan import plan", False),
        ("tasks/raw/x.py", "def f():\n    import flows.daily", True),
        ("blocks/x.py", "from tasks.engine.contracts import Contract", True),
        ("deployments/integrity/x.py", "from blocks.warehouse import DayRange", True),
        ("deployments/integrity/x.py", "from deployments.integrity.digest import digest", False),
        ("deployments/x.py", "from deployments.integrity.digest import digest", False),
        ("flows/x.py", "from deployments.integrity.digest import digest", False),
        ("tasks/x.py", "from deployments.integrity.digest import digest", True),
        ("flows/x.py", "from deployments.register import register", True),
        ("tasks/raw/x.py", "import polars", False),
    ],
)
def test_a_crossing_is_seen_however_it_is_written(
    place: str, line: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.REPOSITORY", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert bool(crossings(path)) == refused


# What tells a processor something that it was not given: the time, the machine's settings, chance.
FORBIDDEN = {
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "localtime", "gmtime", "sleep"},
    "os": {"environ", "getenv", "environb"},
    "random": {"random", "randint", "choice", "shuffle", "sample", "uniform"},
}


def whispers(source: str) -> list[str]:
    """Uses of a clock, an environment variable or an unseeded die in a source text, as line numbers and names."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in FORBIDDEN.get(owner, ()):
                found.append(f"line {node.lineno}: {owner}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN:
            names = {alias.name for alias in node.names} & FORBIDDEN[node.module]
            found += [f"line {node.lineno}: {node.module}.{name}" for name in sorted(names)]
    return found


@pytest.mark.parametrize("room", [*PROCESSOR_ROOMS, "tasks/engine", "tasks/sources", "blocks"])
def test_nothing_below_the_flows_reads_a_clock_or_an_environment_variable(room: str) -> None:
    assert {name_of(path): whispers(path.read_text()) for path in sources(room) if whispers(path.read_text())} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.date.today()",
        "import time\ntime.time()",
        "from time import time",
        "import os\nos.environ['HOME']",
        "from os import environ",
        "import os\nos.getenv('HOME')",
    ],
)
def test_a_clock_or_variable_is_seen_however_it_is_read(line: str) -> None:
    assert whispers(line)


def test_no_module_reaches_over_the_network_below_the_sources() -> None:
    reaching = {"requests", "httpx", "urllib", "aiohttp", "socket", "http"}
    found = [
        f"{name_of(path)} imports {module}"
        for path in sources(*PROCESSOR_ROOMS, "tasks/engine", "blocks")
        for module in imports(path)
        if module.split(".")[0] in reaching
    ]
    assert found == []


def test_files_are_small_enough_to_be_read() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in sources(*ROOMS, "tests", "benchmarks")
        if (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}


def test_every_module_says_what_lives_in_it() -> None:
    silent = [name_of(path) for path in sources(*ROOMS) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []
