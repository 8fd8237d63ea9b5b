"""The whole check, put together for those who call it: command line, worker, pull step, preflight."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime

from .envelope import Envelope, EnvelopeError
from .finding import Finding, Report, Severity, raise_if_refused
from .manifest import Predicate
from .memory import Memory, Remembered
from .probe import probe_findings
from .record import Record, RegistryError
from .registry import Registry, Unreachable
from .release import Site
from .verifier import Expectation, apply_overrides, check_content, check_expected, check_place

VERSION = re.compile(r"^([1-9][0-9]*)\+([0-9a-f]{12})(\.dirty)?$")
Connect = Callable[[Site], Registry]


@dataclass(frozen=True, slots=True)
class Question:
    """Of whom the registry is asked: a work pool, or a project's role. It comes from outside the code under
    test.
    """

    project: str = ""
    role: str = ""
    pool: str = ""

    def __str__(self) -> str:
        if self.pool:
            return f"pool {self.pool}"
        return f"{self.project}/{self.role}" if self.project and self.role else "neither pool nor role"


@dataclass(frozen=True, slots=True)
class Run:
    """What the server says of a flow run: its deployment's version when it was made, and its entrypoint."""

    deployment_version: str | None
    entrypoint: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check: the report, and the identities it was about as far as they could be read."""

    report: Report
    manifest: Predicate | None = None
    envelope: Envelope | None = None
    expectation: Expectation | None = None

    def proven(self) -> Predicate:
        """The manifest that was verified; IntegrityError with every reason if work was refused."""
        raise_if_refused(self.report)
        if self.manifest is None:
            raise ValueError("a verdict without refusals and without a manifest proves nothing")
        return self.manifest

    def identities(self) -> dict[str, str]:
        """Expected and found, for an event's payload."""
        record = self.expectation.record if self.expectation else None
        found = self.manifest
        return {
            "expected": f"{record.project}/{record.role} {record.expected.version}" if record else "unknown",
            "found": (f"{found.project}/{found.role} {found.release.version}") if found else "no signed release",
        }

    def stamp(self) -> dict[str, str]:
        """The release as labels for a run, a ledger row, an event. Empty if nothing was verified."""
        if self.manifest is None or self.envelope is None:
            return {}
        stamp = {
            "integrity.project": self.manifest.project,
            "integrity.role": self.manifest.role,
            "integrity.release": self.manifest.release.version,
            "integrity.code": self.manifest.code.digest,
            "integrity.manifest": self.envelope.digest,
        }
        let_through = [f for f in self.report.findings if f.severity is Severity.OVERRIDDEN]
        if let_through:
            stamp["integrity.overridden"] = "; ".join(f"{f.code}: {f.fix}" for f in let_through)
        return stamp


def connect(site: Site) -> Registry:
    """The registry of the configured Prefect server, trusted by this site's keys."""
    return Registry.connect(site.keys)


def verify_local(site: Site, full: bool = False) -> Report:
    """The content here against the manifest that `build` wrote, without server, key or settings.

    `full` also imports and links, which is then remembered: an image does it while it is built.
    """
    started = time.perf_counter()
    try:
        _, manifest = site.unsigned()
        findings = list(check_content(site, manifest))
        if full and not any(f.severity is Severity.REFUSE for f in findings):
            findings += probe_findings(site, manifest, ask_project=False)
    except EnvelopeError as error:
        findings = [unsigned(error)]
    return Report("local", tuple(findings), _since(started))


def verify(
    site: Site,
    question: Question,
    now: datetime,
    run: Run | None = None,
    extra: Callable[[Predicate], Iterable[Finding]] | None = None,
    connect: Connect = connect,
) -> Verdict:
    """The check before work. Every reason is gathered; what can't be read refuses."""
    started = time.perf_counter()
    findings: list[Finding] = []
    envelope, manifest = None, None
    try:
        envelope, manifest = site.signed()
    except EnvelopeError as error:
        findings.append(unsigned(error))
    grace = manifest.policy.grace_seconds if manifest else 0
    with ThreadPoolExecutor(1) as pool:  # the server answers while the files are read
        asked = pool.submit(copy_context().run, ask, site, question, now, grace, connect)
        place = list(check_place(site, manifest)) if manifest else []
        expectation, said = asked.result()
    findings += said
    if envelope and manifest:
        if expectation:
            findings += check_expected(envelope, manifest, expectation, now)
        findings += place
        if run is not None:
            findings += check_run(run, manifest)
        if extra is not None:
            findings += extra(manifest)
        if expectation:
            findings = apply_overrides(findings, expectation.record, now)
    report = Report(str(question), tuple(findings), _since(started))
    return Verdict(report, manifest, envelope, expectation)


def verify_fully(site: Site, question: Question, now: datetime, connect: Connect = connect) -> Verdict:
    """The check at a worker's start: the check before work and, if that is good, imports, links and the
    project's own.
    """
    verdict = verify(site, question, now, connect=connect)
    if not verdict.report.ok or verdict.manifest is None or verdict.expectation is None:
        return verdict
    started = time.perf_counter()
    found = apply_overrides(probe_findings(site, verdict.manifest), verdict.expectation.record, now)
    return replace(verdict, report=verdict.report.plus(found, _since(started)))


