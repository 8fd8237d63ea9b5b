"""The registry's records: which release is expected of a role, who said so and why. A chain, each link
signed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .digest import canonical_json
from .envelope import Envelope, EnvelopeError, strict_json
from .manifest import Commit, Predicate, Sha256
from .project import Slug

RECORD_TYPE = "application/vnd.prefect-integrity.record.v1+json"
MAX_OVERRIDES = 5
PROTECTED = ("envelope", "manifest", "registry")

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z-]+$", max_length=40)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Strict):
    """The release that is expected: its number and the digests of its manifest and its code."""

    number: int = Field(ge=1)
    version: str
    manifest: Sha256
    code: Sha256
    commit: Commit
    dirty: bool


class Override(_Strict):
    """Findings of these codes are let through until `expires_at`, in this person's name, for this reason."""

    codes: tuple[Code, ...] = Field(min_length=1, max_length=8)
    by: Text
    reason: Text
    expires_at: AwareDatetime


class Record(_Strict):
    """One link of a role's chain. It carries the whole state, so that reading the last one is enough."""

    schema_version: Literal[1] = 1
    project: Slug
    role: Slug
    sequence: int = Field(ge=1)
    kind: Literal["register", "rollback", "override"]
    at: AwareDatetime
    by: Text
    reason: Text
    expected: Expected
    highest: int = Field(ge=1)
    pools: tuple[str, ...]
    overrides: tuple[Override, ...] = Field(default=(), max_length=MAX_OVERRIDES)
    previous: Sha256 | None

    def active_overrides(self, now: datetime) -> tuple[Override, ...]:
        """The overrides that have not expired."""
        return tuple(o for o in self.overrides if o.expires_at > now)


class RegistryError(ValueError):
    """A change of the registry that is not allowed; the text says why and what to do."""


def expected_of(envelope: Envelope, predicate: Predicate) -> Expected:
    """What the registry keeps of a signed manifest."""
    release = predicate.release
    return Expected(
        number=release.number,
        version=release.version,
        manifest=envelope.digest,
        code=predicate.code.digest,
        commit=release.commit,
        dirty=release.dirty,
    )


def registered(
    head: Record | None,
    head_digest: str | None,
    predicate: Predicate,
    expected: Expected,
    pools: tuple[str, ...],
    now: datetime,
    by: str,
    reason: str,
) -> Record:
    """The link that makes a newer release the expected one. RegistryError if its number is not new."""
    highest = head.highest if head else 0
    if head and expected == head.expected and set(pools) <= set(head.pools):
        raise RegistryError(f"release {expected.version} is the expected one already")
    if expected.number < highest or (expected.number == highest and head and expected != head.expected):
        raise RegistryError(
            f"release number {expected.number} is not new: {highest} has been registered for role "
            f"{predicate.role}. Build with --release {highest + 1}, or go back on purpose with `rollback`"
        )
    if predicate.release.expires_at <= now:
        raise RegistryError(f"release {expected.version} expired at {predicate.release.expires_at.isoformat()}")
    return Record(
        project=predicate.project,
        role=predicate.role,
        sequence=head.sequence + 1 if head else 1,
        kind="register",
        at=now,
        by=by,
        reason=reason,
        expected=expected,
        highest=max(highest, expected.number),
        pools=pools or (head.pools if head else ()),
        overrides=head.active_overrides(now) if head else (),
        previous=head_digest,
    )


def rolled_back(
    head: Record, head_digest: str, history: list[Record], number: int, now: datetime, by: str, reason: str
) -> Record:
    """The link that makes an earlier registered release the expected one again."""
    known = {r.expected.number: r.expected for r in history}
    if number == head.expected.number:
        raise RegistryError(f"release {number} is the expected one already")
    if number not in known:
        raise RegistryError(
            f"release {number} was never registered for role {head.role}; "
            f"there are {', '.join(map(str, sorted(known)))}"
        )
    return Record.model_validate(
        {
            **head.model_dump(),
            "sequence": head.sequence + 1,
            "kind": "rollback",
            "at": now,
            "by": by,
            "reason": reason,
            "expected": known[number],
            "overrides": head.active_overrides(now),
            "previous": head_digest,
        }
    )


def overridden(head: Record, head_digest: str, override: Override, now: datetime) -> Record:
    """The link that lets findings through for a time. RegistryError for what no override may let through."""
    for code in override.codes:
        if code.partition(".")[0] in PROTECTED:
            raise RegistryError(f"{code} can't be overridden: {', '.join(PROTECTED)} are what the guard stands on")
    if override.expires_at <= now:
        raise RegistryError("an override must expire in the future")
    active = (*head.active_overrides(now), override)
    if len(active) > MAX_OVERRIDES:
        raise RegistryError(f"{MAX_OVERRIDES} overrides are active already; repair the release instead")
    return Record.model_validate(
        {
            **head.model_dump(),
            "sequence": head.sequence + 1,
            "kind": "override",
            "at": now,
            "by": override.by,
            "reason": override.reason,
            "overrides": active,
            "previous": head_digest,
        }
    )


def wrap_record(record: Record) -> Envelope:
    """The unsigned envelope of a record."""
    value: dict[str, Any] = record.model_dump(mode="json")
    return Envelope(RECORD_TYPE, canonical_json(value))


def read_record(payload: bytes) -> Record:
    """The record inside a verified payload; EnvelopeError if it is not of the form."""
    strict_json(payload)
    try:
        return Record.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        raise EnvelopeError(f"not a registry record: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
