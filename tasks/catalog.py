"""Every processor of the pipeline, found where it is declared. There is no list of names to keep in step."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import tasks.analytics
import tasks.grading
import tasks.precompute
import tasks.predictions
import tasks.raw
from tasks.engine.processor import Processor, Registry

ROOMS: tuple[ModuleType, ...] = (tasks.raw, tasks.analytics, tasks.precompute, tasks.predictions, tasks.grading)


@cache
def registry() -> Registry:
    """All processors that are declared in the rooms of phases 2 to 6. Raises ValueError if they do not fit together."""
    return Registry.of(*_declared())


def _declared() -> Iterator[Processor]:
    for room in ROOMS:
        for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Processor) and value.transform.__module__ == module.name:
                    yield value