def ask(
    site: Site, question: Question, now: datetime, grace_seconds: int, connect: Connect
) -> tuple[Expectation | None, list[Finding]]:
    """What the registry expects. Without an answer the last one stands in for the grace, and that is said."""
    memory = Memory(site.memory, _server(site), str(question))
    remembered = memory.recall(site.keys)
    try:
        with connect(site) as registry:
            found = registry.answer(question.project, question.role, question.pool)
            server_time = registry.server_time
    except Unreachable as error:
        last = Expectation(remembered.record, remembered.read_at) if remembered else None
        return _in_grace(last, now, grace_seconds, error)
    except RegistryError as error:
        return None, [Finding("registry.record", "records signed by a trusted key", str(error), "repair the registry")]
    if found is None:
        fix = "register one: `register --pool <pool>`"
        return None, [Finding("registry.empty", f"a release registered for {question}", "none", fix)]
    envelope, record = found
    if remembered is not None and _went_back(remembered, envelope, record):
        return None, [
            Finding(
                "registry.rewound",
                f"record {remembered.record.sequence} or a later one, which was seen here before",
                f"record {record.sequence}",
                "records were deleted on the server: register the release again with a higher number",
            )
        ]
    said = []
    try:
        memory.remember(envelope, now)
    except OSError as error:
        said.append(
            Finding(
                "registry.memory",
                f"a memory that can be written at {site.memory}",
                type(error).__name__,
                "make it writable or set INTEGRITY_HOME; without it an outage of the server stops work at once",
                severity=Severity.WARN,
            )
        )
    return Expectation(record, now, server_time), said


def _went_back(remembered: Remembered, envelope: Envelope, record: Record) -> bool:
    """Whether a chain is shorter than it was, or another. A pool that moved to another role has another chain."""
    before = remembered.record
    if (before.project, before.role) != (record.project, record.role):
        return False
    replaced = record.sequence == before.sequence and envelope.digest != remembered.digest
    return record.sequence < before.sequence or replaced


def _in_grace(
    last: Expectation | None, now: datetime, grace_seconds: int, error: Unreachable
) -> tuple[Expectation | None, list[Finding]]:
    age = (now - last.read_at).total_seconds() if last else None
    inside = last is not None and age is not None and 0 <= age <= grace_seconds
    found = f"no answer ({error}); last one {f'{age:.0f} s ago' if age is not None else 'never'}"
    finding = Finding(
        "registry.unreachable",
        f"an answer of the registry, or one not older than the grace of {grace_seconds} s",
        found,
        "restore the Prefect server, or correct PREFECT_API_URL; work stops when the grace is over",
        severity=Severity.WARN if inside else Severity.REFUSE,
    )
    if not inside or last is None:
        return None, [finding]
    return Expectation(last.record, now, None, remembered=True), [finding]


def check_run(run: Run, manifest: Predicate) -> Iterator[Finding]:
    """The run's deployment version, stamped when it was made, and its entrypoint against this release."""
    release, policy = manifest.release, manifest.policy.run_versions
    text = run.deployment_version or ""
    form = VERSION.match(text)
    if form is None:
        yield Finding(
            "run.version",
            "a run made by a deployment of a release, such as " + release.version,
            f"version {text!r}",
            "deploy with `version:` set to the output of `show --version`; an unset variable leaves it empty",
        )
    else:
        number, commit = int(form[1]), form[2]
        newer = number > release.number
        other = number == release.number and commit != release.commit[:12]
        pinned = number < release.number and policy == "pinned"
        if newer or other or pinned:
            yield Finding(
                "run.version",
                f"release {text}, for which the run was made",
                f"release {release.version}",
                "start the release the run was made for, or make the run again",
            )
    if run.entrypoint is not None:
        entrypoint = run.entrypoint.removeprefix("./")
        names = [e.name for e in manifest.entrypoints]
        if entrypoint not in names and _as_path(entrypoint) not in names:
            yield Finding(
                "run.entrypoint",
                f"an entrypoint of role {manifest.role}: {', '.join(names) or 'it has none'}",
                entrypoint,
                "this flow belongs to another role: deploy it to that role's pool, or list it in integrity.toml",
            )


def _as_path(entrypoint: str) -> str:
    module, _, name = entrypoint.replace(":", ".").rpartition(".")
    return f"{module.replace('.', '/')}.py:{name}"


def unsigned(error: EnvelopeError) -> Finding:
    """The finding for a release file that is missing, edited, stripped or signed by a stranger."""
    return Finding(
        "envelope.signature",
        "a release file signed by a trusted key",
        str(error),
        "deploy a release that was built and signed; check `trusted_keys` or INTEGRITY_TRUSTED_KEYS",
    )


def _server(site: Site) -> str:
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value() or site.environment.get("PREFECT_API_URL", ""))


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
