"""What differs between the state that the code asks for and the state of a server: pure, and printable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LONGEST = 70


class Kind(StrEnum):
    """What a server holds for us, in the order in which one stands on the other."""

    BLOCK = "block"
    POOL = "work pool"
    DEPLOYMENT = "deployment"


class Action(StrEnum):
    """What is done to one of them."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Resource:
    """One thing of ours on a server: its fields as plain JSON values. `secret` names fields that are never shown."""

    kind: Kind
    name: str
    fields: Mapping[str, Any]
    secret: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[Kind, str]:
        """What identifies it."""
        return self.kind, self.name


@dataclass(frozen=True)
class Change:
    """One difference and what removes it. `wanted` is None for what is to go, `found` for what is to come."""

    action: Action
    wanted: Resource | None
    found: Resource | None

    @property
    def resource(self) -> Resource:
        """What it is about."""
        resource = self.wanted or self.found
        assert resource is not None
        return resource

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Each field that differs: as it is, as it will be."""
        before = self.found.fields if self.found else {}
        after = self.wanted.fields if self.wanted else {}
        return {
            name: (before.get(name), after.get(name))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        }

    def text(self) -> str:
        """The change for a person: what, and of an update each field before and after."""
        head = f"{self.action} {self.resource.kind} {self.resource.name}"
        if self.action != Action.UPDATE:
            return head
        return "\n".join([head, *(f"    {name}: {_told(name, *pair, self)}" for name, pair in self.fields().items())])


def changes(wanted: Iterable[Resource], found: Iterable[Resource]) -> list[Change]:
    """What turns `found` into `wanted`: made from the ground up, taken away from the top down.

    `found` must hold only what is ours: whatever of it is not wanted goes.
    """
    asked = {item.key: item for item in wanted}
    there = {item.key: item for item in found}
    rank = list(Kind)
    made = [
        Change(Action.UPDATE if key in there else Action.CREATE, item, there.get(key))
        for key, item in sorted(asked.items(), key=lambda pair: (rank.index(pair[0][0]), pair[0][1]))
        if key not in there or dict(there[key].fields) != dict(item.fields)
    ]
    gone = [
        Change(Action.DELETE, None, item)
        for key, item in sorted(there.items(), key=lambda pair: (-rank.index(pair[0][0]), pair[0][1]))
        if key not in asked
    ]
    return made + gone


def _told(name: str, before: Any, after: Any, change: Change) -> str:
    if name in change.resource.secret:
        return "changed (secret)"
    if isinstance(before, dict) and isinstance(after, dict):
        return "changed: " + ", ".join(_different(before, after))
    return f"{_short(before)} -> {_short(after)}"


def _different(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[str]:
    """The places at which two nested mappings differ."""
    places: list[str] = []
    for key in sorted({*before, *after}):
        one, other, here = before.get(key), after.get(key), f"{path}{key}"
        if isinstance(one, dict) and isinstance(other, dict):
            places += _different(one, other, f"{here}.")
        elif one != other:
            places.append(here)
    return places


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
