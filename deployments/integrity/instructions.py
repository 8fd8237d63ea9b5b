"""Reading bytecode as far as the link check follows it. `dis` tells more, in four times as long: texts, positions."""

from __future__ import annotations

import dis
import sys
from itertools import islice
from types import CodeType
from typing import Any, NamedTuple

OTHER = "OTHER"  # one or more instructions that the link check does not follow
UNSEEN = {"CACHE", "NOP"}
CONSTANTS = {"LOAD_CONST", "LOAD_SMALL_INT"}
NAMES = {
    "LOAD_GLOBAL",
    "LOAD_NAME",
    "LOAD_ATTR",
    "LOAD_METHOD",
    "IMPORT_NAME",
    "IMPORT_FROM",
    "STORE_NAME",
    "STORE_GLOBAL",
}
LOCALS = {"STORE_FAST", "STORE_DEREF", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF"}
PAIRS = {  # two instructions in one, since Python 3.13: the variables' numbers share the argument
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST_BORROW", "LOAD_FAST_BORROW"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
# Names whose number is shifted to make room for flags.
FLAG_BITS = {"LOAD_GLOBAL": 1, "LOAD_ATTR": 1 if sys.version_info >= (3, 12) else 0}
EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]
OPNAMES = [None if name in UNSEEN else name for name in dis.opname]


class Step(NamedTuple):
    """One instruction: its name, what its argument stands for, and where it is."""

    opname: str
    argval: Any
    offset: int


def steps_of(code: CodeType) -> list[Step]:
    """The instructions of a code object that name something; what lies between them is one OTHER."""
    found: list[Step] = []
    raw, extended, other = code.co_code, 0, False
    for offset in range(0, len(raw), 2):
        operation = raw[offset]
        name = OPNAMES[operation]
        if name is None:
            continue
        argument = raw[offset + 1] | extended
        if operation == EXTENDED_ARG:
            extended = argument << 8
            continue
        extended = 0
        if name in NAMES:
            value: Any = code.co_names[argument >> FLAG_BITS.get(name, 0)]
        elif name in LOCALS:
            value = code._varname_from_oparg(argument)  # type: ignore[attr-defined]
        elif name in CONSTANTS:
            value = code.co_consts[argument] if name == "LOAD_CONST" else argument
        elif name in PAIRS:
            for half, number in zip(PAIRS[name], (argument >> 4, argument & 15), strict=True):
                found.append(Step(half, code._varname_from_oparg(number), offset))  # type: ignore[attr-defined]
            other = False
            continue
        else:
            if not other:
                found.append(Step(OTHER, None, offset))
            other = True
            continue
        other = False
        found.append(Step(name, value, offset))
    return found


def line_of(code: CodeType, step: Step) -> int:
    """The source line of an instruction; that of its function where the compiler made it up."""
    position = next(islice(code.co_positions(), step.offset // 2, None), (None,))
    return position[0] or code.co_firstlineno
