"""Stale bytecode: compiled files that Python would run although the source beside them says something else."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import CodeType

from .digest import sha256_bytes

HEADER_BYTES = 16
HASH_BASED, CHECKED = 0b01, 0b10


def stale_bytecode(root: Path, sources: Iterable[str], memory: Path | None = None) -> list[str]:
    """The sources (relative paths) for which this interpreter would run other code than the source says.

    Compiled files that Python itself would reject (older, other magic, checked hash that fails) are harmless.
    Those it would trust are compared with a fresh compilation, once: `memory` is a file in which pairs that
    were found equal are remembered by digest.
    """
    known = _recall(memory)
    fresh: set[str] = set()
    stale = [path for path in sources if path.endswith(".py") and not _honest(root / path, known, fresh)]
    if fresh and memory is not None:
        _remember(memory, known | fresh)
    return stale


def _honest(source: Path, known: set[str], fresh: set[str]) -> bool:
    try:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        text = source.read_bytes()
    except (OSError, NotImplementedError):
        return True
    if compiled[:4] != importlib.util.MAGIC_NUMBER or len(compiled) < HEADER_BYTES:
        return True
    flags = int.from_bytes(compiled[4:8], "little")
    if flags & HASH_BASED:
        # Its maker hashed the source it compiled. If that is another text, Python notices by itself only if checked.
        return compiled[8:16] == importlib.util.source_hash(text) or bool(flags & CHECKED)
    if not _would_be_trusted(source, compiled):
        return True
    pair = sha256_bytes(sha256_bytes(compiled).encode() + sha256_bytes(text).encode())
    if pair in known:
        return True
    same = _same_code(compiled, text, source)
    if same:
        fresh.add(pair)
    return same


def _would_be_trusted(source: Path, compiled: bytes) -> bool:
    facts = os.stat(source)
    return (
        int.from_bytes(compiled[8:12], "little") == int(facts.st_mtime) & 0xFFFFFFFF
        and int.from_bytes(compiled[12:16], "little") == facts.st_size & 0xFFFFFFFF
    )


def _same_code(compiled: bytes, text: bytes, source: Path) -> bool:
    try:
        run = marshal.loads(compiled[HEADER_BYTES:])
        said = compile(text, str(source), "exec", dont_inherit=True, optimize=sys.flags.optimize)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return False
    return isinstance(run, CodeType) and run == said


def _recall(memory: Path | None) -> set[str]:
    try:
        return set(json.loads(memory.read_text())) if memory is not None else set()
    except (OSError, ValueError, TypeError):
        return set()


def _remember(memory: Path, pairs: set[str]) -> None:
    """Best effort: without the memory the next check is slower, never less strict."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as stream:
            json.dump(sorted(pairs)[-20_000:], stream)
        os.replace(stream.name, memory)
    except OSError:
        return
