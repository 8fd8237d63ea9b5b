"""The whole check, put together for those who call it: command line, worker, pull step, preflight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from .envelope import EnvelopeError
from .finding import Finding, Report
from .manifest import Predicate
from .probe import run_probe
from .release import Site
from .verifier import check_place


def verify_local(site: Site) -> Report:
    """What lies here against the manifest that `build` wrote, without server or key."""

    def findings() -> Iterable[Finding]:
        _, manifest = site.unsigned()
        return check_place(site, manifest)

    return gather("local", findings)


def gather(subject: str, findings: Callable[[], Iterable[Finding]]) -> Report:
    """Run a check and time it. An unreadable or unsigned release file is a finding too: the guard fails
    closed.
    """
    started = time.perf_counter()
    try:
        found = tuple(findings())
    except EnvelopeError as error:
        found = (unsigned(error),)
    return Report(subject, found, round((time.perf_counter() - started) * 1000, 2))


def unsigned(error: EnvelopeError) -> Finding:
    """The finding for a release file that is missing, edited, stripped or signed by a stranger."""
    return Finding(
        "envelope.signature",
        "a release file signed by a trusted key",
        str(error),
        "deploy a release that was built and signed; check `trusted_keys` or INTEGRITY_TRUSTED_KEYS",
    )


def probe_findings(site: Site, manifest: Predicate) -> list[Finding]:
    """The slow part, in a process of its own: imports, links, entrypoints, facts, the project's checks."""
    probe = run_probe(
        site.root,
        manifest.code.files,
        manifest.code.roots,
        manifest.optional_imports,
        [e.name for e in manifest.entrypoints],
        {},
        manifest.checks,
    )
    findings = probe.findings()
    drifted = tuple(
        e.name for e in manifest.entrypoints if probe.entrypoints.get(e.name, e.parameters) != e.parameters
    )
    if drifted:
        findings.append(
            Finding(
                "link.parameters",
                "entrypoints with the parameters of the release",
                f"{len(drifted)} with others",
                "a dependency changed a parameter's type; build a release with it",
                drifted,
            )
        )
    return findings
