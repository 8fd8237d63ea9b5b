"""Import every shipped module and resolve every name in its bytecode: globals, attribute chains, lazy
imports.

It finds what a compiler does not: a name nobody defined, an attribute a module lost, an import that only
fails on the path that is taken once a month. It runs project code (imports), so call it in a process of its
own.
"""

from __future__ import annotations

import builtins
import enum
import importlib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .instructions import CONSTANTS, Step, line_of, steps_of

IMPLICIT_CLASS_NAMES = {"__name__", "__qualname__", "__module__", "__annotations__", "__classdict__"}
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Fault:
    """A name that leads nowhere: where it stands, what kind it is, what it says."""

    kind: str
    where: str
    text: str


def module_name(path: str) -> str:
    """`flows/daily.py` as `flows.daily`, `tasks/__init__.py` as `tasks`."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def check_modules(root: Path, paths: Iterable[str], roots: Iterable[str], optional: Iterable[str]) -> list[Fault]:
    """Import and link all shipped modules (`paths`, relative to `root`, which has to be on the import path).

    `roots` are the project's own packages: importing a module of theirs that is not shipped is a fault.
    `optional` are packages whose absence is intended.
    """
    shipped = {module_name(path): path for path in sorted(paths) if path.endswith(".py")}
    world = _World(frozenset(shipped), frozenset(roots), tuple(optional))
    faults: list[Fault] = []
    for name, path in shipped.items():
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # a module that exits at import is as broken as one that raises
            if isinstance(error, KeyboardInterrupt):
                raise
            faults.append(Fault("import", path, f"{type(error).__name__}: {error}"))
            continue
        source = root / path
        if module.__file__ is None or Path(module.__file__).resolve() != source.resolve():
            faults.append(Fault("origin", path, f"{name} was imported from {module.__file__}"))
            continue
        code = _code_of(module) or compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        faults.extend(_Linker(world, module, path).check(code))
    return list(dict.fromkeys(faults))


@dataclass(frozen=True)
class _World:
    shipped: frozenset[str]
    roots: frozenset[str]
    optional: tuple[str, ...]

    def is_optional(self, name: str) -> bool:
        return any(name == o or name.startswith(f"{o}.") for o in self.optional)

    def is_unshipped(self, name: str) -> bool:
        return name.partition(".")[0] in self.roots and name not in self.shipped


@dataclass
class _Linker:
    """Walks the code objects of one module with a view just deep enough to follow
    `module.attribute.attribute`.
    """

    world: _World
    module: ModuleType
    path: str
    assigned: set[str] = field(default_factory=set)

    def check(self, code: CodeType) -> Iterator[Fault]:
        parts = [(part, steps_of(part)) for part in _all_code(code)]
        self.assigned = {step.argval for _, steps in parts for step in steps if step.opname == "STORE_GLOBAL"}
        for part, steps in parts:
            yield from self._walk(part, steps)

    def _walk(self, code: CodeType, steps: list[Step]) -> Iterator[Fault]:
        stored = [step.argval for step in steps if step.opname.startswith("STORE_")]
        local: dict[str, Any] = {}
        value: Any = _UNKNOWN  # what the last instruction left on the stack, if it is a module or an enum
        chain = ""
        importing: Any = _UNKNOWN
        dotted = False

        def fault(kind: str, text: str) -> Fault:
            return Fault(kind, f"{self.path}:{line_of(code, step)}", text)

        for index, step in enumerate(steps):
            name = step.argval
            match step.opname:
                case "OTHER":
                    value = _UNKNOWN
                case "LOAD_GLOBAL" | "LOAD_NAME":
                    value, chain = self._global(name, stored), str(name)
                    if value is None:
                        yield fault("name", f"name {name!r} is not defined")
                        value = _UNKNOWN
                    elif isinstance(value, _Value):
                        value = value.value
                case "LOAD_ATTR" | "LOAD_METHOD" if _followable(value):
                    chain = f"{chain}.{name}"
                    found = _attribute(value, name)
                    if found is _UNKNOWN and not self.world.is_optional(chain):
                        yield fault("attribute", f"{chain}: {_describe(value)} has no {name!r}")
                    value = found
                case "IMPORT_NAME":
                    importing = value = _UNKNOWN
                    target = self._target(name, steps, index)
                    error, importing = self._import(target)
                    # `import a.b as c` leaves a, then takes b from it; `from a.b import c` leaves a.b
                    dotted = not _import_operands(steps, index)[1]
                    chain = target.partition(".")[0] if dotted else target
                    if error:
                        yield fault(*error)
                    elif importing is not _UNKNOWN:
                        importing = value = importlib.import_module(chain)
                case "IMPORT_FROM":
                    value, chain = _UNKNOWN, str(name)
                    if importing is not _UNKNOWN:
                        value = self._member(importing, name)
                        if value is _UNKNOWN and not self.world.is_optional(f"{importing.__name__}.{name}"):
                            yield fault("import", f"cannot import {name!r} from {importing.__name__}")
                        elif isinstance(value, ModuleType) and self.world.is_unshipped(value.__name__):
                            yield fault("unshipped", f"{value.__name__} is not shipped by this role")
                        if dotted and isinstance(value, ModuleType):
                            importing = value
                case "STORE_FAST" | "STORE_DEREF" if stored.count(name) == 1:
                    local[name] = value
                    value = _UNKNOWN
                case "LOAD_FAST" | "LOAD_FAST_CHECK" | "LOAD_FAST_BORROW" | "LOAD_DEREF" if name in local:
                    value, chain = local[name], str(name)
                case _:
                    value = _UNKNOWN

    def _global(self, name: str, stored: list[Any]) -> Any:
        """The value behind a global name: `_Value`, `_UNKNOWN` if it exists but is not ours to follow, None if not."""
        namespace = vars(self.module)
        if name in namespace:
            return _Value(namespace[name])
        if hasattr(builtins, name) or name in self.assigned or name in IMPLICIT_CLASS_NAMES or name in stored:
            return _UNKNOWN
        return None

    def _target(self, name: str, steps: list[Step], index: int) -> str:
        level = _import_operands(steps, index)[0]
        package = self.module.__package__ or ""
        return importlib.util.resolve_name("." * level + name, package) if level else name

    def _import(self, target: str) -> tuple[tuple[str, str] | None, Any]:
        """What is wrong with an import (kind and text of a fault), and the module if nothing is."""
        if self.world.is_unshipped(target):
            return ("unshipped", f"{target} is not shipped by this role"), _UNKNOWN
        try:
            return None, importlib.import_module(target)
        except Exception as error:
            if self.world.is_optional(target):
                return None, _UNKNOWN
            return ("import", f"import {target}: {type(error).__name__}: {error}"), _UNKNOWN

    def _member(self, module: Any, name: str) -> Any:
        if name == "*":
            return _UNKNOWN
        found = _attribute(module, name)
        if found is not _UNKNOWN:
            return found
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ImportError:
            return _UNKNOWN


@dataclass(frozen=True)
class _Value:
    value: Any


def _code_of(module: ModuleType) -> CodeType | None:
    """The code that the import has just run, from where the import found it; None if its loader keeps none."""
    get_code = getattr(module.__loader__, "get_code", None)
    code = get_code(module.__name__) if get_code else None
    return code if isinstance(code, CodeType) else None


def _all_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_code(constant)


def _followable(value: Any) -> bool:
    return isinstance(value, (ModuleType, enum.EnumMeta))


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        return _UNKNOWN


def _describe(value: Any) -> str:
    return f"module {value.__name__}" if isinstance(value, ModuleType) else f"enum {value.__qualname__}"


def _import_operands(steps: list[Step], index: int) -> tuple[int, tuple[str, ...]]:
    """Level and from-list of the IMPORT_NAME at `index`: the two constants pushed before it."""
    pushed = [step.argval for step in steps[max(0, index - 2) : index] if step.opname in CONSTANTS]
    level, names = pushed if len(pushed) == 2 else (0, None)
    return (level if isinstance(level, int) else 0), (names if isinstance(names, tuple) else ())
