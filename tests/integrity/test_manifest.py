"""A signed payload is still read with suspicion: it must be of the form and must not contradict itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.integrity.digest import canonical_json, tree_digest
from deployments.integrity.envelope import EnvelopeError
from deployments.integrity.manifest import read_payload

from .conftest import Placed

Change = Callable[[dict[str, Any]], None]


def with_files(files: dict[str, str]) -> Change:
    """Other files, with all digests made to fit."""

    def change(statement: dict[str, Any]) -> None:
        code = statement["predicate"]["code"]
        code["files"], code["digest"] = files, tree_digest(files)
        statement["subject"][0]["digest"]["sha256"] = code["digest"]

    return change


def test_the_honest_payload_is_read(placed: Placed) -> None:
    assert read_payload(placed.site.envelope().payload).role == "precompute"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s["predicate"]["code"]["files"].popitem(), "code"),
        (lambda s: s["subject"][0].update(name="kiosk/analytics"), "subject"),
        (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "subject"),
        (lambda s: s["subject"].append(s["subject"][0]), "subject"),
        (lambda s: s.update(predicateType="urn:prefect-integrity:release:v2"), "predicateType"),
        (lambda s: s["predicate"].update(schema_version=2), "schema_version"),
        (lambda s: s["predicate"].update(surprise=1), "surprise"),
        (lambda s: s["predicate"]["release"].update(number="7"), "number"),
        (lambda s: s["predicate"]["release"].update(number=0), "number"),
        (lambda s: s["predicate"]["release"].update(expires_at="2026-04-10T12:00:00"), "expires_at"),
        (lambda s: s["predicate"]["release"].update(commit="main"), "commit"),
        (with_files({"/etc/passwd": "0" * 64}), "files"),
        (with_files({"flows/../../secret": "0" * 64}), "files"),
        (with_files({"flows\\daily.py": "0" * 64}), "files"),
        (with_files({"flows/daily.py": "short"}), "files"),
    ],
)
def test_what_contradicts_itself_or_the_schema_is_refused_and_the_field_named(
    placed: Placed, change: Change, field: str
) -> None:
    statement = json.loads(placed.site.envelope().payload)
    change(statement)
    with pytest.raises(EnvelopeError, match=field):
        read_payload(canonical_json(statement))
