"""DSSE envelopes (Dead Simple Signing Envelope v1) with ed25519: wrap, sign, open. What is inside is not its
business.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from .digest import canonical_json, sha256_bytes

MAX_BYTES = 8_000_000
MAX_SIGNATURES = 16


class EnvelopeError(ValueError):
    """The envelope can't be read or is not signed by a trusted key; the text says which."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the id of the key that is said to have made it."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload of bytes, its type, and signatures over both."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the payload: the name of what was signed."""
        return sha256_bytes(self.payload)

    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding: what a signature covers."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)

    def sign(self, key: Ed25519PrivateKey) -> Envelope:
        """The envelope with a signature by `key` (one signature per key)."""
        keyid = key_id(key.public_key())
        others = tuple(s for s in self.signatures if s.keyid != keyid)
        return Envelope(self.payload_type, self.payload, (*others, Signature(keyid, key.sign(self.signed_bytes()))))

    def verified_payload(self, trusted: Mapping[str, Ed25519PublicKey], payload_type: str) -> bytes:
        """The payload if a trusted key signed it as this type; EnvelopeError says why not. Nothing is parsed
        before.
        """
        if self.payload_type != payload_type:
            raise EnvelopeError(f"payload type is {self.payload_type[:80]!r}, not {payload_type!r}")
        if not self.signatures:
            raise EnvelopeError("it carries no signature")
        if not trusted:
            raise EnvelopeError("no trusted key is configured")
        for signature in self.signatures:
            key = trusted.get(signature.keyid)
            if key is None:
                continue
            try:
                key.verify(signature.sig, self.signed_bytes())
            except InvalidSignature:
                continue
            return self.payload
        if any(s.keyid in trusted for s in self.signatures):
            raise EnvelopeError("the signature does not fit the content: it was edited after signing")
        keys = ", ".join(s.keyid[:16] for s in self.signatures)
        raise EnvelopeError(f"signed by {keys}, trusted are {', '.join(sorted(trusted))}")

    def to_bytes(self) -> bytes:
        """The envelope as canonical JSON."""
        return canonical_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The envelope as DSSE's JSON object."""
        return {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [{"keyid": s.keyid, "sig": base64.b64encode(s.sig).decode()} for s in self.signatures],
        }


def open_envelope(data: bytes) -> Envelope:
    """Parse an envelope's bytes without trusting them; EnvelopeError if they are not of the form."""
    if len(data) > MAX_BYTES:
        raise EnvelopeError(f"it is larger than {MAX_BYTES} bytes")
    return envelope_from(strict_json(data))


def envelope_from(value: object) -> Envelope:
    """An envelope from parsed JSON; EnvelopeError if it is not of the form."""
    if not isinstance(value, dict) or value.keys() != {"payloadType", "payload", "signatures"}:
        raise EnvelopeError("it is not a DSSE envelope (payloadType, payload, signatures)")
    kind, signatures = value["payloadType"], value["signatures"]
    if not isinstance(kind, str) or not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES:
        raise EnvelopeError("payloadType or signatures are not of a DSSE envelope's form")
    try:
        kind.encode()
        parsed = tuple(_signature(item) for item in signatures)
    except UnicodeEncodeError:
        raise EnvelopeError("payloadType is not text") from None
    return Envelope(kind, _base64(value["payload"]), parsed)


def _signature(item: object) -> Signature:
    if not isinstance(item, dict) or item.keys() != {"keyid", "sig"} or not isinstance(item["keyid"], str):
        raise EnvelopeError("a signature is not of the form keyid, sig")
    return Signature(item["keyid"], _base64(item["sig"]))


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise EnvelopeError("base64 text expected")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise EnvelopeError(f"not base64: {error}") from None


def strict_json(data: bytes) -> object:
    """JSON without repeated names, without NaN: EnvelopeError otherwise."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise EnvelopeError("a name occurs twice in one JSON object")
        return result

    def refuse(constant: str) -> float:
        raise EnvelopeError(f"{constant} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"not JSON: {error}") from None


def key_id(key: Ed25519PublicKey) -> str:
    """The id of a public key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return sha256_bytes(key.public_bytes(Encoding.Raw, PublicFormat.Raw))[:16]


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as it stands in a project file: base64 of its 32 bytes."""
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def trusted_keys(texts: Iterable[str]) -> dict[str, Ed25519PublicKey]:
    """Public keys by id, from base64 texts; ValueError names the one that is not a key."""
    keys = {}
    for text in texts:
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
        except ValueError:
            raise ValueError(f"trusted key {text[:20]!r}... is not base64 of a 32 byte ed25519 public key") from None
        keys[key_id(key)] = key
    return keys


def private_key(pem: bytes) -> Ed25519PrivateKey:
    """An ed25519 private key from PEM; ValueError if it is another kind."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("the signing key is not an unencrypted PEM private key, as `keygen` writes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"the signing key is {type(key).__name__}, not ed25519")
    return key
