"""Fuzzing of parser and verifier: nothing is accepted that was not signed, and nothing crashes.

The number of inputs follows INTEGRITY_FUZZ (examples per test, default 300).
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.integrity.digest import canonical_json, tree_digest
from deployments.integrity.envelope import Envelope, EnvelopeError, key_id, open_envelope
from deployments.integrity.manifest import PAYLOAD_TYPE, read_payload
from deployments.integrity.record import RECORD_TYPE, read_record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
many = settings(
    max_examples=int(os.environ.get("INTEGRITY_FUZZ", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

SIGNED = Envelope(PAYLOAD_TYPE, canonical_json({"_type": "t", "subject": [], "n": 1})).sign(KEY)
WIRE = SIGNED.to_bytes()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def accepted(data: bytes) -> bytes | None:
    """The payload that the whole path accepts, or None; anything but EnvelopeError is a crash."""
    try:
        return open_envelope(data).verified_payload(TRUSTED, PAYLOAD_TYPE)
    except EnvelopeError:
        return None


def test_the_honest_envelope_is_accepted() -> None:
    assert accepted(WIRE) == SIGNED.payload


def test_a_name_given_twice_is_refused_whichever_reading_would_be_good() -> None:
    text = WIRE.decode()
    for doubled in (text.replace("{", '{"payload":"",', 1), text[:-1] + ',"payload":""}'):
        with pytest.raises(EnvelopeError, match="twice"):
            open_envelope(doubled.encode())


@many
@given(st.binary(max_size=400))
def test_noise_is_never_accepted(data: bytes) -> None:
    assert accepted(data) is None


@many
@given(st.lists(st.tuples(st.integers(0, len(WIRE) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_never_yield_another_payload(flips: list[tuple[int, int]]) -> None:
    data = bytearray(WIRE)
    for place, mask in flips:
        data[place] ^= mask
    assert accepted(bytes(data)) in {None, SIGNED.payload}


@many
@given(st.data())
def test_cut_doubled_and_spliced_envelopes_never_yield_another_payload(data: st.DataObject) -> None:
    start, end = sorted((data.draw(st.integers(0, len(WIRE))), data.draw(st.integers(0, len(WIRE)))))
    middle = data.draw(st.sampled_from([b"", WIRE[start:end] * 2, WIRE[::-1][start:end]]) | st.binary(max_size=20))
    assert accepted(WIRE[:start] + middle + WIRE[end:]) in {None, SIGNED.payload}


@many
@given(json_values)
def test_any_json_is_refused_politely(value: Any) -> None:
    assert accepted(json.dumps(value).encode()) is None


@many
@given(
    payload=st.binary(max_size=200),
    kind=st.sampled_from([PAYLOAD_TYPE, RECORD_TYPE, "", "application/json"]) | st.text(max_size=20),
    keyid=st.sampled_from([*TRUSTED, key_id(OTHER.public_key()), ""]) | st.text(max_size=16),
    sig=st.sampled_from([SIGNED.signatures[0].sig, bytes(64)]) | st.binary(max_size=70),
    count=st.integers(0, 3),
)
def test_well_formed_forgeries_are_refused(payload: bytes, kind: str, keyid: str, sig: bytes, count: int) -> None:
    forged = {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(sig).decode()}] * count,
    }
    assert accepted(json.dumps(forged).encode()) in {None, SIGNED.payload}
    if payload != SIGNED.payload:
        assert accepted(json.dumps(forged).encode()) is None


@many
@given(payload=st.binary(max_size=200), claim=st.sampled_from([key_id(KEY.public_key()), None]))
def test_another_keys_signature_is_refused_even_under_the_trusted_keys_id(payload: bytes, claim: str | None) -> None:
    wire = Envelope(PAYLOAD_TYPE, payload).sign(OTHER).to_dict()
    if claim:
        wire["signatures"][0]["keyid"] = claim
    assert accepted(json.dumps(wire).encode()) is None


@many
@given(payload=st.binary(max_size=300), kind=st.text(max_size=30).filter(lambda k: k != PAYLOAD_TYPE))
def test_what_was_signed_as_something_else_is_no_manifest(payload: bytes, kind: str) -> None:
    try:
        wire = Envelope(kind, payload).sign(KEY).to_bytes()
    except UnicodeEncodeError:
        return
    assert accepted(wire) is None


@many
@given(st.binary(max_size=400) | json_values.map(lambda v: json.dumps(v).encode()))
@pytest.mark.parametrize("read", [read_payload, read_record])
def test_signed_nonsense_is_refused_politely(read: Any, payload: bytes) -> None:
    with pytest.raises(EnvelopeError):
        read(payload)


@many
@given(st.data())
def test_a_real_manifest_with_any_field_replaced_is_refused_or_consistent(
    placed_payload: bytes, data: st.DataObject
) -> None:
    statement = json.loads(placed_payload)
    here: Any = statement
    while isinstance(here, dict) and here:
        name = data.draw(st.sampled_from(sorted(here)))
        if not isinstance(here[name], (dict, list)) or data.draw(st.booleans()):
            here[name] = data.draw(json_values)
            break
        here = here[name]
    try:
        predicate = read_payload(canonical_json(statement))
    except EnvelopeError:
        return
    assert tree_digest(predicate.code.files) == predicate.code.digest
    assert not any(p.startswith("/") or ".." in p.split("/") for p in predicate.code.files)


@pytest.fixture(scope="module")
def placed_payload(built: Any) -> bytes:
    return open_envelope((built["precompute"] / "release.json").read_bytes()).payload
