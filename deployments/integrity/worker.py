"""Worker types that prove their release before the first poll and again at every poll, and leave when it is
not theirs.

`guarded-process` is installed through `prefect.collections`. `GuardedWorkerMixin` guards any other worker
class alike.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio.to_thread
from prefect.workers.process import ProcessWorker

from . import events
from .envelope import EnvelopeError
from .finding import Finding, Report
from .guard import Question, Verdict, verify, verify_fully
from .release import Site
from .verifier import SUPERSEDED

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

EXIT_REFUSED = 78  # sysexits' EX_CONFIG: a restart of the same image changes nothing
EXIT_DRAINED = 75  # sysexits' EX_TEMPFAIL: a newer release is expected, restart on its image
UNREACHABLE = "registry.unreachable"
NEWER_RELEASE = SUPERSEDED | {"release.replaced"}


def utc_now() -> datetime:
    """This machine's time: the one clock of the workers, replaced in tests."""
    return datetime.now(UTC)


class _LeaveError(Exception):
    """Raised out of the polling loop to end it, once nothing runs any more."""


class GuardedWorkerMixin:
    """Put before a Prefect worker class: `class Guarded(GuardedWorkerMixin, CloudRunWorkerV2)`.

    What is expected is looked up by the pool's name, on the server. A worker that has become wrong takes no
    further run, lets those it has finish, and exits: 75 if only a newer release is expected, 78 otherwise.
    """

    clock: Callable[[], datetime] = staticmethod(utc_now)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._running: set[UUID] = set()
        self._leaving: int | None = None
        self._proven: str | None = None  # digest of the manifest this worker started with
        self._registry = "there"

    async def start(self, *args: Any, **kwargs: Any) -> None:
        """Prove the release, then start as the guarded class does.

        SystemExit(78) with one readable message if it is refused, before anything is registered with the
        server; leaving later ends in SystemExit, its code says why.
        """
        await self._prove()
        try:
            await super().start(*args, **kwargs)  # type: ignore[misc]
        except Exception:
            if self._leaving is None:
                raise
        if self._leaving is not None:
            raise SystemExit(self._leaving)

    async def setup(self) -> None:
        """The same proof for who uses the worker without `start`."""
        await self._prove()
        await super().setup()  # type: ignore[misc]

    async def _prove(self) -> None:
        if self._proven is not None:
            return
        site, verdict = await self._check(fully=True)
        if site is None or not verdict.report.ok:
            await self._tell(site, events.WORKER_BLOCKED, verdict, "this worker does not start")
            raise SystemExit(EXIT_REFUSED)
        await self._tell(site, events.WORKER_ATTESTED, verdict, "this worker starts")
        os.environ["INTEGRITY_ROOT"] = str(site.root)  # the runs' processes check and run what was checked here
        self._proven = verdict.envelope.digest if verdict.envelope else ""

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Check, then poll. Never fails a run: a worker that may not take work takes none."""
        if self._leaving is None:
            await self._recheck()
        if self._leaving is None:
            if self._registry == "lost":
                return []  # beyond the grace: wait for the registry, with empty hands
            runs: list[FlowRun] = await super().get_and_submit_flow_runs()  # type: ignore[misc]
            return runs
        if not self._running and not getattr(self, "_submitting_flow_run_ids", ()):
            raise _LeaveError
        return []

    async def run(self, flow_run: FlowRun, configuration: Any, task_status: Any = None) -> Any:
        """Run as the guarded class does, and know that it runs."""
        self._running.add(flow_run.id)
        try:
            return await super().run(flow_run, configuration, task_status)  # type: ignore[misc]
        finally:
            self._running.discard(flow_run.id)

    async def _recheck(self) -> None:
        site, verdict = await self._check(fully=False)
        verdict = self._replaced(verdict)
        codes = {finding.code for finding in verdict.report.refused}
        if codes <= {UNREACHABLE}:
            await self._reach(site, verdict, bool(codes))
        elif codes <= NEWER_RELEASE:
            self._leaving = EXIT_DRAINED
            await self._tell(site, events.WORKER_DRAINING, verdict, self._farewell())
        else:
            self._leaving = EXIT_REFUSED
            await self._tell(site, events.WORKER_BLOCKED, verdict, self._farewell())

    def _replaced(self, verdict: Verdict) -> Verdict:
        """The verdict, and the finding that another release was put here since this process started."""
        if verdict.envelope is None or verdict.envelope.digest == self._proven or not verdict.report.ok:
            return verdict
        fix = "restart the worker: its own code is that of the release before"
        found = Finding("release.replaced", "the release this worker started with", "another one in its place", fix)
        return replace(verdict, report=verdict.report.plus([found]))

    async def _reach(self, site: Site | None, verdict: Verdict, refused: bool) -> None:
        """Say once when the registry can't be reached, once when the grace is over, and tell the server afterwards."""
        missed = any(finding.code == UNREACHABLE for finding in verdict.report.findings)
        reach = "lost" if refused else "grace" if missed else "there"
        if reach == self._registry:
            return
        before, self._registry = self._registry, reach
        if reach == "there":
            await self._tell(site, events.REGISTRY_UNREACHABLE, verdict, f"the registry answers again, after: {before}")
        else:
            work = "taking no work until the registry answers" if refused else "going on for the grace"
            self._print(f"{verdict.report.text()}\n{work}")

    def _farewell(self) -> str:
        return f"taking no new run, waiting for {len(self._running)} to finish, then leaving with {self._leaving}"

    async def _check(self, fully: bool) -> tuple[Site | None, Verdict]:
        question = Question(pool=self._work_pool_name)  # type: ignore[attr-defined]

        def check() -> tuple[Site | None, Verdict]:
            try:
                site = Site.here()
                return site, (verify_fully if fully else verify)(site, question, self.clock())
            except (ValueError, OSError, RuntimeError, EnvelopeError) as error:
                fault = Finding("envelope.place", "a release that can be read", type(error).__name__, str(error))
                return None, Verdict(Report(str(question), (fault,)))

        return await anyio.to_thread.run_sync(check)

    async def _tell(self, site: Site | None, event: str, verdict: Verdict, what: str) -> None:
        self._print(f"{verdict.report.text()}\n{what}")
        question = Question(pool=self._work_pool_name)  # type: ignore[attr-defined]
        place = site or Site.nowhere()
        now = self.clock()
        said = await anyio.to_thread.run_sync(events.tell, place, event, question, verdict, now)
        self._print(said)

    @staticmethod
    def _print(text: str) -> None:
        print(f"[integrity] {text}", file=sys.stderr, flush=True)


class GuardedProcessWorker(GuardedWorkerMixin, ProcessWorker):
    """Runs flows as subprocesses, in the release that the registry expects on its pool and in no other."""

    type = "guarded-process"
    _display_name = "Guarded Process"
    _description = "Execute flow runs as subprocesses on a worker that proves its release before it takes work."
