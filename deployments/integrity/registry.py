"""The registry of expected releases, kept on the Prefect server as a chain of Variables: one per record,
never changed.

A Variable is created with POST, which the server answers with 409 if the name exists: appending is atomic, on
the open-source server and on Prefect Cloud alike. Reading the last record is one request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .client import sync_client
from .digest import sha256_bytes
from .envelope import Envelope, EnvelopeError, envelope_from
from .manifest import Predicate
from .record import (
    RECORD_TYPE,
    Override,
    Record,
    RegistryError,
    expected_of,
    overridden,
    read_record,
    registered,
    rolled_back,
    wrap_record,
)

if TYPE_CHECKING:
    from prefect.context import SettingsContext

MAX_VALUE_CHARACTERS = 5000  # Prefect's limit for a Variable
PAGE = 200
FEW = 20
MAX_RETRIES = 2
CLAIM = "integrity:event"
CLAIMS_KEPT = timedelta(days=30)


Send = Callable[[str, str, dict[str, Any] | None], httpx.Response]


class Unreachable(Exception):
    """The server did not answer, or not with a sensible answer."""


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    record: Record
    envelope: Envelope


class Registry:
    """Reads and appends records. `send(method, path, body)` speaks to the Prefect API; `keys` are trusted for
    reading.
    """

    def __init__(self, send: Send, keys: Mapping[str, Ed25519PublicKey]):
        self._send = send
        self._keys = keys
        self._stack = ExitStack()
        self.server_time: datetime | None = None

    @classmethod
    def connect(cls, keys: Mapping[str, Ed25519PublicKey], timeout_seconds: float = 10.0) -> Registry:
        """A registry on the server of PREFECT_API_URL; Unreachable if none is configured."""
        from prefect.settings import PREFECT_API_URL

        if not PREFECT_API_URL.value():
            raise Unreachable("PREFECT_API_URL is not set: there is no server that could say what is expected")
        with ExitStack() as opened:
            # Prefect's own patience (five retries, doubling) would cost minutes before the grace begins.
            opened.enter_context(_impatient())
            client = opened.enter_context(sync_client(timeout=timeout_seconds))
            stack = opened.pop_all()

        def send(method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
            try:
                return client.request(method, path, json=body)  # type: ignore[arg-type]
            except httpx.HTTPStatusError as error:
                return error.response

        registry = cls(send, keys)
        registry._stack = stack
        return registry

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def answer(self, project: str, role: str, pool: str = "") -> tuple[Envelope, Record] | None:
        """The record in force for a work pool if one is given, else for a project's role; None if there is
        none.

        RegistryError if a record can't be trusted, or if two roles claim the pool.
        """
        if not pool:
            head = self._head(project, role)
            return (head.envelope, head.record) if head else None
        heads = self._holders(pool)
        if len(heads) > 1:
            names = ", ".join(f"{head.record.project}/{head.record.role}" for head in heads)
            raise RegistryError(f"pool {pool} is registered for {names}; register it for one role only")
        return (heads[0].envelope, heads[0].record) if heads else None

    def _holders(self, pool: str) -> list[_Link]:
        """The last records of all chains that hold this pool: one request, however long the chains have grown.

        The record that takes a pool, each one that keeps it and the one that gives it up carry its tag, so that a
        chain's newest record with the tag says whether it holds the pool, and is its last record if it does.
        """
        tags = [pool_tag(pool)]
        found = self._read(tags, limit=FEW, sort="CREATED_DESC")
        heads = self._holding(found, pool)
        if not heads and len(found) == FEW:  # all of them gave it up or hold it no more: one that is older may
            heads = self._holding(self._read(tags), pool)
        return heads

    def _holding(self, found: list[dict[str, Any]], pool: str) -> list[_Link]:
        newest: dict[tuple[str, str], dict[str, Any]] = {}
        for variable in found:
            newest[_chain(variable)] = max(
                variable, newest.get(_chain(variable), variable), key=lambda v: str(v["name"])
            )
        heads = [self._open_as(variable, *chain) for chain, variable in sorted(newest.items())]
        return [head for head in heads if pool in head.record.pools]

    def history(self, project: str, role: str) -> list[Record]:
        """The whole chain, oldest first; RegistryError if a link is missing or does not fit its predecessor."""
        links = [self._open(value) for value in self._read([chain_tag(project, role)])]
        links.sort(key=lambda link: link.record.sequence)
        previous = None
        for number, link in enumerate(links, start=1):
            if link.record.sequence != number or link.record.previous != previous:
                raise RegistryError(
                    f"the chain of {project}/{role} is broken at record {number}: records were deleted or replaced"
                )
            previous = link.envelope.digest
        return [link.record for link in links]

    def register(
        self,
        envelope: Envelope,
        predicate: Predicate,
        pools: tuple[str, ...],
        key: Ed25519PrivateKey,
        now: datetime,
        by: str,
        reason: str,
    ) -> Record:
        """Make a signed release the expected one of its role. RegistryError if its number is not new."""
        link = self._head(predicate.project, predicate.role)
        head, digest = (link.record, link.envelope.digest) if link else (None, None)
        expected = expected_of(envelope, predicate)
        for pool in pools:
            self._must_be_free(pool, predicate.project, predicate.role)
        record = self._append(registered(head, digest, predicate, expected, pools, now, by, reason), key, head)
        self._forget_claims(now - CLAIMS_KEPT)
        return record

    def rollback(
        self,
        project: str,
        role: str,
        number: int,
        key: Ed25519PrivateKey,
        now: datetime,
        by: str,
        reason: str,
    ) -> Record:
        """Make an earlier registered release the expected one again."""
        head, digest = self._existing(project, role)
        history = self.history(project, role)
        return self._append(rolled_back(head, digest, history, number, now, by, reason), key, head)

    def override(
        self,
        project: str,
        role: str,
        codes: tuple[str, ...],
        expires_at: datetime,
        key: Ed25519PrivateKey,
        now: datetime,
        by: str,
        reason: str,
    ) -> Record:
        """Record that findings of these codes are let through until `expires_at`."""
        head, digest = self._existing(project, role)
        override = Override(codes=codes, by=by, reason=reason, expires_at=expires_at)
        return self._append(overridden(head, digest, override, now), key, head)

    def claim(self, name: str, about: str | None = None) -> bool:
        """True for the first caller that claims this name, on any machine: the server keeps the claim.

        Claims `about` one thing can be given back together.
        """
        tags = [CLAIM, *([_claim_tag(about)] if about else [])]
        answer = self._call("POST", "/variables/", {"name": _claim_name(name), "value": name[:500], "tags": tags})
        if answer.status_code == 409:
            return False
        self._accept(answer)
        return True

    def release_claim(self, name: str) -> None:
        """Give a claim back, so that another may take it."""
        self._call("DELETE", f"/variables/name/{_claim_name(name)}")

    def release_claims(self, about: str) -> None:
        """Give back all claims about one thing."""
        for variable in self._read([CLAIM, _claim_tag(about)]):
            self._call("DELETE", f"/variables/name/{variable['name']}")

    def _forget_claims(self, before: datetime) -> None:
        """Delete claims older than `before`, so that they do not pile up on the server."""
        for variable in self._read([CLAIM]):
            if datetime.fromisoformat(variable["created"]) < before:
                self._call("DELETE", f"/variables/name/{variable['name']}")

    def _must_be_free(self, pool: str, project: str, role: str) -> None:
        for holder in self._holders(pool):
            other = holder.record
            if (other.project, other.role) != (project, role):
                raise RegistryError(
                    f"pool {pool} is registered for {other.project}/{other.role}: one pool, one role. "
                    f"Register a release of {other.role} for other pools first, or choose another pool"
                )

    def _existing(self, project: str, role: str) -> tuple[Record, str]:
        head = self._head(project, role)
        if head is None:
            raise RegistryError(f"no release of {project}/{role} has been registered")
        return head.record, head.envelope.digest

    def _head(self, project: str, role: str) -> _Link | None:
        values = self._read([chain_tag(project, role)], limit=1)
        return self._open_as(values[0], project, role) if values else None

    def _open_as(self, variable: dict[str, Any], project: str, role: str) -> _Link:
        """A record of this project's role, or RegistryError."""
        link = self._open(variable)
        record = link.record
        if (record.project, record.role) != (project, role) or link.name != variable_name(record):
            raise RegistryError(
                f"Variable {link.name} holds a record of {record.project}/{record.role}: it was copied there"
            )
        return link

    def _append(self, record: Record, key: Ed25519PrivateKey, head: Record | None = None) -> Record:
        value = wrap_record(record).sign(key).to_dict()
        if len(json.dumps(value)) > MAX_VALUE_CHARACTERS:
            raise RegistryError("the record is larger than a Prefect Variable: fewer pools or shorter reasons")
        body = {
            "name": variable_name(record),
            "value": value,
            "tags": [
                "integrity",
                chain_tag(record.project, record.role),
                f"release:{record.expected.version}",
                *map(pool_tag, sorted({*record.pools, *(head.pools if head else ())})),
            ],
        }
        answer = self._call("POST", "/variables/", body)
        if answer.status_code == 409:
            raise RegistryError(f"record {record.sequence} was written by someone else just now: look, and try again")
        self._accept(answer)
        return record

    def _read(self, tags: list[str], limit: int | None = None, sort: str = "NAME_DESC") -> list[dict[str, Any]]:
        values: list[dict[str, Any]] = []
        while True:
            body = {
                "variables": {"tags": {"all_": tags}},
                "sort": sort,
                "limit": limit or PAGE,
                "offset": len(values),
            }
            page = self._accept(self._call("POST", "/variables/filter", body))
            values.extend(page)
            if limit or len(page) < PAGE:
                return values

    def _open(self, variable: dict[str, Any]) -> _Link:
        try:
            envelope = envelope_from(variable["value"])
            payload = envelope.verified_payload(self._keys, RECORD_TYPE)
            return _Link(variable["name"], read_record(payload), envelope)
        except EnvelopeError as error:
            raise RegistryError(f"the registry's record {variable.get('name')} can't be trusted: {error}") from None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._send(method, path, body)
        except (httpx.HTTPError, OSError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        if "date" in answer.headers:
            self.server_time = parsedate_to_datetime(answer.headers["date"])
        return answer

    @staticmethod
    def _accept(answer: httpx.Response) -> Any:
        if answer.status_code >= 400:
            raise Unreachable(f"the server answered {answer.status_code}: {answer.text[:200]}")
        try:
            return answer.json()
        except ValueError:
            raise Unreachable("the server's answer is not JSON: is PREFECT_API_URL its API?") from None


def _impatient() -> SettingsContext:
    """Prefect's settings with two retries. `temporary_settings` would read and validate all anew, 20 ms each time."""
    from prefect.context import SettingsContext, get_settings_context

    current = get_settings_context()
    client = current.settings.client.model_copy(update={"max_retries": MAX_RETRIES})
    return SettingsContext(profile=current.profile, settings=current.settings.model_copy(update={"client": client}))


def chain_tag(project: str, role: str) -> str:
    """The tag that all records of a role carry."""
    return f"integrity:{project}/{role}"


def pool_tag(pool: str) -> str:
    """The tag of records that bind a work pool, or no longer bind it."""
    return f"integrity:pool:{pool}"


def _claim_name(name: str) -> str:
    return f"integrity__event__{sha256_bytes(name.encode())[:32]}"


def _claim_tag(about: str) -> str:
    return f"{CLAIM}:{sha256_bytes(about.encode())[:32]}"


def _chain(variable: Mapping[str, Any]) -> tuple[str, str]:
    """Project and role of a record, by its Variable's name: which chain to ask for, not yet what to believe."""
    parts = str(variable.get("name")).split("__")
    if len(parts) != 4 or parts[0] != "integrity":
        raise RegistryError(f"Variable {variable.get('name')} carries a pool's tag and is no record: delete it")
    return parts[1], parts[2]


def variable_name(record: Record) -> str:
    """The name of the Variable that holds a record; names sort as the records follow."""
    return f"integrity__{record.project}__{record.role}__{record.sequence:08d}"
