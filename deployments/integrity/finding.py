"""What a check has to say: findings, gathered in a report; the one place that turns a report into an
exception.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

MAX_NAMES_SHOWN = 8


class Severity(StrEnum):
    """How a finding counts: `refuse` stops the work, `overridden` was let through on record, `warn` is shown
    only.
    """

    REFUSE = "refuse"
    OVERRIDDEN = "overridden"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: what was expected, what was found, where, and what to do about it."""

    code: str
    expected: str
    found: str
    fix: str
    names: tuple[str, ...] = ()
    severity: Severity = Severity.REFUSE

    def line(self) -> str:
        """The finding as one indented paragraph for a person."""
        mark = {Severity.REFUSE: "x", Severity.OVERRIDDEN: "!", Severity.WARN: "-"}[self.severity]
        text = f"  {mark} {self.code}: expected {self.expected}, found {self.found}"
        if self.names:
            text += f"\n      {shorten(self.names)}"
        return f"{text}\n      fix: {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for an event's payload."""
        return {
            "code": self.code,
            "expected": self.expected,
            "found": self.found,
            "fix": self.fix,
            "names": list(self.names[:MAX_NAMES_SHOWN]),
            "severity": self.severity.value,
        }


def shorten(names: Iterable[str]) -> str:
    """Names joined by commas, the tail replaced by its count."""
    listed = list(names)
    head = ", ".join(listed[:MAX_NAMES_SHOWN])
    more = len(listed) - MAX_NAMES_SHOWN
    return f"{head} and {more} more" if more > 0 else head


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a check found, about whom (`subject`), and how long it took in milliseconds."""

    subject: str
    findings: tuple[Finding, ...] = ()
    elapsed_ms: float = 0.0

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that stop the work."""
        return tuple(f for f in self.findings if f.severity is Severity.REFUSE)

    @property
    def ok(self) -> bool:
        """Whether work may begin."""
        return not self.refused

    def plus(self, more: Iterable[Finding], elapsed_ms: float = 0.0) -> Report:
        """The same report with further findings."""
        return replace(self, findings=(*self.findings, *more), elapsed_ms=round(self.elapsed_ms + elapsed_ms, 2))

    def without(self, codes: Collection[str]) -> Report:
        """The same report without findings of these codes."""
        return replace(self, findings=tuple(f for f in self.findings if f.code not in codes))

    def headline(self) -> str:
        """One line that fits a state message: every reason, shortly."""
        if self.ok:
            return f"{self.subject}: verified in {self.elapsed_ms:.0f} ms"
        reasons = "; ".join(
            (f"{f.code}: expected {f.expected}, found {f.found}") + (f" ({shorten(f.names)})" if f.names else "")
            for f in self.refused
        )
        return f"{self.subject}: refused. {reasons}"

    def text(self) -> str:
        """The whole report for a terminal or a log."""
        verdict = "verified" if self.ok else "REFUSED"
        head = f"{self.subject}: {verdict} ({self.elapsed_ms:.0f} ms)"
        return "\n".join([head, *(f.line() for f in self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for an event's payload."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "elapsed_ms": self.elapsed_ms,
            "findings": [f.to_dict() for f in self.findings],
        }


class IntegrityError(Exception):
    """Work was refused. Carries the `report`; its text is the report's text."""

    def __init__(self, report: Report):
        super().__init__(report.text())
        self.report = report


def raise_if_refused(report: Report) -> Report:
    """Return the report, or raise `IntegrityError` if any finding stops the work."""
    if not report.ok:
        raise IntegrityError(report)
    return report
