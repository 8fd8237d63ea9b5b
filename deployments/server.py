"""A Prefect server as resources: what of ours it holds, and how one difference is removed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import DeploymentSort
from prefect.exceptions import ObjectNotFound

from blocks.alerts import OWNER, probe
from deployments.changes import Action, Change, Kind, Resource
from deployments.desired import KEPT, block, secrets_of

PAGE = 200


class RegistrationError(Exception):
    """A server that can't be brought to the wanted state, with what to do."""


class Server:
    """What is ours on the server of `client`. `blocks` are those that registration keeps."""

    def __init__(self, client: SyncPrefectClient, blocks: Mapping[str, Block]) -> None:
        self._client = client
        self._blocks = {block(name, item).name: item for name, item in blocks.items()}

    def resources(self, wanted: Iterable[Resource]) -> list[Resource]:
        """What of ours is there: whatever has the name of something wanted, and whatever carries our mark."""
        names = {item.key for item in wanted}
        return [*self._documents(), *self._pools(names), *self._deployments(names)]

    def apply(self, change: Change) -> None:
        """Remove one difference."""
        wanted, name = change.wanted, change.resource.name
        match change.resource.kind, wanted:
            case Kind.BLOCK, Resource():
                self._save_block(self._blocks[name], name.partition("/")[2])
            case Kind.POOL, Resource():
                self._save_pool(wanted, change)
            case Kind.POOL, None:
                self._client.delete_work_pool(name)
            case Kind.DEPLOYMENT, Resource():
                self._save_deployment(wanted)
            case Kind.DEPLOYMENT, None:
                self._client.delete_deployment(self._client.read_deployment_by_name(name).id)

    def paused(self) -> list[str]:
        """Deployments of ours that somebody, or an automation, has paused: registration leaves that alone."""
        return [name for name, item in self._read_deployments() if item.paused and OWNER in item.tags]

    def _documents(self) -> Iterator[Resource]:
        for name, item in self._blocks.items():
            try:
                slug, _, document = name.partition("/")
                found = self._client.read_block_document_by_name(document, slug, include_secrets=True)
            except ObjectNotFound:
                continue
            yield Resource(Kind.BLOCK, name, found.data, secrets_of(item))

    def _save_block(self, item: Block, name: str) -> None:
        """A channel is saved only once it has taken a message: one that nobody hears is worse than none."""
        if isinstance(item, NotificationBlock):
            spare = item.model_copy(deep=True)  # Prefect's block keeps what it sends among its secrets
            probe(spare, "Alert channel registered", f"Messages of {name} arrive here from now on.")
        item.save(name, overwrite=True)

    def _pools(self, names: Container[tuple[Kind, str]]) -> Iterator[Resource]:
        for pool in self._client.read_work_pools(limit=PAGE):
            if (Kind.POOL, pool.name) in names or (pool.description or "").endswith(KEPT):
                fields = {
                    "type": pool.type,
                    "description": pool.description,
                    "base_job_template": pool.base_job_template,
                }
                yield Resource(Kind.POOL, pool.name, fields)

    def _save_pool(self, wanted: Resource, change: Change) -> None:
        fields = wanted.fields
        if change.action == Action.CREATE:
            self._client.create_work_pool(WorkPoolCreate(name=wanted.name, **fields))
        elif change.found and change.found.fields["type"] != fields["type"]:
            raise RegistrationError(
                f"work pool {wanted.name} is of type {change.found.fields['type']}, and Prefect can't change that: "
                f"`prefect work-pool delete {wanted.name}`, which also drops its waiting runs, then register again"
            )
        else:
            update = WorkPoolUpdate(description=fields["description"], base_job_template=fields["base_job_template"])
            self._client.update_work_pool(wanted.name, update)

    def _read_deployments(self) -> Iterator[tuple[str, DeploymentResponse]]:
        flows: dict[UUID, str] = {}
        offset = 0
        while page := self._client.read_deployments(limit=PAGE, offset=offset, sort=DeploymentSort.NAME_ASC):
            for item in page:
                if item.flow_id not in flows:
                    flows[item.flow_id] = self._client.read_flow(item.flow_id).name
                yield f"{flows[item.flow_id]}/{item.name}", item
            offset += len(page)

    def _deployments(self, names: Container[tuple[Kind, str]]) -> Iterator[Resource]:
        for name, item in self._read_deployments():
            if (Kind.DEPLOYMENT, name) not in names and OWNER not in item.tags:
                continue
            limit, options = item.global_concurrency_limit, item.concurrency_options
            fields = {
                "entrypoint": item.entrypoint,
                "version": item.version,
                "description": item.description,
                "parameters": item.parameters,
                "tags": sorted(item.tags),
                "work_pool_name": item.work_pool_name,
                "job_variables": item.job_variables,
                "pull_steps": item.pull_steps,
                "enforce_parameter_schema": item.enforce_parameter_schema,
                "parameter_openapi_schema": item.parameter_openapi_schema,
                "concurrency_limit": limit.limit if limit else None,
                "collision_strategy": options.collision_strategy.value if limit and options else None,
                "schedules": sorted((_schedule(each) for each in item.schedules), key=lambda each: str(each["slug"])),
            }
            yield Resource(Kind.DEPLOYMENT, name, fields)

    def _save_deployment(self, wanted: Resource) -> None:
        flow, _, name = wanted.name.partition("/")
        fields = dict(wanted.fields)
        strategy = fields.pop("collision_strategy")
        schedules = [
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=each["cron"], timezone=each["timezone"]),
                active=each["active"],
                parameters=each["parameters"],
                slug=each["slug"],
            )
            for each in fields.pop("schedules")
        ]
        options = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(strategy)) if strategy else None
        self._client.create_deployment(
            self._client.create_flow_from_name(flow),
            name,
            schedules=schedules,
            concurrency_options=options,
            **fields,
        )


def _schedule(found: Any) -> dict[str, Any]:
    """A schedule as we declare it; one of another kind than cron differs from all that we declare."""
    schedule = found.schedule
    return {
        "slug": found.slug,
        "cron": getattr(schedule, "cron", type(schedule).__name__),
        "timezone": schedule.timezone,
        "active": found.active,
        "parameters": found.parameters,
    }
