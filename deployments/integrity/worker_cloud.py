"""Guarded twins of Prefect's Cloud Run and Kubernetes workers, for those of them whose package is installed.

The twin checks the image of the worker itself; the pull step checks the image of the job that runs the flow.
"""

from __future__ import annotations

import importlib
import importlib.util

from prefect.workers.base import BaseWorker

from .worker import GuardedWorkerMixin

KNOWN = {
    "guarded-cloud-run-v2": ("prefect_gcp.workers.cloud_run_v2", "CloudRunWorkerV2"),
    "guarded-kubernetes": ("prefect_kubernetes.worker", "KubernetesWorker"),
}


def guarded(kind: str, base: type[BaseWorker]) -> type[BaseWorker]:
    """A guarded twin of any worker class, registered with Prefect as type `kind`."""
    return type(f"Guarded{base.__name__}", (GuardedWorkerMixin, base), {"type": kind, "__doc__": base.__doc__})


WORKERS = {
    kind: guarded(kind, getattr(importlib.import_module(module), name))
    for kind, (module, name) in KNOWN.items()
    if importlib.util.find_spec(module.partition(".")[0]) is not None
}
