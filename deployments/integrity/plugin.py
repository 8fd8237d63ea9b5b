"""Prefect's plugin hook: every Prefect process in a wrong image refuses at `import prefect`, `serve()` and
the CLI alike.

It asks no server: it holds the tree against the signed release file, in some ten milliseconds. With
PREFECT_PLUGINS_ENABLED and PREFECT_PLUGINS_STRICT a refusal ends the process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from prefect.plugins import register_hook

GUARDED = "guarded-"  # worker types that prove their release before the first poll, and tell the server of a refusal


@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Refuse with SystemExit, every reason in its text. A doubt of any kind is a refusal, for this is the
    last net.

    INTEGRITY_ROOT names the release's folder (in an image: set it in the image). INTEGRITY_EXPECT, set on the
    service and not in the image, may name the `project/role` that is expected there.

    A guarded worker is left to its own check, which finds more and is heard: this one ends unheard.
    """
    if proves_itself(sys.argv):
        return
    started = time.perf_counter()
    try:
        refusal = _refusal(os.environ.get("INTEGRITY_ROOT"), os.environ.get("INTEGRITY_EXPECT"), started)
    except Exception as error:
        refusal = f"the check itself failed: {type(error).__name__}: {error}"
    if refusal:
        print(f"[integrity] {refusal}", file=sys.stderr, flush=True)
        raise SystemExit(f"[integrity] {refusal.splitlines()[0]}")


def proves_itself(arguments: Sequence[str]) -> bool:
    """Whether this is `prefect worker start` with a guarded type, named there; a type that the pool decides is not."""
    if list(arguments[1:3]) != ["worker", "start"]:
        return False
    options = dict(pairwise(arguments)) | dict(one.split("=", 1) for one in arguments if one.startswith("--type="))
    return options.get("--type", options.get("-t", "")).startswith(GUARDED)


def _refusal(root: str | None, expected: str | None, started: float) -> str | None:
    from pathlib import Path

    from .envelope import EnvelopeError
    from .finding import Finding, Report
    from .guard import unsigned
    from .release import Site
    from .verifier import check_place

    site = Site.here(Path(root) if root else None)
    try:
        _, manifest = site.signed()
        findings = list(check_place(site, manifest))
        found = f"{manifest.project}/{manifest.role}"
        if expected and found != expected:
            fix = "deploy the image of that role here, or correct INTEGRITY_EXPECT of the service"
            findings.append(Finding("manifest.role", expected, found, fix))
    except EnvelopeError as error:
        findings = [unsigned(error)]
    report = Report(str(site.root), tuple(findings), (time.perf_counter() - started) * 1000)
    return None if report.ok else report.text()
