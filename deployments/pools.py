"""Job templates of the work pools: the worker type's own, with what deployments/pools.yaml changes in it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from prefect.workers.base import BaseWorker

CHANGES = Path(__file__).with_name("pools.yaml")


def template_of(pool_type: str) -> dict[str, Any]:
    """The job template for pools of this type. Raises ValueError for a type whose package is not installed."""
    worker = BaseWorker.get_worker_class_from_type(pool_type)
    if worker is None:
        raise ValueError(
            f"no worker of type {pool_type} is installed: guarded-cloud-run-v2 comes with prefect-gcp, "
            "guarded-kubernetes with `pip install courtside[kubernetes]`"
        )
    return changed(worker.get_default_base_job_template(), changes().get(pool_type, {}))


def changes() -> dict[str, dict[str, Any]]:
    """What pools.yaml says, by type."""
    found = yaml.safe_load(CHANGES.read_text())
    assert isinstance(found, dict)
    return found


def changed(template: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The template with the change laid over it. Raises ValueError for a variable that it does not have."""
    new = deepcopy(template)
    variables = new["variables"]["properties"]
    for name, default in change.get("variables", {}).items():
        if name not in variables:
            raise ValueError(f"pools.yaml: {name} is no variable of this template; it has {', '.join(variables)}")
        variables[name]["default"] = default
    new["job_configuration"] = _laid_over(new["job_configuration"], change.get("job_configuration", {}))
    return new


def _laid_over(below: Any, above: Any) -> Any:
    """Mappings are merged key by key, lists item by item, anything else replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    if isinstance(below, list) and isinstance(above, list):
        merged = [_laid_over(*pair) for pair in zip(below, above, strict=False)]
        return [*merged, *below[len(above) :], *above[len(below) :]]
    return above
