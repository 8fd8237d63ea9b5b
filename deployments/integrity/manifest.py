"""The manifest of one release for one role: an in-toto Statement v1 whose predicate says what was built."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from .digest import canonical_json, tree_digest
from .envelope import Envelope, EnvelopeError, strict_json
from .project import Policy, SettingType, Slug

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:prefect-integrity:release:v1"
SCHEMA_FILE = Path(__file__).parent / "schema" / "release-v1.schema.json"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


def _stays_inside(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in path.split("/") or not path:
        raise ValueError("a path must be relative, with forward slashes, and stay inside the tree")
    return path


RelativePath = Annotated[str, AfterValidator(_stays_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Release(_Strict):
    """Which release this is. `number` only ever grows for a role; `dirty` can't be taken back."""

    number: int = Field(ge=1, le=2**53)
    commit: Commit
    dirty: bool
    built_at: AwareDatetime
    expires_at: AwareDatetime

    @property
    def version(self) -> str:
        """The release as Prefect's deployment version: `<number>+<commit, 12 digits>`."""
        return f"{self.number}+{self.commit[:12]}" + (".dirty" if self.dirty else "")


class Code(_Strict):
    """Every shipped file and one digest over all; `ships` and `ignore` say which files count."""

    algorithm: Literal["sha256-list-v1"]
    digest: Sha256
    ships: tuple[str, ...]
    ignore: tuple[str, ...]
    roots: tuple[str, ...]
    files: dict[RelativePath, Sha256]

    @model_validator(mode="after")
    def _digest_is_of_these_files(self) -> Code:
        if tree_digest(self.files) != self.digest:
            raise ValueError("code.digest is not the digest of code.files")
        return self


class Entrypoint(_Strict):
    """A flow of the role: `flows/daily.py:daily`, and the digest of its parameters' JSON schema."""

    name: str
    parameters: Sha256


class Package(_Strict):
    """One installed distribution: version and digest of its wheel's file list."""

    version: str
    record: str


class Packages(_Strict):
    """The lock and what was installed beside it; `unlocked` lists how the installation differed from the
    lock.
    """

    lock_path: RelativePath
    lock: Sha256
    installed: dict[str, Package]
    unlocked: tuple[str, ...]
    allowed: tuple[str, ...]


class Runtime(_Strict):
    """What the code has to run on: interpreter, platform, zones with the instants that must come out."""

    implementation: str
    python: str
    platform: str
    zones: dict[str, tuple[str, ...]]
    settings: dict[str, SettingType]


class Artifact(_Strict):
    """A file outside the packages, such as a model: its path (`${NAME}` from the environment) and digest."""

    path: str
    sha256: Sha256


class Fact(_Strict):
    """Something the project says of itself (a feature set's version): the value, and what was asked for it."""

    source: str
    value: str | int | bool


class Predicate(_Strict):
    """What the statement says of its subject."""

    schema_version: Literal[1]
    project: Slug
    role: Slug
    release: Release
    code: Code
    entrypoints: tuple[Entrypoint, ...]
    packages: Packages
    runtime: Runtime
    artifacts: dict[str, Artifact]
    facts: dict[str, Fact]
    optional_imports: tuple[str, ...]
    checks: tuple[str, ...]
    policy: Policy


class Subject(_Strict):
    """in-toto's subject: a name and its digest."""

    name: str
    digest: dict[Literal["sha256"], Sha256]


class Statement(_Strict):
    """in-toto Statement v1 with this project's predicate."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1, max_length=1)
    predicate_type: Literal["urn:prefect-integrity:release:v1"] = Field(alias="predicateType")
    predicate: Predicate

    @model_validator(mode="after")
    def _subject_is_the_code(self) -> Statement:
        expected = subject_of(self.predicate)
        if self.subject[0] != expected:
            raise ValueError(f"the subject is not {expected.name} with the digest of the code")
        return self


def subject_of(predicate: Predicate) -> Subject:
    """The statement's subject: project and role, with the code's digest."""
    return Subject(name=f"{predicate.project}/{predicate.role}", digest={"sha256": predicate.code.digest})


def expiry(built_at: datetime, policy: Policy) -> datetime:
    """When a release built at `built_at` stops being accepted."""
    return built_at + timedelta(days=policy.valid_days)


def wrap(predicate: Predicate) -> Envelope:
    """The unsigned envelope of a manifest. The payload is canonical JSON; verification never writes it anew."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [subject_of(predicate).model_dump(mode="json")],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate.model_dump(mode="json"),
    }
    return Envelope(PAYLOAD_TYPE, canonical_json(statement))


def read_payload(payload: bytes) -> Predicate:
    """The manifest inside a payload; EnvelopeError names each field that is wrong."""
    strict_json(payload)
    try:
        return Statement.model_validate_json(payload).predicate
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise EnvelopeError(f"not a release manifest: {faults}") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the signed statement, as kept in `schema/release-v1.schema.json`."""
    schema = Statement.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": PREDICATE_TYPE, **schema}
