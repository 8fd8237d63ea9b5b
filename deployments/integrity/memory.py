"""What this machine remembers of the registry: the last record it verified, for the grace and against going
back.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .digest import sha256_bytes
from .envelope import Envelope, EnvelopeError, envelope_from, strict_json
from .record import RECORD_TYPE, Record, read_record


@dataclass(frozen=True, slots=True)
class Remembered:
    """A record, the digest of its payload, and when the server last confirmed it."""

    record: Record
    digest: str
    read_at: datetime


class Memory:
    """One file per server and question (a pool, or a project's role). The signature is checked again at each
    recall.
    """

    def __init__(self, folder: Path, server: str, question: str):
        self._path = folder / f"expected-{sha256_bytes(f'{server} {question}'.encode())[:24]}.json"

    def recall(self, keys: Mapping[str, Ed25519PublicKey]) -> Remembered | None:
        """What was remembered; None if there is nothing or it can't be trusted."""
        try:
            value = strict_json(self._path.read_bytes())
            if not isinstance(value, dict):
                return None
            envelope = envelope_from(value["envelope"])
            record = read_record(envelope.verified_payload(keys, RECORD_TYPE))
            return Remembered(record, envelope.digest, datetime.fromisoformat(value["read_at"]))
        except (OSError, EnvelopeError, KeyError, TypeError, ValueError):
            return None

    def remember(self, envelope: Envelope, read_at: datetime) -> None:
        """Keep a verified record. OSError is the caller's: without a memory there is no grace, and that is
        said.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        value = {"envelope": envelope.to_dict(), "read_at": read_at.isoformat()}
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False) as stream:
            json.dump(value, stream)
        os.replace(stream.name, self._path)
