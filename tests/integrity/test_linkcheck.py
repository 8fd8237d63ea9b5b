"""The link check: what it must find, and what it must leave alone."""

from __future__ import annotations

import argparse
import asyncio.base_events
import dis
import inspect
import sys
import textwrap
import uuid
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from deployments.integrity import linkcheck
from deployments.integrity.instructions import CONSTANTS, LOCALS, NAMES, OTHER, PAIRS, UNSEEN, line_of, steps_of
from deployments.integrity.linkcheck import Fault, check_modules


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A function that writes modules into a fresh package, checks them, and returns the faults."""
    name = f"pkg_{uuid.uuid4().hex[:8]}"
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def check(optional: tuple[str, ...] = (), hidden: tuple[str, ...] = (), **modules: str) -> list[Fault]:
        modules.setdefault("__init__", "")
        for module, text in modules.items():
            (tmp_path / name / f"{module}.py").write_text(textwrap.dedent(text).replace("PKG", name))
        paths = [f"{name}/{module}.py" for module in modules if module not in hidden]
        return check_modules(tmp_path, paths, [name], optional)

    yield check
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param("name", "def f():\n    return storage.Client()\n", id="never-imported"),
        pytest.param(
            "name",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json\n"
            "\ndef f():\n    return json.dumps(1)\n",
            id="imported-for-the-type-checker-only",
        ),
        pytest.param(
            "import",
            "try:\n    import no_such_thing\nexcept ImportError:\n    pass\n",
            id="import-error-swallowed",
        ),
        pytest.param("import", "def f():\n    import no_such_thing\n", id="lazy-import-of-nothing"),
        pytest.param("import", "def f():\n    from json import dumpz\n", id="lazy-import-of-a-lost-name"),
        pytest.param("attribute", "import json\n\ndef f():\n    return json.dumpz(1)\n", id="lost-attribute"),
        pytest.param("attribute", "import os.path\n\ndef f():\n    return os.path.joyn('a')\n", id="lost-in-a-chain"),
        pytest.param(
            "attribute",
            "def f():\n    import json as j\n    return j.dumpz(1)\n",
            id="lost-in-a-local-import",
        ),
        pytest.param(
            "attribute", "import os.path as p\n\ndef f():\n    return p.joyn('a')\n", id="lost-under-another-name"
        ),
        pytest.param("import", "def f():\n    import xml.etree.Nothing as n\n", id="lost-submodule"),
        pytest.param("name", "if False:\n    LIMIT = 3\n\ndef f():\n    return LIMIT\n", id="defined-by-chance"),
        pytest.param("name", "from json import *\n\ndef f():\n    return dumpz(1)\n", id="star-import"),
        pytest.param("name", "class A:\n    def f(self):\n        return [q for _ in [1]]\n", id="in-a-method"),
        pytest.param(
            "attribute",
            "import enum\nclass Mode(enum.Enum):\n    A = 1\n\ndef f():\n    return Mode.B\n",
            id="enum-member",
        ),
        pytest.param("import", "raise SystemExit(3)\n", id="exits-at-import"),
        pytest.param("import", "from . import nothing_here\n", id="relative-import"),
        pytest.param(
            "name",
            "class A:\n    def f(self):\n        self.storage = storage.Client()\n",
            id="under-the-name-of-an-attribute",
        ),
        pytest.param("name", "if __name__ == '__main__':\n    mian()\n", id="on-a-path-of-the-module-not-taken"),
        pytest.param("name", "X = 1\ndel X\n\ndef f():\n    return X\n", id="deleted"),
    ],
)
def test_a_name_that_leads_nowhere_is_found(package, kind: str, text: str) -> None:  # type: ignore[no-untyped-def]
    faults = package(a=text)
    assert [f.kind for f in faults] == [kind], faults


def test_importing_an_unshipped_module_of_the_project_is_found(package) -> None:  # type: ignore[no-untyped-def]
    faults = package(hidden=("b",), a="def f():\n    from PKG import b\n", b="X = 1\n")
    assert [f.kind for f in faults] == ["unshipped"]


def test_good_code_is_left_alone(package) -> None:  # type: ignore[no-untyped-def]
    good = """
        from __future__ import annotations
        import collections.abc
        import enum
        import os.path
        import os.path as renamed
        import xml.etree.ElementTree as deep
        from dataclasses import dataclass
        from typing import TYPE_CHECKING

        from . import b
        from .b import value as imported

        if TYPE_CHECKING:
            from pathlib import Path

        COUNT = 0

        class Mode(enum.StrEnum):
            A = "a"

            @property
            def doubled(self) -> str:
                return self.value * 2

        @dataclass
        class Row:
            name: str
            size: int = COUNT

            def path(self, base: Path) -> str:
                renamed.join(deep.Element("a").tag)
                return os.path.join(str(base), self.name, __name__, Mode.A.doubled)

        def late() -> int:
            global CREATED
            CREATED = 1
            return CREATED

        def outer():
            import json
            import xml.dom.minidom as dom
            from xml.etree import ElementTree as tree

            def inner():
                return json.dumps(tree.Element("a").tag), dom.Document, collections.abc.Mapping

            class Local:
                limit = 3
                twice = limit * 2

            return inner, Local, [x for x in range(imported) if x], b.value, b.sub
        """
    assert package(a=good, b="value = 1\n\ndef __getattr__(name):\n    return name\n") == []


def test_an_absence_that_is_intended_can_be_declared(package) -> None:  # type: ignore[no-untyped-def]
    text = "def f():\n    import no_such_thing.sub\n    from another_thing import x\n"
    assert len(package(a=text)) == 2
    assert package(a=text, optional=("no_such_thing", "another_thing")) == []


def as_dis_tells_it(code: CodeType) -> list[tuple[str, Any]]:
    """What `dis` says of a code object, with the names of the link check."""
    told: list[tuple[str, Any]] = []
    for one in dis.get_instructions(code):
        if one.opname in PAIRS:
            told += zip(PAIRS[one.opname], one.argval, strict=True)
        elif one.opname in NAMES | LOCALS | CONSTANTS:
            told.append((one.opname, one.argval))
        elif one.opname not in UNSEEN | {"EXTENDED_ARG"} and (not told or told[-1][0] != OTHER):
            told.append((OTHER, None))
    return told


@pytest.mark.parametrize("module", [argparse, asyncio.base_events, inspect, linkcheck], ids=lambda m: m.__name__)
def test_bytecode_is_read_as_dis_reads_it(module: ModuleType) -> None:
    """On whatever interpreter the tests run: the numbers of instructions change with each version of Python."""
    source = inspect.getsource(module)
    for code in linkcheck._all_code(compile(source, module.__name__, "exec", dont_inherit=True)):
        steps = steps_of(code)
        assert repr([(step.opname, step.argval) for step in steps]) == repr(as_dis_tells_it(code)), code
        lines = {one.offset: one.positions.lineno for one in dis.get_instructions(code) if one.positions}
        assert all(line_of(code, step) == (lines[step.offset] or code.co_firstlineno) for step in steps[:40]), code
