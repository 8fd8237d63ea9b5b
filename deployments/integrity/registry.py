"""The registry of expected releases, kept on the Prefect server as a chain of Variables: one per record, never changed.

A Variable is created with POST, which the server answers with 409 if the name exists: appending is atomic, on the
open-source server and on Prefect Cloud alike. Reading the last record is one request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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

MAX_VALUE_CHARACTERS = 5000  # Prefect's limit for a Variable
PAGE = 200


class Response(Protocol):
    """The part of an HTTP response that is used here."""

    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The parsed body."""


Send = Callable[[str, str, dict[str, Any]], Response]


class Unreachable(Exception):  # noqa: N818 - a state of the network, told apart from every refusal
    """The server did not answer, or not with a sensible answer."""


class Registry:
    """Reads and appends records. `send(method, path, body)` speaks to the Prefect API; `keys` are trusted for reading."""

    def __init__(self, send: Send, keys: Mapping[str, Ed25519PublicKey]):
        self._send = send
        self._keys = keys
        self._client: AbstractContextManager[Any] | None = None
        self.server_time: datetime | None = None

    @classmethod
    def connect(cls, keys: Mapping[str, Ed25519PublicKey], timeout_seconds: float = 10.0) -> Registry:
        """A registry on the server of PREFECT_API_URL; Unreachable if none is configured."""
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL

        if not PREFECT_API_URL.value():
            raise Unreachable("PREFECT_API_URL is not set: there is no server that could say what is expected")
        client = get_client(sync_client=True, httpx_settings={"timeout": timeout_seconds})

        def send(method: str, path: str, body: dict[str, Any]) -> Response:
            # Prefect's own retries would make a dead server cost minutes before the grace can begin.
            return client._client.request(method, path, json=body)

        registry = cls(send, keys)
        registry._client = client
        client.__enter__()
        return registry

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.__exit__(kind, error, trace)

    def head(self, project: str, role: str) -> Record | None:
        """The last record of a role, signature checked; None if the role has no chain."""
        return (self._head(project, role) or (None,))[0]

    def for_pool(self, pool: str) -> Record | None:
        """The record in force for a work pool; RegistryError if two roles claim it."""
        chains = {
            (record.project, record.role)
            for _, record, _ in map(self._open, self._read([pool_tag(pool)]))
        }
        heads = [self.head(project, role) for project, role in sorted(chains)]
        claims = [head for head in heads if head is not None and pool in head.pools]
        if len(claims) > 1:
            names = ", ".join(f"{c.project}/{c.role}" for c in claims)
            raise RegistryError(f"pool {pool} is registered for {names}; register it for one role only")
        return claims[0] if claims else None

    def history(self, project: str, role: str) -> list[Record]:
        """The whole chain, oldest first; RegistryError if a link is missing or does not fit its predecessor."""
        links = [self._open(value) for value in self._read([chain_tag(project, role)])]
        links.sort(key=lambda link: link[1].sequence)
        previous = None
        for number, (_, record, digest) in enumerate(links, start=1):
            if record.sequence != number or record.previous != previous:
                raise RegistryError(
                    f"the chain of {project}/{role} is broken at record {number}: records were deleted or replaced"
                )
            previous = digest
        return [record for _, record, _ in links]

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
        head, digest = self._head(predicate.project, predicate.role) or (None, None)
        expected = expected_of(envelope, predicate)
        return self._append(registered(head, digest, predicate, expected, pools, now, by, reason), key)

    def rollback(
        self, project: str, role: str, number: int, key: Ed25519PrivateKey, now: datetime, by: str, reason: str
    ) -> Record:
        """Make an earlier registered release the expected one again."""
        head, digest = self._existing(project, role)
        history = self.history(project, role)
        return self._append(rolled_back(head, digest, history, number, now, by, reason), key)

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
        return self._append(overridden(head, digest, override, now), key)

    def claim(self, name: str) -> bool:
        """True for the first caller that claims this name, on any machine: the server keeps the claim."""
        body = {"name": f"integrity__event__{sha256_bytes(name.encode())[:32]}", "value": name[:500]}
        answer = self._call("POST", "/variables/", {**body, "tags": ["integrity:event"]})
        if answer.status_code == 409:
            return False
        return self._accept(answer) is not None

    def _existing(self, project: str, role: str) -> tuple[Record, str]:
        head = self._head(project, role)
        if head is None:
            raise RegistryError(f"no release of {project}/{role} has been registered")
        return head

    def _head(self, project: str, role: str) -> tuple[Record, str] | None:
        values = self._read([chain_tag(project, role)], limit=1)
        if not values:
            return None
        name, record, digest = self._open(values[0])
        if (record.project, record.role) != (project, role) or name != variable_name(record):
            raise RegistryError(f"Variable {name} holds a record of {record.project}/{record.role}: it was copied there")
        return record, digest

    def _append(self, record: Record, key: Ed25519PrivateKey) -> Record:
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
                *map(pool_tag, record.pools),
            ],
        }
        answer = self._call("POST", "/variables/", body)
        if answer.status_code == 409:
            raise RegistryError(f"record {record.sequence} was written by someone else just now: look, and try again")
        self._accept(answer)
        return record

    def _read(self, tags: list[str], limit: int | None = None) -> list[dict[str, Any]]:
        values: list[dict[str, Any]] = []
        while True:
            body = {
                "variables": {"tags": {"all_": tags}},
                "sort": "NAME_DESC",
                "limit": limit or PAGE,
                "offset": len(values),
            }
            page = self._accept(self._call("POST", "/variables/filter", body))
            values.extend(page)
            if limit or len(page) < PAGE:
                return values

    def _open(self, variable: dict[str, Any]) -> tuple[str, Record, str]:
        try:
            envelope = envelope_from(variable["value"])
            payload = envelope.verified_payload(self._keys, RECORD_TYPE)
            return variable["name"], read_record(payload), envelope.digest
        except EnvelopeError as error:
            raise RegistryError(f"the registry's record {variable.get('name')} can't be trusted: {error}") from None

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Response:
        import httpx

        try:
            answer = self._send(method, path, body)
        except (httpx.HTTPError, OSError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        if "date" in answer.headers:
            self.server_time = parsedate_to_datetime(answer.headers["date"])
        return answer

    @staticmethod
    def _accept(answer: Response) -> Any:
        if answer.status_code >= 400:
            raise Unreachable(f"the server answered {answer.status_code}: {answer.text[:200]}")
        try:
            return answer.json()
        except ValueError:
            raise Unreachable("the server's answer is not JSON: is PREFECT_API_URL its API?") from None


def chain_tag(project: str, role: str) -> str:
    """The tag that all records of a role carry."""
    return f"integrity:{project}/{role}"


def pool_tag(pool: str) -> str:
    """The tag of records that bind a work pool."""
    return f"integrity:pool:{pool}"


def variable_name(record: Record) -> str:
    """The name of the Variable that holds a record; names sort as the records follow."""
    return f"integrity__{record.project}__{record.role}__{record.sequence:08d}"
