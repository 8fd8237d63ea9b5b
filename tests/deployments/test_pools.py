"""What the work pools' templates promise: the real workers take them, and no default of Prefect's slips through."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest
from prefect.workers.base import BaseWorker

from deployments.pools import changed, changes, template_of

IMAGE = "europe-docker.pkg.dev/p/courtside/all@sha256:" + "0" * 64
CREDENTIALS = {"project": "p", "service_account_info": None}


def configured(pool_type: str, **values: Any) -> Any:
    """What the worker would start, by its own reading of the template."""
    worker = BaseWorker.get_worker_class_from_type(pool_type)
    assert worker is not None
    reading = worker.job_configuration.from_template_and_values(template_of(pool_type), {"image": IMAGE, **values})
    return asyncio.run(reading)


def test_a_pool_of_processes_is_prefect_s_own() -> None:
    assert (
        template_of("guarded-process")
        == BaseWorker.get_worker_class_from_type(  # type: ignore[union-attr]
            "guarded-process"
        ).get_default_base_job_template()
    )


def test_a_cloud_run_job_is_our_image_once_with_enough_room() -> None:
    template = template_of("guarded-cloud-run-v2")
    job = template["job_configuration"]["job_body"]["template"]["template"]
    defaults = {name: item.get("default") for name, item in template["variables"]["properties"].items()}
    assert job["containers"][0]["image"] == "{{ image }}"
    assert (defaults["image"], defaults["max_retries"], defaults["memory"]) == (None, 0, "4Gi")


def test_a_kubernetes_job_runs_without_root_and_with_limits() -> None:
    if importlib.util.find_spec("prefect_kubernetes") is None:
        pytest.skip("prefect-kubernetes is an extra and is not installed: pip install courtside[kubernetes]")
    pod = configured("guarded-kubernetes").job_manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"] == IMAGE
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["resources"]["limits"]["memory"] == "4Gi"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_change_of_a_variable_that_the_worker_does_not_know_is_refused() -> None:
    template = {"variables": {"properties": {"image": {}}}, "job_configuration": {}}
    with pytest.raises(ValueError, match="imgae is no variable of this template; it has image"):
        changed(template, {"variables": {"imgae": None}})


def test_lists_are_changed_item_by_item_and_the_worker_s_template_is_left_alone() -> None:
    below = {"variables": {"properties": {}}, "job_configuration": {"containers": [{"image": "{{ image }}"}], "n": 1}}
    above = {"job_configuration": {"containers": [{"limits": 2}, {"sidecar": 3}]}}
    assert changed(below, above)["job_configuration"] == {
        "containers": [{"image": "{{ image }}", "limits": 2}, {"sidecar": 3}],
        "n": 1,
    }
    assert below["job_configuration"]["containers"] == [{"image": "{{ image }}"}]


def test_a_type_that_is_not_installed_says_where_it_comes_from() -> None:
    with pytest.raises(ValueError, match="no worker of type guarded-mainframe is installed"):
        template_of("guarded-mainframe")


def test_every_type_with_changes_is_one_that_the_guard_knows() -> None:
    from deployments.integrity.worker_cloud import KNOWN

    assert set(changes()) == set(KNOWN)
