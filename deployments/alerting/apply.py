"""Automations on a server made what the code says: created or updated by name, and removed when no longer declared.

Prefect's own `automation create` makes a second one each time. An automation that is right already is left alone: an
update gives its triggers new ids, and the server would forget what it is waiting for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.sorting import DeploymentSort
from prefect.events.filters import AutomationFilter, AutomationFilterTags
from prefect.events.schemas.automations import Automation, AutomationCore

from blocks.alerts import OWNER
from deployments.alerting.lint import lint

_PAGE = 200


class AutomationsError(Exception):
    """Automations that can't be applied: each problem, and what to do."""


class Action(StrEnum):
    """What is done to one automation."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    """One difference between what is declared and what the server holds."""

    action: Action
    name: str
    differences: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def text(self) -> str:
        """For a person: what, and of an update each place that differs, before and after."""
        places = [f"    {at}: {_short(before)} -> {_short(after)}" for at, (before, after) in self.differences.items()]
        return "\n".join([f"{self.action} automation {self.name}", *places])


@dataclass(frozen=True)
class References:
    """The ids of the blocks, deployments and work pools that automations name."""

    blocks: dict[str, UUID]
    deployments: dict[str, UUID]
    pools: dict[str, UUID]
    provisional: bool = False

    @classmethod
    def read(cls, client: SyncPrefectClient, provisional: bool = False) -> References:
        """Those that the server has. With `provisional`, ids are invented for the rest: to show a plan beforehand."""
        blocks = {item.name: item.id for item in _all_pages(_blocks_page(client)) if item.name}
        flows: dict[UUID, str] = {}
        deployments: dict[str, UUID] = {}
        by_name = DeploymentSort.NAME_ASC
        for item in _all_pages(lambda offset: client.read_deployments(limit=_PAGE, offset=offset, sort=by_name)):
            if item.flow_id not in flows:
                flows[item.flow_id] = client.read_flow(item.flow_id).name
            deployments[f"{flows[item.flow_id]}/{item.name}"] = item.id
        pools = {item.name: item.id for item in _all_pages(_pools_page(client))}
        return cls(blocks, deployments, pools, provisional)

    def knows(self, name: str) -> bool:
        """Whether there is such a deployment, or will be."""
        return self.provisional or name in self.deployments

    def block(self, name: str) -> UUID:
        """The id of a notification block."""
        return self._find(self.blocks, name, "block", "register the alert channels first")

    def deployment(self, name: str) -> UUID:
        """The id of a deployment by flow and name: "daily/same-day"."""
        return self._find(self.deployments, name, "deployment", "register the deployments first")

    def pool(self, name: str) -> UUID:
        """The id of a work pool."""
        return self._find(self.pools, name, "work pool", "register the deployments first")

    def _find(self, known: dict[str, UUID], name: str, what: str, remedy: str) -> UUID:
        if name in known:
            return known[name]
        if self.provisional:
            return uuid5(NAMESPACE_URL, f"{what}:{name}")
        raise AutomationsError(f"the server has no {what} {name}: {remedy}")


def apply(client: SyncPrefectClient, declared: Sequence[AutomationCore], plan: bool = False) -> list[Change]:
    """Make the server's automations those declared, or with `plan` only say what that would change.

    Returns the changes, none if all is well. Raises AutomationsError if the lint refuses any of them; then nothing is
    changed.
    """
    if problems := lint(declared, OWNER):
        raise AutomationsError("automations that must not reach a server:\n  " + "\n  ".join(problems))
    held = _ours(client)
    changes = _changes(declared, held)
    if not plan:
        by_name = {item.name: item for item in declared}
        for change in changes:
            _carry_out(client, change, by_name.get(change.name), held.get(change.name, []))
    return changes


def _changes(declared: Sequence[AutomationCore], held: dict[str, list[Automation]]) -> list[Change]:
    wanted = {item.name: item for item in declared}
    changes = []
    for name, item in sorted(wanted.items()):
        there = held.get(name, [])
        if not there:
            changes.append(Change(Action.CREATE, name))
        elif differences := _differences(_plain(there[0]), _plain(item)):
            changes.append(Change(Action.UPDATE, name, differences))
        if len(there) > 1:  # made twice by hand, or by `prefect automation create`
            changes.append(Change(Action.DELETE, name, {"copies": (len(there), 1)}))
    return changes + [Change(Action.DELETE, name) for name in sorted(held) if name not in wanted]


def _carry_out(client: SyncPrefectClient, change: Change, item: AutomationCore | None, there: list[Automation]) -> None:
    match change.action:
        case Action.CREATE:
            assert item is not None
            client.create_automation(item)
        case Action.UPDATE:
            assert item is not None
            # The client sends only fields that were set; validated from a dump all are, down to the trigger's type.
            full = AutomationCore.model_validate(item.model_dump(exclude={"owner_resource"}))
            client.update_automation(there[0].id, full)
        case Action.DELETE:
            for extra in there if item is None else there[1:]:
                client.delete_automation(extra.id)


def _ours(client: SyncPrefectClient) -> dict[str, list[Automation]]:
    mine = AutomationFilter(tags=AutomationFilterTags(all_=[OWNER]))
    held: dict[str, list[Automation]] = {}
    for item in sorted(_automations(client, mine), key=lambda found: str(found.id)):
        held.setdefault(item.name, []).append(item)
    return held


def _automations(client: SyncPrefectClient, mine: AutomationFilter) -> list[Automation]:
    found: list[Automation] = []
    while True:
        body = {"automations": mine.model_dump(mode="json"), "limit": _PAGE, "offset": len(found)}
        page = client.request("POST", "/automations/filter", json=body).json()
        found += [Automation.model_validate(item) for item in page]
        if len(page) < _PAGE:
            return found


def _blocks_page(client: SyncPrefectClient) -> Callable[[int], Sequence[Any]]:
    return lambda offset: client.read_block_documents(limit=_PAGE, offset=offset, include_secrets=False)


def _pools_page(client: SyncPrefectClient) -> Callable[[int], Sequence[Any]]:
    return lambda offset: client.read_work_pools(limit=_PAGE, offset=offset)


def _all_pages(page: Callable[[int], Sequence[Any]]) -> Iterable[Any]:
    offset = 0
    while items := page(offset):
        yield from items
        offset += len(items)


def _plain(item: AutomationCore) -> dict[str, Any]:
    """An automation as nested plain values, in one form whichever side it comes from."""
    core = AutomationCore.model_validate(item.model_dump(exclude={"id"}))
    value: dict[str, Any] = _ordered(core.model_dump(mode="json", exclude={"owner_resource"}))
    return value


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)  # sets, as the server gives them back
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _differences(before: Any, after: Any, at: str = "") -> dict[str, tuple[Any, Any]]:
    if before == after:
        return {}
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        parts = [_differences(before.get(key), after.get(key), f"{at}.{key}" if at else key) for key in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        parts = [_differences(*pair, f"{at}[{index}]") for index, pair in enumerate(zip(before, after, strict=True))]
    else:
        return {at: (before, after)}
    return {place: pair for part in parts for place, pair in part.items()}


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 90 else f"{text[:87]}..."
