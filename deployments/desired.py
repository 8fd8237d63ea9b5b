"""The state that this code asks of a Prefect server: blocks, work pools and deployments as plain resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prefect.blocks.core import Block

from blocks.alerts import OWNER
from deployments.changes import Kind, Resource
from deployments.environments import Environment
from deployments.forms import form
from deployments.pools import template_of
from deployments.specs import Deployment

KEPT = "Kept by deployments/register.py: what is changed here by hand is undone by the next registration."


def desired(deployments: Sequence[Deployment], environment: Environment) -> list[Resource]:
    """Everything that registration keeps on the server of `environment`."""
    return [
        *(block(name, item) for name, item in environment.blocks.items()),
        *pools(deployments, environment),
        *(deployment(item, environment) for item in deployments),
    ]


def block(name: str, item: Block) -> Resource:
    """The document of one of our blocks; its fields go to the server as the block's own class writes them."""
    fields = item.model_dump(mode="json", include=set(type(item).model_fields), context={"include_secrets": True})
    return Resource(Kind.BLOCK, f"{item.get_block_type_slug()}/{name}", fields, secrets_of(item))


def secrets_of(item: Block) -> frozenset[str]:
    """The fields of a block that are never shown."""
    return frozenset(name.split(".")[0] for name in item.model_json_schema().get("secret_fields", []))


def pools(deployments: Iterable[Deployment], environment: Environment) -> list[Resource]:
    """A work pool for each name that a deployment asks for, of the environment's type."""
    roles = {item.work_pool.name: item.role for item in deployments}
    template = template_of(environment.pool_type)
    return [
        Resource(
            Kind.POOL,
            name,
            {
                "type": environment.pool_type,
                "description": f"Workers of the release of role {role}. {KEPT}",
                "base_job_template": template,
            },
        )
        for name, role in roles.items()
    ]


def deployment(item: Deployment, environment: Environment) -> Resource:
    """One deployment in the environment."""
    taken = item.flow.parameters.properties
    settings = {name: value for name, value in environment.parameters.items() if name in taken}
    parameters = {**settings, **item.parameters}
    if item.flow.name == "backfill":
        parameters["home"] = environment.backfill_home
    limit = item.concurrency_limit
    image = {"image": environment.images[pool]} if (pool := item.work_pool.name) in environment.images else {}
    return Resource(
        Kind.DEPLOYMENT,
        item.full_name,
        {
            "entrypoint": item.entrypoint,
            "version": item.version,
            "description": item.description,
            "parameters": parameters,
            "tags": sorted({OWNER, *item.tags}),
            "work_pool_name": item.work_pool.name,
            "job_variables": {**image, **item.work_pool.job_variables},
            "pull_steps": item.pull,
            "enforce_parameter_schema": True,
            "parameter_openapi_schema": form(item.flow, item.parameters),
            "concurrency_limit": limit.limit if limit else None,
            "collision_strategy": limit.collision_strategy if limit else None,
            "schedules": sorted(
                (
                    {
                        "slug": schedule.slug,
                        "cron": schedule.cron,
                        "timezone": schedule.timezone,
                        "active": environment.schedules_active,
                        "parameters": schedule.parameters,
                    }
                    for schedule in item.schedules
                ),
                key=lambda schedule: str(schedule["slug"]),
            ),
        },
    )
