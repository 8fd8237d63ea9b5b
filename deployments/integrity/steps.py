"""The pull step for prefect.yaml: the check in the process or container that will run the flow, before it is
imported.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from . import events
from .client import sync_client
from .finding import Finding, IntegrityError, Report, Severity
from .guard import Question, Run, Verdict, verify
from .release import Site
from .verifier import SUPERSEDED, check_origin

WRONG_RELEASE = "WrongRelease"
AWAITING_RELEASE = "AwaitingRelease"
HANDED_BACK = "integrity.handed-back"
MOST_HANDED_BACK = 3
HANDED_BACK_FOR = timedelta(seconds=10)


def verify_release(project: str | None = None, role: str | None = None, root: str | None = None) -> dict[str, str]:
    """Check the release that lies here against the one that is expected, and against the run.

    Expected is what is registered for `project` and `role`, which stand in the deployment, on the server, or,
    without them, for the run's work pool: either way outside the code under test. `root` is the release's
    folder, by default INTEGRITY_ROOT or the nearest above the working folder; the flow is loaded from there.
    Returns the release's stamp, so that Prefect emits its step event. On a refusal the run ends as Failed,
    named WrongRelease, its message says why, and the process exits with 0 so that no platform tries again; if
    the server can't be told, it raises. Where all that is wrong is that a newer release was registered between
    the worker's last look and this one, the run is handed back to its pool, a few times, for a worker of the
    newer release.
    """
    now = datetime.now(UTC)
    flow_run_id = os.environ.get("PREFECT__FLOW_RUN_ID")
    question, site, verdict, run = _check(project, role, root, flow_run_id, now)
    run_log = _log_of(run)
    if not verdict.report.ok:
        run_log.error(verdict.report.text())
        print(f"[integrity] {verdict.report.text()}", file=sys.stderr, flush=True)
        if run is None:
            raise IntegrityError(verdict.report)
        if {f.code for f in verdict.report.refused} <= SUPERSEDED and _hand_back(run, verdict, now):
            run_log.warning("handed back to %s, for a worker of the expected release", question)
            _flush_log()
            raise SystemExit(0)
        _refuse(run, verdict, question, now)
        if site is not None:
            run_log.info(events.tell(site, events.RUN_BLOCKED, question, verdict, now))
        _flush_log()
        raise SystemExit(0)
    for finding in verdict.report.findings:
        run_log.warning(finding.line().strip())
    stamp = verdict.stamp()
    run_log.info("release %s verified in %.0f ms", stamp["integrity.release"], verdict.report.elapsed_ms)
    if run is not None and site is not None:
        try:
            _attest(run, verdict, stamp, question, now)
        except Exception as error:  # the release is proven; only saying so failed, and that is said here
            run_log.warning("the attestation could not be sent: %s: %s", type(error).__name__, error)
    return {**stamp, "directory": str(site.root)} if site else stamp


def _check(
    project: str | None, role: str | None, root: str | None, flow_run_id: str | None, now: datetime
) -> tuple[Question, Site | None, Verdict, Any]:
    run, said, facts = None, [], None
    if flow_run_id:
        try:
            run, facts = _read_run(UUID(flow_run_id))
        except Exception as error:
            said.append(
                Finding(
                    "registry.run",
                    f"the server to know run {flow_run_id}",
                    f"{type(error).__name__}: {error}",
                    "restore the Prefect server; a run that can't be read is not started",
                )
            )
    by_role = project is not None and role is not None
    pool = "" if by_role or run is None else run.work_pool_name or ""
    question = Question(project or "", role or "", pool)
    try:
        site = Site.here(Path(root) if root else None)
    except (ValueError, OSError) as error:
        fault = Finding("envelope.place", "a release that can be read", type(error).__name__, str(error))
        return question, None, Verdict(Report(str(question), (fault, *said))), run
    search = [str(site.root), *sys.path]
    verdict = verify(
        site, question, now, run=facts, extra=lambda m: [*said, *check_origin(site.root, m.code.roots, search)]
    )
    return question, site, verdict, run


def _read_run(flow_run_id: UUID) -> tuple[Any, Run]:
    with sync_client() as client:
        run = client.read_flow_run(flow_run_id)
        entrypoint = client.read_deployment(run.deployment_id).entrypoint if run.deployment_id else None
    return run, Run(run.deployment_version, entrypoint)


def _refuse(run: Any, verdict: Verdict, question: Question, now: datetime) -> None:
    """End the run; whatever the client raises is raised: a run whose state can't be set must not look well."""
    from prefect.client.schemas.objects import State
    from prefect.states import Failed

    state: State[None] = Failed(name=WRONG_RELEASE, message=verdict.report.headline())
    with sync_client() as client:
        client.set_flow_run_state(run.id, state, force=True)


def _hand_back(run: Any, verdict: Verdict, now: datetime) -> bool:
    """Make the run wait for another worker, and count it; False once it has been handed back often enough."""
    from prefect.client.schemas.objects import State, StateDetails, StateType

    times = int(run.labels.get(HANDED_BACK) or 0)
    if times >= MOST_HANDED_BACK or not run.work_pool_name:
        return False
    at = now + HANDED_BACK_FOR
    state: State[None] = State(
        type=StateType.SCHEDULED,
        name=AWAITING_RELEASE,
        message=verdict.report.headline(),
        state_details=StateDetails(scheduled_time=at),
    )
    with sync_client() as client:
        client.update_flow_run_labels(run.id, {HANDED_BACK: times + 1})
        client.set_flow_run_state(run.id, state, force=True)
    return True


def _attest(run: Any, verdict: Verdict, stamp: dict[str, str], question: Question, now: datetime) -> None:
    """Stamp the run's labels and emit the positive event; overrides that were used get one of their own."""
    with sync_client() as client:
        client.update_flow_run_labels(run.id, dict(stamp))
    related = [{"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run"}]
    resource = events.resource_of(question, verdict)
    payload = {**stamp, "elapsed_ms": verdict.report.elapsed_ms}
    events.emit(events.RUN_ATTESTED, resource, payload, now, related)
    if any(f.severity is Severity.OVERRIDDEN for f in verdict.report.findings):
        events.emit(events.OVERRIDE_USED, resource, verdict.report.to_dict(), now, related)
    if any(f.code == "registry.unreachable" for f in verdict.report.findings):
        events.emit(events.REGISTRY_UNREACHABLE, resource, verdict.report.to_dict(), now, related)


def _log_of(run: Any) -> Any:
    from prefect.logging.loggers import flow_run_logger, get_logger

    return flow_run_logger(run).getChild("integrity") if run is not None else get_logger("integrity")


def _flush_log() -> None:
    from prefect.logging.handlers import APILogHandler

    asyncio.run(APILogHandler.aflush())
